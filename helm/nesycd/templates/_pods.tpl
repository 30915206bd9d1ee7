{{/* What pods have in common. */}}

{{/* Where and how a pod runs: root, part (its values), component; user, if an image needs its own. */}}
{{- define "nesycd.placement" -}}
{{- $context := .root.Values.podSecurityContext }}
{{- with .user }}
{{- $context = merge (dict "runAsUser" . "runAsGroup" . "fsGroup" .) $context }}
{{- end -}}
securityContext:
  {{- toYaml $context | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .part.runtimeClassName }}
runtimeClassName: {{ . }}
{{- end }}
{{- with .part.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- $selector := include "nesycd.selector" (dict "root" $.root "component" $.component) | fromYaml }}
  {{- range . }}
  - {{- merge (dict) . (dict "labelSelector" (dict "matchLabels" $selector)) | toYaml | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}

{{/* The metadata of a pod: root, component, part. No versions: a pod changes with what it runs. */}}
{{- define "nesycd.podMetadata" -}}
labels:
  {{- include "nesycd.selector" . | nindent 2 }}
  app.kubernetes.io/part-of: nesycd
  {{- with .root.Values.commonLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with .part.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.part.podAnnotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The folders that a process of ours writes to or reads from: root, knowledge, adapters (booleans). */}}
{{- define "nesycd.mounts" -}}
- name: tmp
  mountPath: /tmp
- name: cache
  mountPath: /var/cache/nesycd
{{- if and .knowledge (include "nesycd.knowledgeVolume" .root) }}
- name: knowledge
  mountPath: /var/lib/nesycd/knowledge
{{- end }}
{{- if and .adapters .root.Values.adapters.persistence.enabled }}
- name: adapters
  mountPath: /var/lib/nesycd/adapters
  readOnly: true
  {{- with .root.Values.adapters.persistence.subPath }}
  subPath: {{ . }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "nesycd.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: {{ .root.Values.ray.temporaryStorage }}
- name: cache
  {{- if .root.Values.cache.persistence.enabled }}
  {{- include "nesycd.volumeSource" (dict "root" .root "name" "cache") | nindent 2 }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .root.Values.cache.persistence.size }}
  {{- end }}
{{- if and .knowledge (include "nesycd.knowledgeVolume" .root) }}
- name: knowledge
  {{- include "nesycd.volumeSource" (dict "root" .root "name" "knowledge") | nindent 2 }}
{{- end }}
{{- if and .adapters .root.Values.adapters.persistence.enabled }}
- name: adapters
  {{- include "nesycd.volumeSource" (dict "root" .root "name" "adapters" "readOnly" true) | nindent 2 }}
{{- end }}
{{- end }}

{{/* Where the volume of a persistent part comes from: its own source, or a claim. */}}
{{- define "nesycd.volumeSource" -}}
{{- with (index .root.Values .name).persistence }}
{{- if and .volume .existingClaim }}
{{- fail (printf "%s.persistence: volume and existingClaim (%s) exclude each other" $.name .existingClaim) }}
{{- end }}
{{- if .volume }}
{{- toYaml .volume }}
{{- else -}}
persistentVolumeClaim:
  claimName: {{ include "nesycd.claim" (dict "root" $.root "name" $.name) }}
  {{- if $.readOnly }}
  readOnly: true
  {{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Resources, with numbers in the form that Kubernetes gives them back (1 -> "1", 0.5 -> "500m"): KubeRay
     writes the whole worker list again, and Helm 4 takes another form for another's change. */}}
{{- define "nesycd.resources" -}}
{{- range $kind := list "requests" "limits" }}
{{- with index $ $kind }}
{{ $kind }}:
  {{- range $name, $quantity := . }}
  {{- $text := toString $quantity }}
  {{- if regexMatch "^[0-9]*\\.[0-9]+$" $text }}
  {{- $text = printf "%dm" (mulf (float64 $text) 1000 | int) }}
  {{- end }}
  {{ $name }}: {{ $text | quote }}
  {{- end }}
{{- end }}
{{- end }}
{{- with $.claims }}
claims:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
