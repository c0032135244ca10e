"""Describes a model on the Hugging Face hub, from its config.json and its safetensors index.

Everything goes through the ``huggingface_hub`` library: its cache, and its variables HF_HOME,
HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE. Weights are never downloaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import HfApi, constants, get_hf_file_metadata, hf_hub_download, hf_hub_url
from huggingface_hub.errors import RemoteEntryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

from freehold.api.architecture import ModelDescription
from freehold.api.faults import Fault
from freehold.sources.config_json import describe, with_quantization
from freehold.sources.hub_cache import HubCache
from freehold.sources.hub_faults import (
    HUB_ERRORS,
    Repository,
    fault_of,
    is_final,
    no_answer,
    no_weights,
    not_cached,
)
from freehold.sources.time_limit import within
from freehold.sources.weight_files import (
    CONFIG,
    INDEX,
    MODEL_OPTIMIZER,
    SINGLE,
    WeightFiles,
    read_object,
    weight_files,
)


@dataclass(frozen=True, slots=True)
class HubDescription:
    """A model of the hub.

    Attributes:
        description: Its shape and checkpoint.
        commit: The commit that the revision meant when it was read.
    """

    description: ModelDescription
    commit: str


@dataclass(frozen=True, slots=True)
class Hub:
    """Where the hub is and how long it may take.

    Attributes:
        endpoint: Its URL; None for HF_ENDPOINT or the public hub.
        cache: Folder of the library's cache; None for the one under HF_HOME.
        token: Access token; None for HF_TOKEN or the one that the library has stored.
        answer_seconds: How long one request may go without an answer.
        total_seconds: How long everything together may take.
    """

    endpoint: str | None = None
    cache: Path | None = None
    token: str | None = None
    answer_seconds: float = 5.0
    total_seconds: float = 60.0

    @property
    def url(self) -> str:
        """Return the hub's URL."""
        return self.endpoint or constants.ENDPOINT


PUBLIC_HUB = Hub()
T = TypeVar("T")


class _NoBar(tqdm):  # type: ignore[type-arg, unused-ignore]
    """A progress bar that is not drawn: the files read here are small."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "disable": True})  # type: ignore[no-untyped-call]


def describe_repository(
    repository: str, revision: str | None, offline: bool = False, hub: Hub = PUBLIC_HUB
) -> HubDescription | tuple[Fault, ...]:
    """Return the description of a model on the hub, or what keeps it from being read.

    Where the hub cannot be reached, what the cache holds of this revision is taken.

    Args:
        repository: Its id, like ``Qwen/Qwen3-8B``.
        revision: Branch, tag or commit; None for the hub's default.
        offline: Whether to look in the cache alone.
        hub: Where the hub is.
    """
    asked = Repository(repository, revision, hub.url)
    cache = HubCache(repository, revision, hub.cache)
    if offline or constants.HF_HUB_OFFLINE:
        return _described(cache, asked) or (not_cached(asked),)

    def online() -> HubDescription | tuple[Fault, ...]:
        return _from_hub(asked, hub)

    return _answer(asked, hub, online, lambda: _described(cache, asked))


def check_access(
    repository: str, revision: str | None, offline: bool = False, hub: Hub = PUBLIC_HUB
) -> tuple[Fault, ...]:
    """Return what keeps the weights from being had from here; nothing where they can.

    They can where the cache holds every file of the index, or where the hub gives out the
    config.json: a gated repository refuses that too.
    """
    asked = Repository(repository, revision, hub.url)
    cache = HubCache(repository, revision, hub.cache)
    missing = cache.missing_files()
    if not missing:
        return ()
    if offline or constants.HF_HUB_OFFLINE:
        return (not_cached(asked, missing),)

    def online() -> tuple[Fault, ...]:
        _reach(asked, hub)
        return ()

    return _answer(asked, hub, online, lambda: None)


def commit_of(repository: str, revision: str | None, hub: Hub = PUBLIC_HUB) -> str | Fault:
    """Return the commit that a branch or tag means now, or why the hub does not tell.

    Args:
        repository: Its id, like ``Qwen/Qwen3-8B``.
        revision: Branch or tag; None for the hub's default.
        hub: Where the hub is.
    """
    asked = Repository(repository, revision, hub.url)
    if constants.HF_HUB_OFFLINE:
        return not_cached(asked)

    def online() -> str:
        api = HfApi(endpoint=hub.endpoint, token=hub.token)
        seconds = hub.answer_seconds
        return str(api.model_info(repository, revision=revision, timeout=seconds).sha)

    found = _answer(asked, hub, online, lambda: None)
    return found[0] if isinstance(found, tuple) else found


def _answer(
    asked: Repository,
    hub: Hub,
    online: Callable[[], T],
    cached: Callable[[], T | None],
) -> T | tuple[Fault, ...]:
    """Return what the hub answers, else what the cache holds, else the fault."""
    try:
        return within(hub.total_seconds, online)
    except TimeoutError:
        fault = no_answer(asked, hub.total_seconds)
    except HUB_ERRORS as error:
        fault = fault_of(error, asked, hub.answer_seconds)
        if is_final(error):
            return (fault,)
    return cached() or (fault,)


def _from_hub(asked: Repository, hub: Hub) -> HubDescription | tuple[Fault, ...]:
    _reach(asked, hub)
    # By its own name, so that the cache notes which commit the revision means; the rest by commit.
    path = _download(asked, hub, asked.revision, CONFIG)
    commit = path.parent.name
    config = read_object(path.read_bytes(), f"{CONFIG} of {asked.name}")
    files = _files(asked, hub, commit)
    if isinstance(config, Fault) or isinstance(files, Fault):
        return tuple(item for item in (config, files) if isinstance(item, Fault))
    if not config.get("quantization_config"):
        config = _with_optimizer(config, _optional(asked, hub, commit, MODEL_OPTIMIZER))
    size = files.total or _sum_of_sizes(asked, hub, commit, files.names)
    return _result(config, size, commit, asked)


def _result(
    config: dict[str, Any], size: int, commit: str, asked: Repository
) -> HubDescription | tuple[Fault, ...]:
    found = describe(config, size, f"{CONFIG} of {asked.name}")
    return found if isinstance(found, tuple) else HubDescription(found, commit)


def _with_optimizer(config: dict[str, Any], text: dict[str, Any] | Fault | None) -> dict[str, Any]:
    return dict(with_quantization(config, text)) if isinstance(text, dict) else config


def _reach(asked: Repository, hub: Hub) -> None:
    """Raise what keeps the repository from being read, after one HEAD request without retries.

    The library's own download answers a silent server with retries for minutes; it is only called
    once this has shown that the hub is there.
    """
    url = hf_hub_url(asked.name, CONFIG, revision=asked.revision, endpoint=hub.endpoint)
    get_hf_file_metadata(url, token=hub.token, timeout=hub.answer_seconds, endpoint=hub.endpoint)


def _download(asked: Repository, hub: Hub, revision: str | None, name: str) -> Path:
    """Return the file in the cache, ``snapshots/COMMIT/name``, fetched if it is not there."""
    path = hf_hub_download(
        asked.name,
        name,
        revision=revision,
        endpoint=hub.endpoint,
        cache_dir=hub.cache,
        token=hub.token,
        etag_timeout=hub.answer_seconds,
        tqdm_class=_NoBar,
    )
    return Path(path)


def _optional(asked: Repository, hub: Hub, commit: str, name: str) -> dict[str, Any] | Fault | None:
    try:
        path = _download(asked, hub, commit, name)
    except RemoteEntryNotFoundError:
        return None
    return read_object(path.read_bytes(), f"{name} of {asked.name}")


def _files(asked: Repository, hub: Hub, commit: str) -> WeightFiles | Fault:
    index = _optional(asked, hub, commit, INDEX)
    if isinstance(index, Fault):
        return index
    if index is not None:
        return weight_files(index, f"{INDEX} of {asked.name}")
    sizes = _sizes(asked, hub, commit)
    return WeightFiles((SINGLE,), sizes[SINGLE]) if sizes.get(SINGLE) else no_weights(asked)


def _sum_of_sizes(asked: Repository, hub: Hub, commit: str, names: tuple[str, ...]) -> int:
    sizes = _sizes(asked, hub, commit)
    return sum(sizes.get(name, 0) for name in names)


def _sizes(asked: Repository, hub: Hub, commit: str) -> dict[str, int]:
    """Return the bytes of the repository's files, as the hub's own metadata has them."""
    info = HfApi(endpoint=hub.endpoint, token=hub.token).model_info(
        asked.name, revision=commit, timeout=hub.answer_seconds, files_metadata=True
    )
    return {item.rfilename: item.size or 0 for item in info.siblings or ()}


def _described(cache: HubCache, asked: Repository) -> HubDescription | tuple[Fault, ...] | None:
    """Return the description from the cache, or None where it does not hold what is needed."""
    config, files, commit = cache.read(CONFIG), cache.files(), cache.commit()
    if not isinstance(config, dict) or files is None or commit is None:
        return None
    size = files.total or cache.sum_of_sizes(files.names)
    if size is None:
        return None
    config = _with_optimizer(config, cache.read(MODEL_OPTIMIZER))
    return _result(config, size, commit, asked)
