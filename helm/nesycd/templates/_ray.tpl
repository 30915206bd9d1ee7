{{/* The Ray pods and what is served in them. */}}

{{/* Read by Ray when it starts: the same as services/cluster.py sets. A test holds the two together. */}}
{{- define "nesycd.rayEnvironment" -}}
- name: RAY_SERVE_USE_GRPC_BY_DEFAULT
  value: "1"
- name: RAY_worker_niceness
  value: "0"
- name: RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD
  value: "0"
- name: RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP
  value: "0"
- name: RAY_SERVE_LOG_TO_STDERR
  value: "0"
- name: RAY_USAGE_STATS_ENABLED
  value: "0"
- name: RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO
  value: "0"
{{- end }}

{{/* Replicas of a deployment, changed without a restart: root, name, settings, busy. */}}
{{- define "nesycd.replicas" -}}
- name: {{ .name }}
  max_surge_percent: {{ .surge }}
  autoscaling_config:
    min_replicas: {{ index .root.Values.settings.serve (printf "%s_replicas" .settings) | int }}
    max_replicas: {{ index .root.Values.settings.serve (printf "%s_max_replicas" .settings) | int }}
    target_ongoing_requests: {{ .busy | int }}
{{- end }}

{{/* What Ray Serve runs. A change of it is taken over by the running cluster. */}}
{{- define "nesycd.serveConfig" -}}
proxy_location: EveryNode
http_options:
  host: 0.0.0.0
  port: 8000
grpc_options:
  port: 9000
  request_timeout_s: {{ .Values.settings.serve.request_timeout_s | default 600 }}
  grpc_servicer_functions:
    - services.genproto.nesycd.v1.reasoning_pb2_grpc.add_ReasoningServiceServicer_to_server
    - services.genproto.nesycd.v1.reasoning_pb2_grpc.add_AdapterServiceServicer_to_server
    - services.genproto.nesycd.v1.knowledge_pb2_grpc.add_KnowledgeServiceServicer_to_server
logging_config:
  log_level: WARNING
  enable_access_log: false
applications:
  - name: nesycd
    route_prefix: /
    import_path: services.app:application
    args:
      {{- include "nesycd.applicationArguments" . | trim | nindent 6 }}
    deployments:
      {{- include "nesycd.replicas" (dict "root" . "name" "Student" "settings" "student" "surge" .Values.ray.studentSurgePercent "busy" (.Values.settings.student.max_sequences | default 64)) | nindent 6 }}
      {{- include "nesycd.replicas" (dict "root" . "name" "KnowledgeBase" "settings" "knowledge" "surge" 100 "busy" 32) | nindent 6 }}
      {{- include "nesycd.replicas" (dict "root" . "name" "Reasoner" "settings" "reasoner" "surge" 100 "busy" 256) | nindent 6 }}
{{- end }}

{{/* A pod template: root, part (values), component, head (boolean). */}}
{{- define "nesycd.rayPod" -}}
{{- $values := .root.Values -}}
metadata:
  {{- include "nesycd.podMetadata" . | nindent 2 }}
spec:
  serviceAccountName: {{ include "nesycd.serviceAccount" (dict "root" .root "name" "ray") }}
  # Only the autoscaler, beside the head, speaks to the Kubernetes API.
  automountServiceAccountToken: {{ and .head $values.ray.autoscaling.enabled }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $values.ray.terminationGracePeriodSeconds }}
  {{- include "nesycd.placement" . | nindent 2 }}
  containers:
    - name: {{ ternary "ray-head" "ray-worker" .head }}
      image: {{ include "nesycd.image" (dict "root" .root "name" "serving") | quote }}
      imagePullPolicy: {{ $values.images.pullPolicy }}
      securityContext:
        {{- toYaml $values.securityContext | nindent 8 }}
      env:
        {{- include "nesycd.rayEnvironment" . | nindent 8 }}
        {{- include "nesycd.processEnv" .root | nindent 8 }}
        {{- with .part.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with .part.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        {{- if .head }}
        - name: gcs-server
          containerPort: 6379
        - name: dashboard
          containerPort: 8265
        - name: client
          containerPort: 10001
        {{- end }}
        - name: serve
          containerPort: 8000
        # KubeRay 1.6 and newer opens a port of this name in the service of the RayService.
        - name: serve-grpc
          containerPort: 9000
        - name: metrics
          containerPort: 8080
      # In place of KubeRay's own, which call wget inside the image. A worker is ready when its
      # Serve proxy is, the head when its store of the cluster's state answers.
      readinessProbe:
        httpGet:
          {{- if .head }}
          path: /api/gcs_healthz
          port: dashboard
          {{- else }}
          path: /-/healthz
          port: serve
          {{- end }}
        initialDelaySeconds: 10
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 3
      livenessProbe:
        httpGet:
          path: /api/local_raylet_healthz
          port: 52365
        initialDelaySeconds: 60
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 12
      {{- with .part.resources }}
      resources:
        {{- include "nesycd.resources" . | trim | nindent 8 }}
      {{- end }}
      volumeMounts:
        {{- include "nesycd.mounts" (dict "root" .root "knowledge" (not .head) "adapters" (not .head)) | nindent 8 }}
        - name: shared-memory
          mountPath: /dev/shm
        {{- with .part.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    {{- include "nesycd.volumes" (dict "root" .root "knowledge" (not .head) "adapters" (not .head)) | nindent 4 }}
    - name: shared-memory
      emptyDir:
        medium: Memory
        sizeLimit: {{ $values.ray.sharedMemory }}
    {{- with .part.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end }}
