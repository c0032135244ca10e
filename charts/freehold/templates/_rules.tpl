{{/*
Rules of the operator, each of which a test removes to see what fails. It makes Secrets and reads
none: what is in them follows from the installation's key, and others' it hands to pods by name.
*/}}

{{/* In every namespace that it watches. */}}
{{- define "freehold.modelRules" -}}
- apiGroups: [freehold.dev]
  resources: [modeldeployments]
  verbs: [list, watch]
- apiGroups: [freehold.dev]
  resources: [modeldeployments/status]
  verbs: [patch]
- apiGroups: [ray.io]
  resources: [rayservices]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [ray.io]
  resources: [rayservices/status]
  verbs: [patch]
- apiGroups: [ray.io]
  resources: [rayclusters]
  verbs: [list, watch, patch, delete]
- apiGroups: [apps]
  resources: [controllerrevisions]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, list, watch, create, patch]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch{{ if .Values.sourcePods }}, create, delete{{ end }}]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* In the whole cluster, whatever it watches: what has no namespace. */}}
{{- define "freehold.clusterRules" -}}
- apiGroups: [freehold.dev]
  resources: [acceleratorclasses]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [nodes]
  verbs: [list, watch]
{{- end -}}

{{/*
In its own namespace: the Lease that says which pod works, and the Secret with the installation's
key. A create cannot be held to a name.
*/}}
{{- define "freehold.leaseRules" -}}
{{- if .Values.watchNamespaces }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end }}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [freehold-operator]
  verbs: [get, update]
{{- end -}}

{{/* Reference to a role; takes a dict of context, kind and name, and binds the operator. */}}
{{- define "freehold.binding" -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ .kind }}
  name: {{ .name }}
subjects:
- kind: ServiceAccount
  name: {{ include "freehold.serviceAccountName" .context }}
  namespace: {{ .context.Release.Namespace }}
{{- end -}}
