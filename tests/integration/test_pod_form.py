"""The form of a pod template, held to Go's own types: those of a real API server.

What it answers has its defaults in addition. That nothing of ours is another there, or gone, says
that whoever reads the template into these types and writes it back, as KubeRay does, changes
nothing of ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import yaml
from tests.integration.harness import Kubectl
from tests.unit.render.rendered import planned, service_of
from tests.unit.render.test_pod_form import CASES

from freehold.render.pod_form import in_go_form

# Of everything that Go leaves out in one place and not in another.
OVERLAY = yaml.safe_load("""
metadata:
  annotations: {example.com/empty: ""}
spec:
  hostNetwork: false
  hostPID: false
  shareProcessNamespace: false
  enableServiceLinks: false
  schedulerName: ""
  nodeSelector: {example.com/disk: ""}
  overhead: {}
  priority: 0
  terminationGracePeriodSeconds: 0
  securityContext:
    {runAsUser: 0, supplementalGroups: [], sysctls: [{name: kernel.msgmax, value: ""}]}
  dnsConfig: {nameservers: [], options: [{name: ndots, value: ""}]}
  imagePullSecrets: []
  tolerations:
  - {key: "", operator: Exists, value: "", effect: ""}
  - {key: example.com/busy, operator: Exists, tolerationSeconds: 0, effect: NoExecute}
  topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector: {matchLabels: {}}
  affinity: {podAffinity: {}, nodeAffinity: {}}
  initContainers:
  - {name: first, image: one, stdin: false, tty: true, command: [], env: [{name: EMPTY, value: ""}]}
  containers:
  - name: sidecar
    image: two
    workingDir: ""
    resources:
      requests: {cpu: 0.25, memory: 1.5Gi, example.com/thing: 1000}
      limits: {cpu: 1000m, memory: 2048Mi, ephemeral-storage: 12e7, example.com/thing: 1k}
    ports: [{containerPort: 9000, hostPort: 0, name: "", protocol: TCP}]
    securityContext: {privileged: false, runAsNonRoot: false, capabilities: {}}
    readinessProbe:
      initialDelaySeconds: 0
      httpGet: {port: 9000, path: "", httpHeaders: [{name: X, value: ""}]}
    livenessProbe: {grpc: {port: 9000, service: ""}, terminationGracePeriodSeconds: 1}
    startupProbe: {tcpSocket: {port: 9000, host: ""}, failureThreshold: 0}
    volumeMounts:
    - {name: scratch, mountPath: /scratch, readOnly: false, subPath: ""}
    env:
    - {name: LIMIT, valueFrom: {resourceFieldRef: {resource: limits.cpu, divisor: 1000m}}}
    - {name: OPTIONAL, valueFrom: {secretKeyRef: {name: a, key: b, optional: false}}}
    envFrom: [{prefix: "", configMapRef: {name: a, optional: false}}]
    lifecycle: {preStop: {sleep: {seconds: 0}}}
  volumes:
  - {name: scratch, emptyDir: {medium: "", sizeLimit: 1024Mi}}
  - {name: empty, emptyDir: {}}
  - {name: share, nfs: {server: a, path: /b, readOnly: false}}
  - {name: driver, csi: {driver: a.example.com, fsType: "", readOnly: false, volumeAttributes: {}}}
  - {name: claim, persistentVolumeClaim: {claimName: a, readOnly: false}}
  - {name: host, hostPath: {path: /a, type: ""}}
  - {name: secret, secret: {secretName: a, items: [], optional: false, defaultMode: 0}}
  - name: made
    ephemeral:
      volumeClaimTemplate:
        spec:
          accessModes: [ReadWriteOnce]
          storageClassName: ""
          resources: {requests: {storage: 1024Gi}}
""")
OVERLAID = planned(templates={"head": OVERLAY, "worker": OVERLAY})
TEMPLATES = {
    f"{name} {part}": template
    for name, item in {**CASES, "everything": OVERLAID}.items()
    for part, template in {
        "head": service_of(item)["spec"]["rayClusterConfig"]["headGroupSpec"]["template"],
        "worker": service_of(item)["spec"]["rayClusterConfig"]["workerGroupSpecs"][0]["template"],
    }.items()
}


def taken(kubectl: Kubectl, template: Mapping[str, Any]) -> dict[str, Any]:
    """Return the template as the API server has it, without keeping it."""
    item = {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {"name": "held"},
        "template": template,
    }
    options = ("--dry-run=server", "--validate=strict", "--output=json", "-f-")
    found = json.loads(kubectl("create", *options, stdin=json.dumps(item)))["template"]
    return dict(found)


def missed(ours: Any, theirs: Any, path: str = "") -> Iterator[str]:
    """Yield where theirs has not what ours has, to the last byte."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for name, value in ours.items():
            if name in theirs:
                yield from missed(value, theirs[name], f"{path}.{name}")
            else:
                yield f"{path}.{name}: {value!r} is gone"
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, pair in enumerate(zip(ours, theirs, strict=True)):
            yield from missed(*pair, f"{path}[{index}]")
    elif json.dumps(ours) != json.dumps(theirs):
        yield f"{path}: {ours!r} is {theirs!r}"


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_the_api_server_has_every_byte_of_it(kubectl: Kubectl, template: dict[str, Any]) -> None:
    assert [*missed(template, taken(kubectl, template))] == []


def test_what_a_user_may_write_is_not_in_that_form(kubectl: Kubectl) -> None:
    """So that the test above would see it: Go drops or rewrites much of the overlay."""
    written = {**OVERLAY, "metadata": {**OVERLAY["metadata"], "labels": {}}}
    lost = [*missed(written, taken(kubectl, written))]
    assert len(lost) > 30, lost
    assert [*missed(in_go_form(written), taken(kubectl, written))] == []
