"""Values that users set, each in its own way: all of them must render as valid objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLACED: dict[str, Any] = {
    "nodeSelector": {"disk": "fast"},
    "tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}
                ]
            }
        }
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "important",
    "runtimeClassName": "nvidia",
    "podLabels": {"team": "a"},
    "podAnnotations": {"note": "b"},
    "extraEnv": [
        {"name": "PLAIN", "value": "1"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    ],
    "extraEnvFrom": [{"secretRef": {"name": "more"}}],
    "extraVolumes": [{"name": "extra", "configMap": {"name": "some"}}],
    "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
}
_RESOURCES = {"requests": {"cpu": 2, "memory": "4Gi"}, "limits": {"memory": "4Gi"}}

TOGGLES: Mapping[str, dict[str, Any]] = {
    "names": {
        "fullnameOverride": "reasoner",
        "commonLabels": {"team": "a"},
        "commonAnnotations": {"owner": "b"},
        "imagePullSecrets": [{"name": "registry"}],
    },
    "images": {
        "images": {
            "registry": "registry.example/team/",
            "pullPolicy": "Always",
            "gateway": {"tag": "1.2.3"},
            "serving": {"digest": "sha256:" + "0" * 64},
        }
    },
    "placed": {
        "gateway": _PLACED,
        "loader": _PLACED,
        "ray": {
            "head": _PLACED,
            "workerGroups": {
                "workers": None,
                "big": {**_PLACED, "replicas": 2, "resources": _RESOURCES},
                "small": {"replicas": 1, "resources": _RESOURCES, "rayStartParams": {"a": "b"}},
            },
        },
        "neo4j": {"bundled": {**_PLACED, "enabled": True}},
    },
    "settings": {
        "settings": {
            "log_level": "debug",
            "student": {"kv_cache_bytes": 1 << 30, "default_adapter": "bbh@v1", "eager": False},
            "reasoner": {"gate_threshold": 0.75},
            "gateway": {"drain_s": 20, "max_message_bytes": 4194304},
            "serve": {"request_timeout_s": 300, "student_replicas": 2, "student_max_replicas": 5},
        }
    },
    "external neo4j": {
        "neo4j": {
            "uri": "neo4j+s://db.example:7687",
            "user": "reader",
            "database": "kb",
            "existingSecret": "db",
            "passwordKey": "word",
        },
    },
    "external neo4j by password": {"neo4j": {"uri": "bolt://db:7687", "password": "for-tests"}},
    "external neo4j without password": {"neo4j": {"uri": "bolt://db:7687"}},
    "bundled neo4j": {
        "neo4j": {
            "bundled": {
                "enabled": True,
                "config": {"internal.dbms.index.vector.population_ram_buffer_size": 512},
                "persistence": {"storageClass": "fast", "size": "1Ti"},
            }
        },
    },
    "bundled neo4j on a claim": {
        "neo4j": {
            "existingSecret": "db",
            "bundled": {"enabled": True, "persistence": {"existingClaim": "graph"}},
        },
    },
    "claims of others": {
        "knowledge": {"persistence": {"existingClaim": "k"}},
        "adapters": {"persistence": {"enabled": True, "existingClaim": "a", "subPath": "lora"}},
        "cache": {"persistence": {"enabled": True, "existingClaim": "c"}},
    },
    "volumes of an object store": {
        "adapters": {
            "persistence": {
                "enabled": True,
                "volume": {
                    "csi": {
                        "driver": "gcsfuse.csi.storage.gke.io",
                        "readOnly": True,
                        "volumeAttributes": {"bucketName": "adapters"},
                    }
                },
            }
        },
        "cache": {
            "persistence": {"enabled": True, "volume": {"nfs": {"server": "nfs", "path": "/"}}}
        },
    },
    "claims made here": {
        "knowledge": {"persistence": {"storageClass": "slow", "keep": False}},
        "adapters": {"persistence": {"enabled": True, "accessModes": ["ReadOnlyMany"]}},
        "cache": {"persistence": {"enabled": True, "keep": True}},
    },
    "no volume, no loader": {
        "knowledge": {"persistence": {"enabled": False}},
        "loader": {"enabled": False},
    },
    "dump on a claim": {
        "loader": {
            "activate": False,
            "source": {"kind": "volume", "existingClaim": "dumps", "path": "bbh/v2"},
        }
    },
    "dump in the image": {"loader": {"source": {"kind": "path", "path": "/opt/dump"}}},
    "tls": {"gateway": {"tls": {"enabled": True, "existingSecret": "cert"}}},
    "mutual tls": {
        "gateway": {"tls": {"enabled": True, "existingSecret": "cert", "clientCAKey": "ca.crt"}},
        "test": {"tlsSecret": "client"},
    },
    "tls by a known authority": {
        "gateway": {"tls": {"enabled": True, "existingSecret": "cert", "caKey": ""}}
    },
    "tracing": {"settings": {"tracing": {"endpoint": "http://collector:4317"}}},
    "load balancer": {
        "gateway": {
            "service": {
                "type": "LoadBalancer",
                "port": 443,
                "nodePort": 30443,
                "annotations": {"a": "b"},
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "appProtocol": "grpc",
            }
        }
    },
    "autoscaling": {
        "gateway": {
            "autoscaling": {
                "enabled": True,
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
            }
        },
        "ray": {"autoscaling": {"enabled": True}},
    },
    "redis": {
        "ray": {
            "gcsFaultTolerance": {"redisAddress": "redis://redis:6379", "existingSecret": "redis"}
        }
    },
    "budgets": {
        "gateway": {"podDisruptionBudget": {"maxUnavailable": "25%"}},
        "ray": {"podDisruptionBudget": {"enabled": True, "minAvailable": 1}},
    },
    "closed networks": {
        "neo4j": {"bundled": {"enabled": True}},
        "networkPolicy": {
            "restrictEgress": True,
            "gatewayFrom": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}],
            "metricsFrom": [{"podSelector": {}}],
            "operatorFrom": [{"namespaceSelector": {}}],
            "extraEgress": [{"ports": [{"port": 443}]}],
        },
    },
    "open networks": {"networkPolicy": {"enabled": False}},
    "accounts of others": {
        part: {"serviceAccount": {"create": False, "name": "mine"}}
        for part in ("ray", "gateway", "loader")
    },
    "monitors": {
        "monitoring": {
            "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
            "podMonitor": {"enabled": True, "interval": "1m"},
            "dashboards": {"enabled": True, "namespace": "grafana", "annotations": {"f": "n"}},
            "alerts": {
                "enabled": True,
                "labels": {"release": "prometheus"},
                "runbookUrl": "https://wiki.example/runbook",
            },
        }
    },
}
