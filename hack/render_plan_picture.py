"""Draw ``docs/images/plan-llama-3.1-405b.svg``: what ``freehold plan`` shows of the 405B example.

The picture is the command's own output, so it changes when the plan, the prices or the layout of
the text do; the same inputs give the same bytes.

    python hack/render_plan_picture.py           write it
    python hack/render_plan_picture.py --check   fail if it is out of date
"""

from __future__ import annotations

import argparse
import io
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "operator"))

from rich._export_format import CONSOLE_SVG_FORMAT  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.text import Text  # noqa: E402

from freehold.cli.page import Page  # noqa: E402
from freehold.cli.plan_view import show_answer, show_model  # noqa: E402
from freehold.compose import plan_model  # noqa: E402
from freehold.manifest_files import read_valid  # noqa: E402

MANIFEST = Path("examples/llama-3.1-405b.yaml")
PICTURE = ROOT / "docs" / "images" / "plan-llama-3.1-405b.svg"
WIDTH = 100
# Width of a character in what rich exports.
_COLUMN = 12.2
TITLE = "freehold plan"


def picture() -> str:
    """Return the SVG."""
    console = Console(
        record=True,
        width=WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
    )
    console.print(Text(f"$ freehold plan {MANIFEST}\n", "bold"))
    manifests = read_valid([str(ROOT / MANIFEST)]).manifests
    page = Page(console, shaded=True)
    for _, model in manifests.models:
        planned = plan_model(model, manifests.catalog, offline=True)
        if isinstance(planned, tuple):
            raise SystemExit("\n".join(str(fault) for fault in planned))
        show_model(page, planned)
        show_answer(page, planned)
    # the name of the terminal's font stays, its download goes: a picture fetches nothing
    template = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    svg = console.export_svg(title=TITLE, code_format=template, unique_id="freehold-plan")
    return re.sub(r'x="0" (y="[^"]*") textLength="([^"]*)"([^>]*>)((?:&#160;)+)', _indent, svg)


def _indent(found: re.Match[str]) -> str:
    """Turn spaces at the beginning of a line into its position; some viewers drop them."""
    shift = len(found[4]) // len("&#160;") * _COLUMN
    return f'x="{shift:g}" {found[1]} textLength="{float(found[2]) - shift:g}"{found[3]}'


def main() -> int:
    """Write the picture, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on a difference")
    check = parser.parse_args().check
    text = picture()
    if check:
        same = PICTURE.exists() and PICTURE.read_text(encoding="utf-8") == text
        if not same:
            print(f"{PICTURE.relative_to(ROOT)} is out of date: run {Path(__file__).name}")
        return 0 if same else 1
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(text, encoding="utf-8")
    print(f"wrote {PICTURE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
