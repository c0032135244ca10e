"""Images for a node that can pull none: made here, and put into its containerd.

A root file system of Debian stands for base images. On it the project's own Containerfile is built
with buildah, and an image for Ray: that one holds what Ray and vLLM need of a system, while the
Python environment of this machine, several gigabytes, is mounted into every container.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.control_plane.pinned import cache_folder
from tests.control_plane.processes import ServerFailed
from tests.node.agents import PAUSE, Mount

ROOT = Path(__file__).parents[2]
_SUITE = "bookworm"
# What Python needs, then what Ray and vLLM call: KubeRay's probes wget, and vLLM a compiler at its
# first request.
_PACKAGES = (
    *("python3", "python3-venv", "ca-certificates", "procps"),
    *("wget", "g++", "libsqlite3-0", "libnuma1", "libgomp1", "libffi8", "libssl3"),
)
# By what is in it: another list of packages makes another one.
_DIGEST = hashlib.sha256(" ".join((_SUITE, *_PACKAGES)).encode()).hexdigest()[:12]
_BASE = f"localhost/freehold-test-base:{_DIGEST}"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


@dataclass(frozen=True)
class Image:
    """An image as a file that containerd takes.

    Attributes:
        name: Its name with a tag.
        archive: The file.
    """

    name: str
    archive: Path


def environment_mounts() -> list[Mount]:
    """Return the folders of this machine's Python environment."""
    found = [Path(sys.prefix)]
    if Path(sys.base_prefix) != Path("/usr"):
        found.append(Path(sys.base_prefix))
    return [Mount(it) for it in found]


class Builder:
    """Builds images, and keeps layers for the next time in the cache outside the tree."""

    def __init__(self, folder: Path | None = None) -> None:
        """Work in a folder of the cache, unless another one is named."""
        self.folder = folder or cache_folder() / "images"
        self.folder.mkdir(parents=True, exist_ok=True)
        # else a lock is left in /etc/cni
        self._settings = self.folder / "containers.conf"
        self._settings.write_text(f'[network]\nnetwork_config_dir = "{self.folder / "networks"}"\n')

    def pause(self) -> Image:
        """Return what holds a pod's namespaces."""
        with self._container("scratch") as container:
            self._buildah("copy", container, shutil.which("busybox") or "", "/busybox")
            self._buildah(
                "config", "--entrypoint", '["/busybox", "sleep", "2147483647"]', container
            )
            return self._saved(container, PAUSE)

    def ray(self, name: str) -> Image:
        """Return the image of Ray's pods."""
        self._ensure_base()
        path = f"{sys.prefix}/bin:/usr/local/bin:/usr/bin:/bin"
        with self._container(_BASE) as container:
            for pair in (
                f"PATH={path}",
                "PYTHONDONTWRITEBYTECODE=1",
                "HF_HUB_OFFLINE=1",
                "HOME=/root",
            ):
                self._buildah("config", "--env", pair, container)
            return self._saved(container, name)

    def operator(self, name: str) -> Image:
        """Return the operator's image, built by the project's Containerfile."""
        self._ensure_base()
        arguments = ["--layers", f"--build-arg=PYTHON_IMAGE={_BASE}", "--network=host"]
        of_host = [it for it in (_CERTIFICATES, Path("/etc/pip.conf")) if it.exists()]
        arguments += [f"--volume={path}:{path}:ro" for path in of_host]
        self._buildah(
            "build", *arguments, f"--file={ROOT / 'Containerfile'}", f"--tag={name}", ROOT
        )
        return self._exported(name)

    def _ensure_base(self) -> None:
        if self._buildah("images", "--quiet", f"--filter=reference={_BASE}").strip():
            return
        with (
            tempfile.TemporaryDirectory(dir=self.folder) as made,
            self._container("scratch") as container,
        ):
            root = Path(made) / "root"
            _make_root(root)
            self._buildah("copy", container, root, "/")
            self._buildah(
                "config", "--env", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", container
            )
            self._buildah("commit", "--quiet", container, _BASE)

    @contextmanager
    def _container(self, base: str) -> Iterator[str]:
        name = self._buildah("from", "--pull-never", base).strip()
        try:
            yield name
        finally:
            self._buildah("rm", name)

    def _saved(self, container: str, name: str) -> Image:
        self._buildah("commit", "--quiet", container, name)
        return self._exported(name)

    def _exported(self, name: str) -> Image:
        archive = self.folder / f"{name.replace('/', '-').replace(':', '-')}.tar"
        archive.unlink(missing_ok=True)
        self._buildah("push", "--quiet", name, f"docker-archive:{archive}:{name}")
        return Image(name, archive)

    def _buildah(self, command: str, *arguments: str | Path) -> str:
        where = [f"--root={self.folder / 'storage'}", f"--runroot={self.folder / 'run'}"]
        words = ["buildah", *where, "--storage-driver=overlay", command, *map(str, arguments)]
        settings = {"BUILDAH_ISOLATION": "chroot", "CONTAINERS_CONF": str(self._settings)}
        return _run(words, {**os.environ, **settings})


def _make_root(root: Path) -> None:
    """Make a root file system with a ``python`` that can install, as images of Python have it."""
    packages = f"--include={','.join(_PACKAGES)}"
    _run(["debootstrap", "--variant=minbase", packages, _SUITE, str(root)], os.environ)
    _run(
        ["chroot", str(root), "/usr/bin/python3", "-m", "venv", "/usr/local"],
        {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
    )
    shutil.rmtree(root / "var" / "cache" / "apt", ignore_errors=True)


def _run(words: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(words, env=dict(environment), capture_output=True, text=True)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise ServerFailed(f"{' '.join(words)}\n{last}")
    return done.stdout
