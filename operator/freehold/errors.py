"""What ends a command, and with which exit code.

    FreeholdError
    ├── ManifestInvalid     2   the manifest must be changed
    ├── NoPlanFits          3   no candidate carries the model
    ├── MachineUnfit        4   this machine lacks something: a port, memory, devices, a compiler
    ├── WeightsUnavailable  5   the model cannot be had: missing file, gated, no network
    ├── EngineFailed        6   the engine did not come up, or stopped answering
    ├── RayUnavailable      7   Ray did not start, or the given Ray cannot be used
    └── ClusterUnreachable  8   no Kubernetes cluster is configured, or it refuses the operator

Code 1 is for what nobody foresaw, 130 for Ctrl-C before anything was ready.
"""

from __future__ import annotations

from typing import ClassVar


class FreeholdError(Exception):
    """Something the user can act on; its text is one clear message with what to do."""

    exit_code: ClassVar[int] = 1


class ManifestInvalid(FreeholdError):
    """The manifest must be changed."""

    exit_code = 2


class NoPlanFits(FreeholdError):
    """No candidate carries the model."""

    exit_code = 3


class RenderingRefused(FreeholdError):
    """Ray or the engine would refuse what was rendered: a bug of Freehold's, not the user's."""


class MachineUnfit(FreeholdError):
    """This machine lacks something that the plan needs."""

    exit_code = 4


class WeightsUnavailable(FreeholdError):
    """The model's files cannot be had."""

    exit_code = 5


class EngineFailed(FreeholdError):
    """The engine did not come up, or does not answer."""

    exit_code = 6


class RayUnavailable(FreeholdError):
    """Ray did not start, or the Ray that was given cannot be used."""

    exit_code = 7


class ClusterUnreachable(FreeholdError):
    """No Kubernetes cluster is configured, or it does not let the operator begin."""

    exit_code = 8
