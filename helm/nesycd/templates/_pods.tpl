{{/* What pods have in common. */}}

{{/* Where and how a pod runs: root, part (its values). */}}
{{- define "nesycd.placement" -}}
securityContext:
  {{- toYaml .root.Values.podSecurityContext | nindent 2 }}
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
  persistentVolumeClaim:
    claimName: {{ include "nesycd.claim" (dict "root" .root "name" "cache") }}
  {{- else }}
  emptyDir:
    sizeLimit: {{ .root.Values.cache.persistence.size }}
  {{- end }}
{{- if and .knowledge (include "nesycd.knowledgeVolume" .root) }}
- name: knowledge
  persistentVolumeClaim:
    claimName: {{ include "nesycd.claim" (dict "root" .root "name" "knowledge") }}
{{- end }}
{{- if and .adapters .root.Values.adapters.persistence.enabled }}
- name: adapters
  persistentVolumeClaim:
    claimName: {{ include "nesycd.claim" (dict "root" .root "name" "adapters") }}
    readOnly: true
{{- end }}
{{- end }}
