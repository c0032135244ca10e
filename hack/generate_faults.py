"""Write the tables of docs/faults.md from tests/faults/results.json.

The text around them is written by hand; what is generated stands between two marks. With --check
write nothing and say whether what is there is up to date.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.records import Record, Records  # noqa: E402

PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- written by hack/generate_faults.py -->", "<!-- end of what is written -->"
_UNDER_LOAD = ("fault", "Ready said, in turn", "no answer for", "Ready after", "sent", "lost")
_BEFORE = ("fault", "Ready said, in turn", "Ready after")


def tables(records: Sequence[Record]) -> str:
    """Return the page's generated part."""
    loaded = [it for it in records if it.sent is not None]
    quiet = [it for it in records if it.sent is None]
    lines = ["", f"{_conditions(records)}", "", "## Under load", ""]
    lines += _table(_UNDER_LOAD, (_loaded_row(it) for it in loaded))
    lines += ["", "What the clients of lost requests saw:", ""]
    lines += [f"- *{it.fault}*: `{said}`" for it in loaded for said in it.lost_to] or ["- nothing"]
    lines += ["", "## Before a model serves", ""]
    lines += _table(_BEFORE, (_quiet_row(it) for it in quiet))
    lines += ["", "## What was told", ""]
    lines += [f"- *{it.fault}*: {_one_line(it.told)}" for it in records if it.told]
    return "\n".join([*lines, ""])


def _conditions(records: Sequence[Record]) -> str:
    if not records:
        return "No fault has a record yet."
    versions = Counter(", ".join(f"{a} {b}" for a, b in it.versions.items()) for it in records)
    dates = sorted({it.date for it in records})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{when}; " + "; ".join(f"{name} ({count} faults)" for name, count in versions.items())


def _loaded_row(record: Record) -> list[str]:
    ready = "stayed True" if record.ready_after is None else f"{record.ready_after:.0f} s"
    counts = [str(record.sent), str(record.lost)]
    return [record.fault, ", ".join(record.seen), f"{record.silence:.1f} s", ready, *counts]


def _quiet_row(record: Record) -> list[str]:
    ready = "-" if record.ready_after is None else f"{record.ready_after:.0f} s"
    return [record.fault, ", ".join(record.seen), ready]


def _table(head: Sequence[str], rows: Iterator[list[str]]) -> list[str]:
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def page(text: str, records: Sequence[Record]) -> str:
    """Return the page with its generated part replaced."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{tables(records)}{END}{rest.partition(END)[2]}"


def main() -> int:
    """Write the page, or with ``--check`` compare it; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the tables of docs/faults.md.")
    parser.add_argument("--check", action="store_true", help="compare only, exit 1 on difference")
    text = PAGE.read_text(encoding="utf-8")
    made = page(text, sorted(Records.read().by_test.values(), key=lambda it: it.fault))
    if not parser.parse_args().check:
        PAGE.write_text(made, encoding="utf-8")
        return 0
    print(f"{PAGE.name} is {'up to date' if made == text else 'not what the results say'}")
    return 0 if made == text else 1


if __name__ == "__main__":
    sys.exit(main())
