"""Turns what the hub library raises into faults that say who must do what."""

from __future__ import annotations

from dataclasses import dataclass

from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from freehold.api.faults import Cause, Fault

_SOURCE = "spec.model.source"
_OFFLINE = "Check the network, proxy and HF_ENDPOINT, or give spec.model.architecture."

# The base of the transport's errors is httpx's in version 1 of the library, httpx2's in version 2.
_TRANSPORT = next(base for base in HfHubHTTPError.__mro__ if base.__name__ == "HTTPError")
HUB_ERRORS: tuple[type[BaseException], ...] = (
    _TRANSPORT,
    OSError,
    EntryNotFoundError,
    HFValidationError,
)


@dataclass(frozen=True, slots=True)
class Repository:
    """What was asked of which hub.

    Attributes:
        name: Id of the repository.
        revision: Branch, tag or commit; None for the hub's default.
        hub: URL of the hub.
    """

    name: str
    revision: str | None
    hub: str


def fault_of(error: BaseException, asked: Repository, seconds: float) -> Fault:
    """Return the fault that tells an error of the hub library."""
    # Gated comes before unknown, whose subclass it is.
    if isinstance(error, GatedRepoError):
        return _gated(asked)
    if isinstance(error, RepositoryNotFoundError):
        return _unknown_repository(asked)
    if isinstance(error, RevisionNotFoundError):
        found = f"{asked.revision!r}, which {asked.name} does not have"
        allowed = f"a branch, tag or commit of {asked.hub}/{asked.name}"
        return Fault("spec.model.revision", found, allowed)
    if isinstance(error, EntryNotFoundError) and isinstance(error, HfHubHTTPError):
        return _no_config(asked)
    if isinstance(error, HFValidationError):
        allowed = "a repository id such as Qwen/Qwen3-8B"
        return Fault(_SOURCE, repr(asked.name), allowed)
    if isinstance(error, HfHubHTTPError):
        return _refused(asked, error)
    if isinstance(error, TimeoutError) or "Timeout" in type(error).__name__:
        return no_answer(asked, seconds)
    if isinstance(error, OSError) and error.errno is not None and error.filename:
        found = f"{error.filename}: {error.strerror}"
        return _silent(found, "a cache folder that can be written", "Set HF_HOME to one.")
    return _unreachable(asked, error)


def is_final(error: BaseException) -> bool:
    """Return whether the hub knows better than the cache: it has no such revision or file."""
    kinds = (RevisionNotFoundError, EntryNotFoundError)
    return isinstance(error, HfHubHTTPError) and isinstance(error, kinds)


def no_answer(asked: Repository, seconds: float) -> Fault:
    """Return the fault of a hub that keeps silent."""
    found = f"{asked.hub} did not answer in {seconds:g} s, and {asked.name} is not in the cache"
    return _silent(found, "a hub that answers", f"Try again. {_OFFLINE}")


def not_cached(asked: Repository, missing: tuple[str, ...] = ()) -> Fault:
    """Return the fault of a repository that the cache holds not at all or in part."""
    at = f" at {asked.revision}" if asked.revision else ""
    what = f"{len(missing)} of its files ({missing[0]}) are" if missing else "it is"
    found = f"{asked.name}{at}: offline, and {what} not in the local cache"
    hint = f"Run `hf download {asked.name}` where there is a network, or go online."
    return _silent(found, "a model whose files are in the local cache", hint)


def no_weights(asked: Repository) -> Fault:
    """Return the fault of a repository without safetensors."""
    found = f"{asked.name} has neither model.safetensors nor model.safetensors.index.json"
    hint = "Take a repository with the model's safetensors version."
    return Fault(_SOURCE, found, "weights as safetensors", hint)


def _gated(asked: Repository) -> Fault:
    hint = (
        f"Accept the licence at {asked.hub}/{asked.name}, then give a token of that account: "
        f"HF_TOKEN here, spec.model.credentials in the cluster."
    )
    found = f"{asked.name} is gated"
    return Fault(_SOURCE, found, "a model that you have access to", hint, cause=Cause.ACCESS)


def _unknown_repository(asked: Repository) -> Fault:
    hint = "If it is private, give a token: HF_TOKEN here, spec.model.credentials in the cluster."
    found = f"{asked.name}, which {asked.hub} does not show"
    return Fault(_SOURCE, found, "a repository that exists and that you may see", hint)


def _no_config(asked: Repository) -> Fault:
    found = f"{asked.name} has no config.json"
    hint = "Take a repository in the transformers format, or give spec.model.architecture."
    return Fault(_SOURCE, found, "a repository with config.json", hint)


def _refused(asked: Repository, error: HfHubHTTPError) -> Fault:
    status = error.response.status_code
    if status in (401, 403):
        hint = "Give a valid token that may read it: HF_TOKEN here, spec.model.credentials."
        found = f"{asked.hub} refuses {asked.name} (HTTP {status})"
        return Fault(_SOURCE, found, "a model that your token may read", hint, cause=Cause.ACCESS)
    found = f"{asked.hub} answered HTTP {status} for {asked.name}"
    return _silent(found, "a hub that answers", f"Try again later. {_OFFLINE}")


def _unreachable(asked: Repository, error: BaseException) -> Fault:
    why = "offline mode is on" if isinstance(error, OfflineModeIsEnabled) else _first_line(error)
    found = f"{asked.hub} cannot be reached ({why}), and {asked.name} is not in the cache"
    return _silent(found, "a hub that can be reached", _OFFLINE)


def _silent(found: str, allowed: str, hint: str) -> Fault:
    return Fault(_SOURCE, found, allowed, hint, cause=Cause.UNREACHABLE)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:120] if text else type(error).__name__
