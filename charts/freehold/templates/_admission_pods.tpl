{{/* What the policy on pod templates looks at, and what it allows there. */}}

{{/*
Fields that have limits: of which part of a pod, the pattern of what may stand there as text, the
same in words, and the value that lifts the limit. Those that allowPrivileged lifts are Pod
Security's level "baseline", and allowPrivilegeEscalation, by which a container may become more. Of
lists, parts have only the items that are refused, so that what may stand there is [].
*/}}
{{- define "freehold.podLimits" -}}
- {value: allowPrivileged, of: securityContext, field: privileged, may: "false|null", told: "false"}
- {value: allowPrivileged, of: securityContext, field: allowPrivilegeEscalation, may: "false|null", told: "false"}
- {value: allowPrivileged, of: securityContext, field: procMount, may: "Default|null", told: Default}
- {value: allowPrivileged, of: windowsOptions, field: hostProcess, may: "false|null", told: "false"}
- {value: allowPrivileged, of: seccompProfile, field: type, may: "RuntimeDefault|Localhost|null", told: RuntimeDefault or Localhost}
- {value: allowPrivileged, of: appArmorProfile, field: type, may: "RuntimeDefault|Localhost|null", told: RuntimeDefault or Localhost}
- {value: allowPrivileged, of: seLinuxOptions, field: type, may: "(container(_init|_kvm|_engine)?_t)?|null", told: "container_t, container_init_t, container_kvm_t or container_engine_t"}
- {value: allowPrivileged, of: seLinuxOptions, field: user, may: "|null", told: no value}
- {value: allowPrivileged, of: seLinuxOptions, field: role, may: "|null", told: no value}
- {value: allowPrivileged, of: capabilities, field: add, may: "[[][]]", told: "{{ join ", " (include "freehold.capabilities" . | fromJsonArray) }}"}
- {value: allowPrivileged, of: metadata, field: annotations, may: "[[][]]", told: the AppArmor profiles runtime/default and localhost/…}
- {value: allowHostPath, of: volume, field: hostPath, may: "null", told: no path of the node}
- {value: allowHostNamespaces, of: pod, field: hostNetwork, may: "false|null", told: "false"}
- {value: allowHostNamespaces, of: pod, field: hostPID, may: "false|null", told: "false"}
- {value: allowHostNamespaces, of: pod, field: hostIPC, may: "false|null", told: "false"}
- {value: allowHostNamespaces, of: container, field: ports, may: "[[][]]", told: ports without hostPort}
{{- end -}}

{{- define "freehold.capabilities" -}}
["AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"]
{{- end -}}

{{/* The limits that the values leave, as a CEL list of mappings of text. */}}
{{- define "freehold.podLimitsLeft" -}}
[
{{- $left := list -}}
{{- range include "freehold.podLimits" . | fromYamlArray }}
{{- if not (get $.Values.admission .value) }}
{{- $hint := include "freehold.askFor" .value }}
{{- $left = append $left (dict "of" .of "field" .field "may" (printf "^(%s)$" .may) "told" (printf "%s. %s" .told $hint)) }}
{{- end }}
{{- end }}
{{- range $i, $limit := $left }}
{{- if $i }},{{ end }}
  {{ toJson $limit }}
{{- end }}
]
{{- end -}}

{{/* The items of lists of both pods as {at: path, is: mapping, raw: what stands there}. */}}
{{- define "freehold.itemsOfPods" -}}
{{- $lists := . -}}
{{- range $i, $pod := tuple "head" "worker" }}
{{- range $j, $list := $lists }}
{{- if or $i $j }} +
{{ end -}}
{{ include "freehold.listAt" (dict "of" (printf "variables.pods[%d].is" $i) "key" $list) }}.map(it, {
  'at': dyn('spec.templates.{{ $pod }}.spec.{{ $list }}[name=' +
    (type(it) == map ? '%s'.format([it[?'name'].orValue('')]) : '').find('^.{0,60}') + ']'),
  'is': dyn(type(it) == map ? it : {}),
  'raw': dyn(it)
})
{{- end }}
{{- end }}
{{- end -}}

{{/* The parts of pods that have limits, as {of: kind, at: path, is: mapping}. */}}
{{- define "freehold.partsOfPods" -}}
variables.pods.map(it, {'of': dyn('pod'), 'at': dyn(it.at), 'is': it.is}) +
variables.volumes.map(it, {'of': dyn('volume'), 'at': dyn(it.at), 'is': it.is}) +
variables.securityContexts.map(it, {'of': dyn('securityContext'), 'at': dyn(it.at), 'is': it.is}) +
{{- range tuple "windowsOptions" "seccompProfile" "appArmorProfile" "seLinuxOptions" }}
variables.securityContexts.map(it, {'of': dyn('{{ . }}'), 'at': dyn(it.at + '.{{ . }}'), 'is':
  {{ include "freehold.mapAt" (dict "of" "it.is" "key" .) }}
}) +
{{- end }}
variables.securityContexts.map(it, {'of': dyn('capabilities'), 'at': dyn(it.at + '.capabilities'), 'is': dyn({'add':
  {{ include "freehold.listAt" (dict "of" (include "freehold.mapAt" (dict "of" "it.is" "key" "capabilities")) "key" "add") }}
  .filter(name, !(name in {{ include "freehold.capabilities" . }}))
})}) +
variables.containers.map(it, {'of': dyn('container'), 'at': dyn(it.at), 'is': dyn({'ports':
  {{ include "freehold.listAt" (dict "of" "it.is" "key" "ports") }}
  .filter(port, type(port) == map && !('%s'.format([port[?'hostPort'].orValue(0)]) in ['0', 'null']))
})}) +
variables.changed.map(it, {'of': dyn('metadata'), 'at': dyn(it.at + '.metadata'), 'is': dyn({'annotations':
  [{{ include "freehold.mapAt" (dict "of" (include "freehold.mapAt" (dict "of" "it.is" "key" "metadata")) "key" "annotations") }}]
  .map(all, all.filter(key, key.startsWith('container.apparmor.security.beta.kubernetes.io/') &&
    !'%s'.format([all[key]]).matches('^(null|runtime/default|localhost/.*)?$')))[0]
})})
{{- end -}}

{{/* What is of another type than Kubernetes takes, so that nothing can be said about what is in it. */}}
{{- define "freehold.misshapenPods" -}}
variables.pods.filter(it, it.raw != null && type(it.raw) != map)
.map(it, it.at + ': found ' + {{ include "freehold.shown" "it.raw" }} + '; allowed: a mapping.') +
variables.pods.map(pod, ['containers', 'initContainers', 'ephemeralContainers', 'volumes']
  .filter(it, pod.is[?it].orValue(null) != null && type(pod.is[?it].orValue(null)) != list)
  .map(it, pod.at + '.' + it + ': found ' + {{ include "freehold.shown" "pod.is[it]" }} + '; allowed: a list.').join('\n')) +
(variables.containers + variables.volumes).filter(it, type(it.raw) != map)
.map(it, it.at + ': found ' + {{ include "freehold.shown" "it.raw" }} + '; allowed: a mapping.') +
(variables.pods + variables.containers).filter(it, it.is[?'securityContext'].orValue(null) != null && type(it.is[?'securityContext'].orValue(null)) != map)
.map(it, it.at + '.securityContext: found ' + {{ include "freehold.shown" "it.is.securityContext" }} + '; allowed: a mapping.')
{{- end -}}
