"""Whatever is wrong with a manifest, every command ends with a code of its own and a sentence.

What is malformed for sure must be refused; what is only odd goes as far as it gets: to the plan,
to the Serve config and to the schemas of Ray and the engine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.api.test_malformed_manifests import FOLLOWED, PLACES, Draw, changed, malformed
from tests.unit.cli.command_line import freehold

from freehold.cli import run as run_module
from freehold.compose import require_accepted, require_planned
from freehold.errors import FreeholdError
from freehold.manifest_files import plan_all, read_valid, require_names_apart
from freehold.plan.plan import Plan
from freehold.render.serve_config import serve_application, serve_config

REFUSED = {2, 3, 5}
COMMANDS = (("validate",), ("plan", "--offline"), ("render", "--offline"), ("run", "--offline"))
WORDS_OF_BUGS = ("unexpected error", "bug in Freehold", "Traceback")

ARGUMENTS = st.sampled_from(
    [
        *("max_num_seqs", "tensor_parallel_size", "gpu_memory_utilization", "kv_cache_dtype"),
        *("enforce_eager", "speculative_config", "trust_remote_code", "nonsense", "block_size"),
        *("max_num_batched_tokens", "enable_expert_parallel", "quantization", "a.b", "", "x[0]"),
    ]
)
SCALARS = st.sampled_from([None, True, 0, 1, -1, 2**31, 10**30, 0.5, "", "auto", "fp8", "é\n"])
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(ARGUMENTS, SCALARS, max_size=2)
RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "integer": st.sampled_from([1, 2, 3, 7, 64, 1024, 131_072, 2**31 - 1]),
    "boolean": st.booleans(),
    "string": st.sampled_from(["1", "80Gi", "nope", "cpu", "h100-80gb", "a/b", "s3://a/b"]),
}


@st.composite
def odd(draw: Draw) -> str:
    """Return the manifest with other arguments, or with another value of the right type."""
    if draw(st.booleans()):
        args = draw(st.dictionaries(ARGUMENTS, VALUES, min_size=1, max_size=4))
        return changed(("spec", "engine", "args"), args)
    scalar = [place for place in PLACES if place.schema["type"] in RIGHT]
    place = draw(st.sampled_from(scalar))
    return changed(place.path, draw(RIGHT[place.schema["type"]]))


def exit_code(file: Path) -> int:
    """Return how a command ends that takes the file all the way to the Serve config, offline."""
    try:
        files = read_valid([str(file)])
        require_names_apart(files)
        planned = [item for _, item in plan_all(files, offline=True)]
        require_planned(planned)
        applications = [
            serve_application(item.model, item.answer)
            for item in planned
            if isinstance(item.answer, Plan)
        ]
        require_accepted(serve_config(it for it in applications if it is not None))
    except FreeholdError as error:
        text = str(error)
        assert text.strip()
        assert not [words for words in WORDS_OF_BUGS if words in text], text
        return error.exit_code
    return 0


def write(file: Path, text: str) -> None:
    file.write_bytes(text.encode("utf-8", "surrogatepass"))


def test_every_malformed_manifest_is_refused(tmp_path: Path) -> None:
    texts: set[str] = set()

    @settings(FOLLOWED, max_examples=260)
    @given(malformed())
    def refuses(case: tuple[str, str]) -> None:
        file = tmp_path / "m.yaml"
        write(file, case[1])
        assert exit_code(file) == 2, case[0]
        texts.add(case[1])

    refuses()
    assert len(texts) >= 200


def test_every_odd_manifest_ends_with_a_code_of_its_own(tmp_path: Path) -> None:
    codes: list[int] = []

    @settings(FOLLOWED, max_examples=200)
    @given(odd())
    def ends(text: str) -> None:
        file = tmp_path / "m.yaml"
        write(file, text)
        codes.append(exit_code(file))

    ends()
    assert set(codes) <= {0, *REFUSED}
    # it is no test of the later steps if nothing comes to them
    assert {0, 2} <= set(codes)


class Started(Exception):
    """Ray would have been started."""


def test_every_command_tells_it_without_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(**_: Any) -> None:
        raise Started

    monkeypatch.setattr(run_module, "RayProcess", start)
    monkeypatch.delenv("FREEHOLD_DEBUG", raising=False)

    @settings(FOLLOWED, max_examples=30)
    @given(malformed())
    def tells(case: tuple[str, str]) -> None:
        file = tmp_path / "m.yaml"
        write(file, case[1])
        for command in COMMANDS:
            result = freehold(*command[:1], str(file), *command[1:])
            assert result.exit_code == 2, (case[0], command, result.output)
            assert not [words for words in WORDS_OF_BUGS if words in result.stderr], result.stderr

    tells()
