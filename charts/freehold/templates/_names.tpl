{{/* Names, labels and annotations that the objects share. */}}

{{- define "freehold.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Full name of the release, with room for the suffixes of its objects. */}}
{{- define "freehold.fullname" -}}
{{- $name := include "freehold.name" . -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $full | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "freehold.selectorLabels" -}}
app.kubernetes.io/name: {{ include "freehold.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* The operator's pods, as NetworkPolicies of other namespaces name them. */}}
{{- define "freehold.peer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels:
    {{- include "freehold.selectorLabels" . | nindent 4 }}
{{- end -}}

{{- define "freehold.labels" -}}
{{- $own := dict
      "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
      "app.kubernetes.io/version" (.Chart.AppVersion | trunc 63)
      "app.kubernetes.io/managed-by" .Release.Service
      "app.kubernetes.io/part-of" "freehold" -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.extraLabels) $own (include "freehold.selectorLabels" . | fromYaml)) -}}
{{- end -}}

{{/*
Labels and annotations of an object, of those that it shares and its own.
Takes a dict of context, labels and annotations.
*/}}
{{- define "freehold.marks" -}}
labels:
  {{- toYaml (merge (include "freehold.labels" .context | fromYaml) (.labels | default dict)) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .context.Values.extraAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "freehold.serviceAccountName" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "freehold.fullname" .) "default" -}}
{{- .Values.serviceAccount.name | default $made -}}
{{- end -}}

{{- define "freehold.image" -}}
{{- with .Values.image -}}
{{- if and .tag .digest -}}
{{- fail "image.tag and image.digest are both set: an image is named by one of them" -}}
{{- end -}}
{{- $name := printf "%s/%s" ($.Values.global.imageRegistry | default .registry) .repository -}}
{{- if .digest }}{{ $name }}@{{ .digest }}{{ else }}{{ $name }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Name of the Secret with the installation's key. */}}
{{- define "freehold.installKeySecret" -}}
{{ .Values.installKey.existingSecret | default (printf "%s-install-key" (include "freehold.fullname" .)) }}
{{- end -}}
