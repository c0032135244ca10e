"""Configurations and command lines of what makes a machine a node."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.control_plane.pinned import tool
from tests.node.machine import ADDRESS, CNI, POD_GATEWAY, POD_RANGE, SERVICE_RANGE

NODE = "node-1"
PAUSE = "freehold.test/pause:1"
DOMAIN = "cluster.local"
Words = list[str | Path]


@dataclass(frozen=True)
class Mount:
    """A folder of this machine that every container has, read-only, at its own path."""

    path: Path

    @property
    def of_runtime(self) -> dict[str, Any]:
        """The mount as the OCI runtime's specification has it."""
        options = ["rbind", "ro", "nosuid", "nodev"]
        place = str(self.path)
        return {"destination": place, "type": "bind", "source": place, "options": options}


@dataclass(frozen=True)
class Agents:
    """Where their files are.

    Attributes:
        folder: The folder of all files.
        cgroup: The group under which pods have theirs.
    """

    folder: Path
    cgroup: str

    @property
    def socket(self) -> Path:
        """containerd's socket."""
        return self.folder / "containerd.sock"

    def containerd(self, runtime_spec: str, mounts: Sequence[Mount]) -> Words:
        """Write containerd's configuration and return its command line.

        Args:
            runtime_spec: What ``ctr oci spec`` writes.
            mounts: Folders that every container has.
        """
        spec = json.loads(runtime_spec)
        spec["mounts"] += [mount.of_runtime for mount in mounts]
        # as for pods everywhere; HAProxy does not start with the 1,024 files of a bare container
        spec["process"].pop("rlimits", None)
        (self.folder / "runtime-spec.json").write_text(json.dumps(spec))
        self._write_network()
        (self.folder / "containerd.toml").write_text(self._containerd())
        return ["containerd", f"--config={self.folder / 'containerd.toml'}"]

    def _containerd(self) -> str:
        return f"""
version = 2
root = "{self.folder / "containerd"}"
state = "/run/containerd"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs"]
[grpc]
address = "{self.socket}"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE}"
# a machine in a machine may not lower it
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI}"
conf_dir = "{self.folder / "cni"}"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
base_runtime_spec = "{self.folder / "runtime-spec.json"}"
"""

    def _write_network(self) -> None:
        (self.folder / "cni").mkdir()
        # a routed link for each pod: on a bridge, pods would pass each other packets that iptables
        # sees on some kernels only
        link = {
            "type": "ptp",
            "ipam": {
                "type": "host-local",
                "ranges": [[{"subnet": POD_RANGE, "gateway": POD_GATEWAY}]],
                "routes": [{"dst": "0.0.0.0/0"}],
                "dataDir": "/run/cni",
            },
        }
        plugins = [link, {"type": "portmap", "capabilities": {"portMappings": True}}]
        network = {"cniVersion": "1.0.0", "name": "pods", "plugins": plugins}
        (self.folder / "cni" / "10-pods.conflist").write_text(json.dumps(network))

    def kubelet(self, kubeconfig: Path, authority: Path) -> Words:
        """Write the kubelet's configuration and return its command line.

        Args:
            kubeconfig: With which it talks to the API server.
            authority: Who signs the certificate of the API server as its client.
        """
        (self.folder / "no-resolv.conf").touch()
        config = {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": ADDRESS,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(authority)},
            },
            "authorization": {"mode": "Webhook"},
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": self.cgroup,
            "failCgroupV1": False,
            "failSwapOn": False,
            "clusterDNS": [ADDRESS],
            "clusterDomain": DOMAIN,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            # this machine's disk and memory are no business of a test
            "evictionHard": {"memory.available": "0%", "nodefs.available": "0%"},
            "imageGCHighThresholdPercent": 100,
            "oomScoreAdj": 0,
            "podLogsDir": "/var/log/pods",
            "resolvConf": str(self.folder / "no-resolv.conf"),
            # soon, so that a changed Secret is in its pods within a test's patience
            "syncFrequency": "5s",
            "volumePluginDir": str(self.folder / "volume-plugins"),
        }
        (self.folder / "kubelet.yaml").write_text(yaml.safe_dump(config))
        return [
            tool("kubelet"),
            f"--config={self.folder / 'kubelet.yaml'}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'kubelet-certificates'}",
            f"--hostname-override={NODE}",
            f"--node-ip={ADDRESS}",
        ]

    def kube_proxy(self, kubeconfig: Path) -> Words:
        """Write kube-proxy's configuration and return its command line."""
        config = {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            # a table of its own: kube-router writes all of iptables' filter table anew from what it
            # read before, and undoes what others wrote meanwhile
            "mode": "nftables",
            "clusterCIDR": POD_RANGE,
            "hostnameOverride": NODE,
            "clientConnection": {"kubeconfig": str(kubeconfig)},
            # these limits are the whole kernel's
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
            "metricsBindAddress": "127.0.0.1:10249",
        }
        (self.folder / "kube-proxy.yaml").write_text(yaml.safe_dump(config))
        return [tool("kube-proxy"), f"--config={self.folder / 'kube-proxy.yaml'}"]

    def kube_router(self, kubeconfig: Path) -> Words:
        """Return kube-router's command line: of it, only what enforces NetworkPolicies."""
        return [
            tool("kube-router"),
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NODE}",
            f"--service-cluster-ip-range={SERVICE_RANGE}",
            "--run-firewall=true",
            "--run-router=false",
            "--run-service-proxy=false",
            "--health-port=0",
        ]

    def coredns(self, kubeconfig: Path) -> Words:
        """Write CoreDNS' configuration and return its command line; it knows the cluster alone."""
        (self.folder / "Corefile").write_text(
            f"""\
{DOMAIN}:53 {{
    bind {ADDRESS}
    errors
    ready {ADDRESS}:8181
    kubernetes {DOMAIN} {{
        kubeconfig {kubeconfig}
        ttl 5
    }}
}}
.:53 {{
    bind {ADDRESS}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""
        )
        return [tool("coredns"), f"-conf={self.folder / 'Corefile'}"]
