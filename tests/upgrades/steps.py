"""The upgrades, each as docs/upgrades.md tells an operator to do it."""

from __future__ import annotations

from services.genproto.nesycd.v1 import knowledge_pb2 as kb
from services.genproto.nesycd.v1 import reasoning_pb2 as pb
from services.genproto.nesycd.v1 import reasoning_pb2_grpc as pb_grpc
from tests.tiny_models import write_adapter
from tests.upgrades.cluster import Cluster, until

_EDIT = kb.Edit(actor="upgrade", reason="a test")


def nothing(cluster: Cluster) -> None:
    """The load alone, to compare with."""


def settings_in_place(cluster: Cluster) -> None:
    """Settings of the application: new replicas take over from the old ones."""
    cluster.deploy(reasoner={"gate_threshold": 0.6})
    until(lambda: cluster.describe().gate_threshold == 0.6, "the threshold did not change")


def adapter_roll_out(cluster: Cluster) -> None:
    """A new version's folder appears; it is loaded, and the name means it from then on."""
    write_adapter(cluster.adapters, "maths@v2", seed=2)
    with cluster.channel() as channel:
        adapters = pb_grpc.AdapterServiceStub(channel)
        adapters.LoadAdapter(pb.LoadAdapterRequest(adapter="maths@v2"), timeout=60)
        stub = pb_grpc.ReasoningServiceStub(channel)
        asked = pb.ReasonRequest(question="unsure", adapter="maths")
        until(lambda: stub.Reason(asked, timeout=60).adapter == "maths@v2", "v2 does not answer")
        adapters.UnloadAdapter(pb.UnloadAdapterRequest(adapter="maths@v1"), timeout=60)


def knowledge_activation(cluster: Cluster) -> None:
    """A release is made and activated, and the one before it activated again."""
    before = cluster.describe().kb_release
    entry = kb.Entry(
        id="upgrade",
        task="upgrade",
        question="What is an upgrade?",
        note={"supplementary_knowledge": ["An upgrade drops no call."]},
        provenance="test",
    )
    with cluster.knowledge() as knowledge:
        draft = knowledge.CreateEntry(
            kb.CreateEntryRequest(entry=entry, edit=_EDIT), timeout=60
        ).entry
        knowledge.ReviewEntry(
            kb.ReviewEntryRequest(id=entry.id, etag=draft.etag, verdict="accepted", edit=_EDIT),
            timeout=60,
        )
        knowledge.CreateRelease(kb.CreateReleaseRequest(name="upgrade", edit=_EDIT), timeout=120)
        knowledge.ActivateRelease(kb.ActivateReleaseRequest(name="upgrade", edit=_EDIT), timeout=60)
        until(lambda: cluster.describe().kb_release == "upgrade", "the release is not served")
        knowledge.RollBackRelease(kb.RollBackReleaseRequest(edit=_EDIT), timeout=60)
        until(lambda: cluster.describe().kb_release == before, "the roll-back is not served")


def replicas_added_and_removed(cluster: Cluster) -> None:
    """Two student replicas, then one again."""
    cluster.deploy(serve={"student_replicas": 2, "student_max_replicas": 2})
    cluster.deploy(serve={"student_replicas": 1, "student_max_replicas": 1})


def gateways_restarted(cluster: Cluster) -> None:
    """One after the other, as a Deployment's rolling update does."""
    for gateway in cluster.gateways:
        gateway.stop()
        gateway.start()


STEPS = (
    nothing,
    settings_in_place,
    adapter_roll_out,
    knowledge_activation,
    replicas_added_and_removed,
    gateways_restarted,
)
