"""The pinned tools: which module makes which programs, and where a build of it is kept."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "tools"


def cache_folder() -> Path:
    """Return the folder outside the tree for what is built once: ``FREEHOLD_CACHE``, else XDG's."""
    if chosen := os.environ.get("FREEHOLD_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "freehold"


@dataclass(frozen=True)
class Module:
    """A Go module of its own under ``tools/``, since the requirements of the tools clash.

    Attributes:
        name: The folder under ``tools/``.
        source: The Go module whose version is the tool's.
        programs: Program names, each with the name that ``go build`` gives it.
        version_variables: Variables that the linker sets to the version, as releases do.
        assets: Folders of the source that are kept beside the programs.
    """

    name: str
    source: str
    programs: dict[str, str]
    version_variables: tuple[str, ...] = ()
    assets: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of ``go.mod`` and ``go.sum``."""
        return FOLDER / self.name

    @property
    def version(self) -> str:
        """The pinned version, like ``v1.36.3``."""
        text = (self.folder / "go.mod").read_text()
        found = re.search(rf"^\s*(?:require )?{re.escape(self.source)} (v\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.folder}/go.mod does not require {self.source}")
        return found[1]

    @property
    def go_version(self) -> tuple[int, int]:
        """The Go that the module asks for, like ``(1, 26)``."""
        found = re.search(r"^go (\d+)\.(\d+)", (self.folder / "go.mod").read_text(), re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.folder}/go.mod names no Go version")
        return int(found[1]), int(found[2])

    @property
    def linker_flags(self) -> str:
        """What ``-ldflags`` gets."""
        stamps = (f"-X {name}={self.version}" for name in self.version_variables)
        return " ".join(["-s -w", *stamps])

    @property
    def built(self) -> Path:
        """The folder of the programs, by a digest of all that decides how they come out."""
        digest = hashlib.sha256()
        for name in ("go.mod", "go.sum"):
            digest.update((self.folder / name).read_bytes())
        parts = (self.linker_flags, repr((self.programs, self.assets)))
        digest.update("\n".join([*parts, sys.platform, platform.machine()]).encode())
        return cache_folder() / "tools" / f"{self.name}-{digest.hexdigest()[:16]}"

    @property
    def is_built(self) -> bool:
        """Whether the programs are there; a build appears whole or not at all."""
        return self.built.is_dir()


MODULES = (
    Module("etcd", "go.etcd.io/etcd/server/v3", {"etcd": "server"}),
    Module(
        "kubernetes",
        "k8s.io/kubernetes",
        {
            name: name
            for name in (
                *("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"),
                *("kubelet", "kube-proxy"),
            )
        },
        ("k8s.io/component-base/version.gitVersion",),
    ),
    Module(
        "kwok",
        "sigs.k8s.io/kwok",
        {"kwok": "kwok"},
        assets=(
            "kustomize/stage/node/fast",
            "kustomize/stage/node/heartbeat-with-lease",
            "kustomize/stage/pod/fast",
        ),
    ),
    Module(
        "helm", "helm.sh/helm/v4", {"helm": "helm"}, ("helm.sh/helm/v4/internal/version.version",)
    ),
    Module("versitygw", "github.com/versity/versitygw", {"versitygw": "versitygw"}),
)

# What a real node needs beside them.
NODE_MODULES = (
    Module("coredns", "github.com/coredns/coredns", {"coredns": "coredns"}),
    Module(
        "kube-router",
        "github.com/cloudnativelabs/kube-router/v2",
        {"kube-router": "kube-router"},
        ("github.com/cloudnativelabs/kube-router/v2/pkg/version.Version",),
    ),
)


def module_of(program: str) -> Module:
    """Return the module that makes a program.

    Raises:
        KeyError: No module makes it.
    """
    modules = (*MODULES, *NODE_MODULES)
    for module in modules:
        if program in module.programs:
            return module
    known = sorted(name for module in modules for name in module.programs)
    raise KeyError(f"no tool {program!r}; there are {known}")


def tool(program: str) -> Path:
    """Return the path of a program; ``build.ensure`` makes it."""
    return module_of(program).built / program
