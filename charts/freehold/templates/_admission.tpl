{{/*
What the admission policies share, in Common Expression Language (CEL). An overlay on a pod template
may hold anything, so that each step asks what it has before it goes on: an expression that ends in
an error refuses too, but nobody understands why. Lists and mappings that an expression writes hold
values of one type; what may be of any is given the type dyn.
*/}}

{{/* Which requests are judged. A write that leaves spec alone, such as of a finalizer, never is. */}}
{{- define "freehold.judgedRequests" -}}
failurePolicy: Fail
matchConstraints:
  resourceRules:
  - apiGroups: [freehold.dev]
    apiVersions: [v1alpha1]
    operations: [CREATE, UPDATE]
    resources: [modeldeployments]
matchConditions:
- name: spec-is-new
  expression: oldObject == null || object.spec != oldObject.spec
{{- end -}}

{{/* What binds a policy to the namespaces that the operator serves; takes context and name. */}}
{{- define "freehold.policyBinding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ .name }}
  {{- include "freehold.marks" (dict "context" .context) | nindent 2 }}
spec:
  policyName: {{ .name }}
  validationActions: [Deny]
  {{- with .context.Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
          {{- toYaml . | nindent 10 }}
  {{- end }}
{{- end -}}

{{/*
The validation that variables.faults, a list of sentences, is empty; it tells the first three. Takes
reason and message, which stands where there is no room for the sentences.
*/}}
{{- define "freehold.noFaults" -}}
- expression: variables.faults.size() == 0
  reason: {{ .reason }}
  messageExpression: >-
    variables.faults.filter(it, variables.faults.indexOf(it) < 3).join(' ') +
    (variables.faults.size() > 3 ? ' And %d more.'.format([variables.faults.size() - 3]) : '')
  message: {{ .message }}
{{- end -}}

{{/* A value as a message shows it: the beginning of its first line. */}}
{{- define "freehold.shown" -}}
'%s'.format([{{ . }}]).find('^.{0,60}')
{{- end -}}

{{/* The mapping, or the list, under a key; an empty one for nothing, null and anything else. */}}
{{- define "freehold.mapAt" -}}
dyn(type({{ .of }}[?'{{ .key }}'].orValue(null)) == map ? {{ .of }}[?'{{ .key }}'].orValue({}) : {})
{{- end -}}
{{- define "freehold.listAt" -}}
dyn(type({{ .of }}[?'{{ .key }}'].orValue(null)) == list ? {{ .of }}[?'{{ .key }}'].orValue([]) : [])
{{- end -}}

{{/* Who can allow what was refused, and how; takes the value's name. */}}
{{- define "freehold.askFor" -}}
Ask the administrator of the cluster to allow more: value admission.{{ . }} of the chart.
{{- end -}}
