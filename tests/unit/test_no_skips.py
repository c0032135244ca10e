"""With ``CI=true`` a skipped test fails, however it is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[1] / "conftest.py"
SKIPPED = {
    "by its mark": "@pytest.mark.skip(reason='no GPU')\ndef test_it(): ...",
    "by a condition": "@pytest.mark.skipif(True, reason='no GPU')\ndef test_it(): ...",
    "while it runs": "def test_it():\n    pytest.skip('no GPU')",
    "by its fixture": (
        "@pytest.fixture\ndef gpu():\n    pytest.skip('no GPU')\n\ndef test_it(gpu): ..."
    ),
    "with its module": "pytest.skip('no GPU', allow_module_level=True)",
}
RUNS = {
    "passes": ("def test_it(): ...", {"passed": 1}),
    "is expected to fail": ("@pytest.mark.xfail\ndef test_it(): assert False", {"xfailed": 1}),
}


@pytest.fixture(autouse=True)
def no_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    # each run would import them anew, for a second or two
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def outcomes(pytester: pytest.Pytester, body: str) -> pytest.RunResult:
    pytester.makeconftest(CONFTEST.read_text())
    pytester.makepyfile(f"import pytest\n\n{body}\n")
    return pytester.runpytest_inprocess()


@pytest.mark.parametrize("body", SKIPPED.values(), ids=SKIPPED)
def test_a_skipped_test_fails_in_ci_alone(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, body: str
) -> None:
    monkeypatch.delenv("CI", raising=False)
    outcomes(pytester, body).assert_outcomes(skipped=1)
    monkeypatch.setenv("CI", "true")
    result = outcomes(pytester, body)
    assert result.ret != 0
    assert "skipped" not in result.parseoutcomes()
    result.stdout.fnmatch_lines(["*with CI=true nothing may be skipped*no GPU*"])


@pytest.mark.parametrize(("body", "expected"), RUNS.values(), ids=RUNS)
def test_what_runs_is_left_as_it_is(
    pytester: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    expected: dict[str, int],
) -> None:
    monkeypatch.setenv("CI", "true")
    outcomes(pytester, body).assert_outcomes(**expected)
