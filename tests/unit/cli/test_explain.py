"""``freehold explain``: the decisions of a model as people read them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.cli.command_line import ROOT, freehold

# of a run of tests/live/test_replicas_follow_the_queue.py
RECORDED = ROOT / "tests" / "data" / "scaling" / "from-zero-to-two-and-back.log"


def rows(text: str) -> list[list[str]]:
    """Return the words of the table's rows."""
    return [line.split() for line in text.split("\n\n")[0].splitlines()[1:]]


def test_each_decision_is_told_with_what_it_was_made_of() -> None:
    told = freehold("explain", "--log", str(RECORDED))
    assert (told.exit_code, told.stderr) == (0, "")
    course = [row[6] for row in rows(told.stdout)]
    changes = [it for it, before in zip(course[1:], course, strict=False) if it != before]
    assert changes == ["1", "2", "1", "0"]
    (up,) = (line for line in told.stdout.splitlines() if " ScalingUp: " in line)
    assert up.split()[1:7] == ["0", "4", "0.0", "1", "0", "2"]
    assert up.rstrip().endswith("2 are needed for the seats and KV caches that are taken.")


def test_the_course_of_each_number_is_drawn_below() -> None:
    drawn = freehold("explain", "--log", str(RECORDED)).stdout.split("\n\n")[1].splitlines()
    strips = {line.split("|")[0].strip(): line.split("|")[1] for line in drawn[:-1]}
    assert [*strips] == ["queued", "running", "work", "ready", "desired"]
    assert {len(it) for it in strips.values()} == {60}
    assert strips["desired"].strip() and strips["desired"][0] == strips["desired"][-1] == " "
    assert drawn[0].endswith("at the most 20")


def test_no_more_is_shown_than_was_asked_for() -> None:
    whole, end = (
        rows(freehold("explain", "--log", str(RECORDED), "--since", it).stdout)
        for it in ("1h", "20s")
    )
    assert len(end) < len(whole)
    assert end[0][0] > whole[-2][0]


def test_lines_that_are_none_are_left_out(tmp_path: Path) -> None:
    log = tmp_path / "log"
    line = json.dumps({"time": 1.8e9, "reason": "Holding", "message": "1 is wanted."})
    log.write_text(f'{{"time": 1\n\n[]\n{{"reason": "x"}}\n{line}\n{line[:-9]}')
    told = freehold("explain", "--log", str(log))
    assert told.exit_code == 0
    assert len(rows(told.stdout)) == 1
    assert "Holding: 1 is wanted." in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "found none or both; allowed: MODEL, or --log with a file"),
        (["chat", "--log", str(RECORDED)], 2, "found none or both"),
        (["chat", "--since", "soon"], 2, "found soon; allowed: a time such as 30m or 2h"),
        (["chat", "--since", "in 5m"], 2, "found in 5m; allowed: a time such as 30m or 2h"),
        (["chat", "--since", "0s"], 2, "found 0s; allowed: a time such as 30m or 2h"),
        (["chat", "--kubeconfig", "/nowhere"], 8, "no cluster is configured: "),
    ],
)
def test_what_cannot_be_explained_says_why(arguments: list[str], code: int, said: str) -> None:
    told = freehold("explain", *arguments)
    result = told.exception
    text = told.output + (str(result) if result else "")
    assert said in text
    exit_code = getattr(result, "exit_code", told.exit_code)
    assert exit_code == code


def test_a_log_without_a_decision_says_what_that_means(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    told = freehold("explain", "--log", str(tmp_path / "log"))
    assert "no decision found; a model without spec.autoscaling" in told.output
