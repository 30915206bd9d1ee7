{{/* Settings of nesycd: as environment variables, and as the arguments of the Serve application. */}}

{{/* "neo4j" or "embedded". */}}
{{- define "nesycd.store" -}}
{{- if and .Values.neo4j.uri .Values.neo4j.bundled.enabled }}
{{- fail "neo4j.uri and neo4j.bundled.enabled exclude each other: an external server or the bundled one" }}
{{- end }}
{{- if or .Values.neo4j.uri .Values.neo4j.bundled.enabled }}neo4j{{ else }}embedded{{ end }}
{{- end }}

{{/* "true" when pods share a volume with the embedded store. */}}
{{- define "nesycd.knowledgeVolume" -}}
{{- if and (eq (include "nesycd.store" .) "embedded") .Values.knowledge.persistence.enabled }}true{{ end }}
{{- end }}

{{- define "nesycd.neo4jUri" -}}
{{- .Values.neo4j.uri | default (printf "bolt://%s-neo4j.%s.svc:7687" (include "nesycd.fullname" .) .Release.Namespace) -}}
{{- end }}

{{/* Name of the Secret with Neo4j's password; empty when the server asks for none. */}}
{{- define "nesycd.neo4jSecret" -}}
{{- if .Values.neo4j.existingSecret }}{{ .Values.neo4j.existingSecret }}
{{- else if or .Values.neo4j.password .Values.neo4j.bundled.enabled }}{{ include "nesycd.fullname" . }}-neo4j
{{- end }}
{{- end }}

{{/* Refuses settings that have values of their own. */}}
{{- define "nesycd.checkSettings" -}}
{{- $own := dict
  "cache_dir" "cache.persistence"
  "student.adapters_dir" "adapters.persistence"
  "knowledge.store" "neo4j.uri or neo4j.bundled.enabled"
  "knowledge.path" "knowledge.persistence"
  "knowledge.neo4j_uri" "neo4j.uri"
  "knowledge.neo4j_user" "neo4j.user"
  "knowledge.neo4j_password" "neo4j.existingSecret"
  "knowledge.neo4j_database" "neo4j.database"
  "serve.ray_address" "nothing: Ray is in the same pod"
  "serve.grpc_port" "nothing: it is 9000"
  "serve.http_port" "nothing: it is 8000"
  "gateway.host" "nothing: it is every address"
  "gateway.port" "gateway.service.port"
  "gateway.health_port" "nothing: it is 50052"
  "gateway.metrics_port" "nothing: it is 9464"
  "gateway.upstream" "nothing: it is the RayService's"
  "gateway.tls_certificate" "gateway.tls"
  "gateway.tls_key" "gateway.tls"
  "gateway.tls_client_ca" "gateway.tls"
}}
{{- range $section, $content := .Values.settings }}
  {{- if kindIs "map" $content }}
    {{- range $name := keys $content }}
      {{- with index $own (printf "%s.%s" $section $name) }}
        {{- fail (printf "settings.%s.%s is set by the chart; use %s" $section $name .) }}
      {{- end }}
    {{- end }}
  {{- else }}
    {{- with index $own $section }}
      {{- fail (printf "settings.%s is set by the chart; use %s" $section .) }}
    {{- end }}
  {{- end }}
{{- end }}
{{- range list "reasoner" "student" "knowledge" }}
  {{- $fewest := index $.Values.settings.serve (printf "%s_replicas" .) | int }}
  {{- $most := index $.Values.settings.serve (printf "%s_max_replicas" .) | int }}
  {{- if gt $fewest $most }}
    {{- fail (printf "settings.serve.%s_replicas=%d is above settings.serve.%s_max_replicas=%d" . $fewest . $most) }}
  {{- end }}
{{- end }}
{{- end }}

{{/* A setting's text in an environment variable: numbers as written, never with an exponent. */}}
{{- define "nesycd.text" -}}
{{- if kindIs "string" . }}{{ quote . }}{{ else }}{{ toJson . | quote }}{{ end }}
{{- end }}

{{/* Environment variables of a process outside Ray: root, sections (those that it reads). */}}
{{- define "nesycd.settingsEnv" -}}
{{- range $name, $value := .root.Values.settings }}
{{- if not (kindIs "map" $value) }}
- name: NESYCD_{{ upper $name }}
  value: {{ include "nesycd.text" $value }}
{{- else if has $name $.sections }}
{{- range $key, $inner := $value }}
- name: NESYCD_{{ upper $name }}__{{ upper $key }}
  value: {{ include "nesycd.text" $inner }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where a process writes whose root file system is read-only, and Neo4j's password. */}}
{{- define "nesycd.processEnv" -}}
- name: HOME
  value: /tmp
- name: USER
  value: nesycd
- name: HF_HOME
  value: /var/cache/nesycd/huggingface
- name: NESYCD_CACHE_DIR
  value: /var/cache/nesycd
{{- if eq (include "nesycd.store" .) "neo4j" }}
{{- with include "nesycd.neo4jSecret" . }}
- name: NESYCD_KNOWLEDGE__NEO4J_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ . }}
      key: {{ $.Values.neo4j.passwordKey }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the knowledge is: a map of settings of the section `knowledge`, as YAML. */}}
{{- define "nesycd.knowledgeSettings" -}}
store: {{ include "nesycd.store" . }}
{{- if eq (include "nesycd.store" .) "neo4j" }}
neo4j_uri: {{ include "nesycd.neo4jUri" . | quote }}
neo4j_user: {{ .Values.neo4j.user | quote }}
{{- with .Values.neo4j.database }}
neo4j_database: {{ . | quote }}
{{- end }}
{{- else if .Values.knowledge.persistence.enabled }}
path: /var/lib/nesycd/knowledge/knowledge.db
{{- end }}
{{- end }}

{{/* The settings of the Serve application, by section: the arguments of its builder. */}}
{{- define "nesycd.applicationArguments" -}}
{{- $replicas := list "reasoner_replicas" "reasoner_max_replicas" "student_replicas" "student_max_replicas" "knowledge_replicas" "knowledge_max_replicas" }}
{{- $own := dict "knowledge" (include "nesycd.knowledgeSettings" . | fromYaml) "student" dict }}
{{- if .Values.adapters.persistence.enabled }}
{{- $own = set $own "student" (dict "adapters_dir" "/var/lib/nesycd/adapters") }}
{{- end }}
{{- range $section, $content := .Values.settings }}
{{- if kindIs "map" $content }}
{{- $content = merge (dict) $content (index $own $section | default dict) }}
{{- if eq $section "serve" }}{{ range $replicas }}{{ $content = omit $content . }}{{ end }}{{ end }}
{{- if $content }}
{{ $section }}:
  {{- range $name, $value := $content }}
  {{ $name }}: {{ toJson $value }}
  {{- end }}
{{- end }}
{{- else }}
{{ $section }}: {{ toJson $content }}
{{- end }}
{{- end }}
{{- end }}
