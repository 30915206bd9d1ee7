{{/* Names, labels and images. */}}

{{- define "nesycd.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := .Values.fullnameOverride | default (ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name)) -}}
{{- /* KubeRay adds up to 23 characters for a cluster's services. */ -}}
{{- $full | trunc 40 | trimSuffix "-" -}}
{{- end }}

{{- define "nesycd.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "nesycd.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{ include "nesycd.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
app.kubernetes.io/part-of: nesycd
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The metadata of an object: root, component, name; optional annotations (a map) and namespace. */}}
{{- define "nesycd.metadata" -}}
name: {{ .name }}
namespace: {{ .namespace | default .root.Release.Namespace }}
labels:
  {{- include "nesycd.labels" . | nindent 2 }}
  {{- with .extraLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "nesycd.image" -}}
{{- $image := index .root.Values.images .name -}}
{{- $repository := $image.repository -}}
{{- with .root.Values.images.registry }}{{ $repository = printf "%s/%s" (trimSuffix "/" .) $repository }}{{ end -}}
{{- if $image.digest }}{{ $repository }}@{{ $image.digest }}{{ else }}{{ $repository }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end -}}
{{- end }}

{{/* The service account of a part ("ray", "gateway", "loader"). */}}
{{- define "nesycd.serviceAccount" -}}
{{- $account := (index .root.Values .name).serviceAccount -}}
{{- if $account.create }}{{ $account.name | default (printf "%s-%s" (include "nesycd.fullname" .root) .name) }}{{ else }}{{ $account.name | default "default" }}{{ end -}}
{{- end }}

{{/* The claim of a persistent part ("knowledge", "adapters", "cache"). */}}
{{- define "nesycd.claim" -}}
{{- (index .root.Values .name).persistence.existingClaim | default (printf "%s-%s" (include "nesycd.fullname" .root) .name) -}}
{{- end }}

{{- define "nesycd.tlsSecret" -}}
{{- required "gateway.tls.existingSecret: name the Secret with the certificate and its key" .Values.gateway.tls.existingSecret -}}
{{- end }}
