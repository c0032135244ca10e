"""Command lines of the servers. Flags beyond what a server needs to start carry their reason."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from tests.control_plane.pinned import module_of, tool

ISSUER = "https://kubernetes.default.svc.cluster.local"
# Room for thousands of Services and pods.
SERVICE_RANGE = "10.96.0.0/12"
POD_RANGE = "10.128.0.1/9"
# User name, groups; each gets a token and a kubeconfig of its own name.
USERS = {
    "admin": ("admin", "system:masters"),
    "kube-controller-manager": ("system:kube-controller-manager", ""),
    "kube-scheduler": ("system:kube-scheduler", ""),
    "kwok": ("kwok", "system:masters"),
}
# What service accounts ask, but for the servers' own: nobody reads the rest.
AUDIT = """\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, userGroups: ["system:serviceaccounts:kube-system"]}
- {level: Metadata, userGroups: ["system:serviceaccounts"]}
"""


@dataclass(frozen=True)
class Place:
    """Where the servers of a control plane run.

    Attributes:
        address: What the API server listens at.
        service_range: Addresses of Services.
        entry: Words before each server's command, by which it runs in a machine of its own.
        users: Further users beside ``USERS``, alike.
        api_server: Flags of the API server.
    """

    address: str = "127.0.0.1"
    service_range: str = SERVICE_RANGE
    entry: tuple[str, ...] = ()
    users: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # a loopback address can be no endpoint of the Service `kubernetes`
    api_server: tuple[str, ...] = ("--endpoint-reconciler-type=none",)


@dataclass(frozen=True)
class Layout:
    """Where the files of one control plane are, and the port of its API server.

    Attributes:
        folder: The folder of all files.
        port: The API server's port, reserved for the life of the control plane.
        audit: Whether the API server writes an audit log of what service accounts ask.
        place: Where its servers run.
    """

    folder: Path
    port: int
    audit: bool
    place: Place = Place()

    @property
    def users(self) -> Mapping[str, tuple[str, str]]:
        """User name and groups by the name of token and kubeconfig."""
        return {**USERS, **self.place.users}

    @property
    def url(self) -> str:
        """The API server's address."""
        return f"https://{self.place.address}:{self.port}"

    @property
    def certificate(self) -> Path:
        """The API server's certificate, which it signed itself."""
        return self.folder / "certificates" / "apiserver.crt"

    @property
    def audit_log(self) -> Path:
        """The audit log: a JSON object a line."""
        return self.folder / "audit.jsonl"

    def kubeconfig(self, user: str = "admin") -> Path:
        """The kubeconfig of one of ``USERS``."""
        return self.folder / f"{user}.kubeconfig"

    def write(self, tokens: dict[str, str]) -> None:
        """Write the files that the servers read at their start."""
        rows = (
            f'{token},{self.users[name][0]},{name},"{self.users[name][1]}"'
            for name, token in tokens.items()
        )
        _write_private(self.folder / "tokens.csv", "".join(f"{row}\n" for row in rows))
        for name, token in tokens.items():
            _write_private(self.kubeconfig(name), kubeconfig(self.url, self.certificate, token))
        (self.folder / "audit-policy.yaml").write_text(AUDIT)
        (self.folder / "kwok.yaml").write_text(_stages())

    def etcd(self) -> list[str | Path]:
        """Return etcd's command line. Only the API server talks to it, through a socket file."""
        return [
            tool("etcd"),
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls=unix://{self.folder / 'etcd.sock'}",
            # it takes no socket file here, and nobody reads it
            "--advertise-client-urls=http://127.0.0.1:0",
            "--listen-peer-urls=http://127.0.0.1:0",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ]

    def api_server(self) -> list[str | Path]:
        """Return the API server's command line. Its own key signs the service accounts' tokens."""
        key = self.certificate.with_suffix(".key")
        audit = (
            f"--audit-policy-file={self.folder / 'audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
        )
        return [
            tool("kube-apiserver"),
            f"--etcd-servers=unix://{self.folder / 'etcd.sock'}",
            f"--cert-dir={self.certificate.parent}",
            f"--bind-address={self.place.address}",
            f"--advertise-address={self.place.address}",
            f"--secure-port={self.port}",
            # the port is held by a socket of ours, so that nobody takes it during a restart
            "--permit-port-sharing=true",
            f"--service-cluster-ip-range={self.place.service_range}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--allow-privileged=true",
            "--profiling=false",
            *self.place.api_server,
            *(audit if self.audit else ()),
        ]

    def controller_manager(self) -> list[str | Path]:
        """Return the controller manager's command line."""
        return [
            tool("kube-controller-manager"),
            f"--kubeconfig={self.kubeconfig('kube-controller-manager')}",
            f"--root-ca-file={self.certificate}",
            f"--service-account-private-key-file={self.certificate.with_suffix('.key')}",
            "--use-service-account-credentials",
            # it makes the folder, by default in /usr
            f"--flex-volume-plugin-dir={self.folder / 'volume-plugins'}",
            *_ALONE,
        ]

    def scheduler(self) -> list[str | Path]:
        """Return the scheduler's command line."""
        return [
            tool("kube-scheduler"),
            f"--kubeconfig={self.kubeconfig('kube-scheduler')}",
            *_ALONE,
        ]

    def kwok(self) -> list[str | Path]:
        """Return kwok's command line: it answers for nodes with its annotation, and their pods."""
        return [
            tool("kwok"),
            f"--kubeconfig={self.kubeconfig('kwok')}",
            f"--config={self.folder / 'kwok.yaml'}",
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
            f"--cidr={POD_RANGE}",
            "--node-ip=10.0.0.1",
            "--node-lease-duration-seconds=40",
        ]


_ALONE = (
    # one of each, so nothing to elect and no port to serve on
    "--leader-elect=false",
    "--secure-port=0",
    # thousands of objects at once, on a machine whose API server has nobody else
    "--kube-api-qps=500",
    "--kube-api-burst=1000",
)


def kubeconfig(server: str, certificate: Path, token: str) -> str:
    """Return a kubeconfig (JSON, which is YAML) of one user with a bearer token."""
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "freehold-test",
                    "cluster": {"server": server, "certificate-authority": str(certificate)},
                }
            ],
            "users": [{"name": "user", "user": {"token": token}}],
            "contexts": [
                {"name": "freehold-test", "context": {"cluster": "freehold-test", "user": "user"}}
            ],
            "current-context": "freehold-test",
        },
        indent=1,
    )


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


def _stages() -> str:
    """Return kwok's own stages: nodes get Ready and a lease, pods run, finish and go at once."""
    kwok = module_of("kwok")
    texts = [
        path.read_text()
        for asset in kwok.assets
        for path in sorted((kwok.built / asset).glob("*.yaml"))
    ]
    stages = [document for text in texts for document in yaml.safe_load_all(text)]
    return yaml.safe_dump_all(stage for stage in stages if stage["kind"] == "Stage")
