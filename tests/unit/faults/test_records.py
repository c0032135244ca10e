"""The faults' records: a run goes on where the last one stopped, the page says what they say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hack.generate_faults import BEGIN, END, page
from tests.faults.records import Record, Records, product_digest

DELETED = Record(
    fault="A pod is deleted",
    seen=["True Answers", "False PodsStarting", "True Answers"],
    told="",
    sent=120,
    lost=2,
    lost_to=["502 bad gateway"],
    silence=61.24,
    ready_after=63.0,
    versions={"Ray": "2.60.0"},
    date="2026-11-26",
    product="abc",
)
REFUSED = replace(
    DELETED, fault="A folder is missing", sent=None, lost=None, told="No such\nfolder."
)
NEVER = replace(REFUSED, fault="A folder is forbidden", seen=["refused at once"], ready_after=None)


def test_a_fault_is_done_once_its_record_is_written_and_until_the_product_changes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "results.json"
    assert not Records.read(path).done("test_a", "abc")
    Records.read(path).keep("test_a", DELETED)
    Records.read(path).keep("test_b", REFUSED)
    read = Records.read(path)
    assert read.by_test == {"test_a": DELETED, "test_b": REFUSED}
    assert read.done("test_a", "abc")
    assert not read.done("test_a", "abd")


def test_the_digest_is_of_the_product_alone(tmp_path: Path) -> None:
    (tmp_path / "operator").mkdir()
    (tmp_path / "operator" / "code.py").write_text("1")
    first = product_digest(tmp_path)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "page.md").write_text("words")
    assert product_digest(tmp_path) == first
    (tmp_path / "operator" / "code.py").write_text("2")
    assert product_digest(tmp_path) != first


def test_the_page_tells_each_fault_and_keeps_what_was_written_by_hand() -> None:
    made = page(f"# By hand\n{BEGIN}\nformer\n{END}\nafter\n", [DELETED, REFUSED, NEVER])
    lines = made.splitlines()
    assert lines[0] == "# By hand" and lines[-1] == "after" and "former" not in lines
    row = "True Answers, False PodsStarting, True Answers | 61.2 s | 63 s | 120 | 2 |"
    assert f"| A pod is deleted | {row}" in lines
    assert (
        "| A folder is missing | True Answers, False PodsStarting, True Answers | 63 s |" in lines
    )
    assert "| A folder is forbidden | refused at once | - |" in lines
    assert "- *A pod is deleted*: `502 bad gateway`" in lines
    assert "- *A folder is missing*: No such folder." in lines
    assert "2026-11-26; Ray 2.60.0 (3 faults)" in lines
