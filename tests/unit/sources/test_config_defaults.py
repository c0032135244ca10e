"""The defaults that nested configurations leave out, against the library that defines them."""

import pytest

from freehold.sources.config_defaults import NESTED_DEFAULTS, UNTIED_BY_DEFAULT

mapping = pytest.importorskip("transformers.models.auto.configuration_auto").CONFIG_MAPPING


@pytest.mark.parametrize("kind", NESTED_DEFAULTS)
def test_defaults_are_those_of_transformers(kind: str) -> None:
    own = mapping[kind]
    known = {name: getattr(own, name) for name in NESTED_DEFAULTS[kind]}
    assert dict(NESTED_DEFAULTS[kind]) == known


@pytest.mark.parametrize("kind", sorted(UNTIED_BY_DEFAULT - {"kimi_k2"}))
def test_untied_types_are_untied_in_transformers(kind: str) -> None:
    assert mapping[kind].tie_word_embeddings is False
