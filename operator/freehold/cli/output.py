"""What the commands share: the console, figures in words, the argument for manifest files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from rich.console import Console

    from freehold.api.architecture import ModelDescription

# Width of what nobody's terminal shows: long lines stay whole for grep, bars keep a fixed size.
PLAIN_WIDTH = 100_000
# Wider lines are hard to read even where the terminal has room.
MOST_WIDTH = 110
_MANIFEST_SUFFIXES = (".yaml", ".yml")


def manifest_arguments() -> Callable[[Any], Any]:
    """Return the argument for one or more manifest files; the shell completes YAML files."""
    return click.argument(
        "files",
        nargs=-1,
        required=True,
        metavar="FILE...",
        type=click.Path(),
        shell_complete=complete_manifests,
    )


def complete_manifests(
    _context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the YAML files and the folders that begin with what was typed."""
    found = _beginning_with(incomplete)
    while len(found) == 1 and found[0].endswith("/"):
        # a lone folder is entered, since the shell would put a space behind it
        inside = _beginning_with(found[0])
        if not inside:
            break
        found = inside
    return [CompletionItem(name) for name in found]


def _beginning_with(start: str) -> list[str]:
    folder, _, word = start.rpartition("/")
    prefix = f"{folder}/" if "/" in start else ""
    try:
        entries = sorted(Path(prefix or ".").iterdir())
    except OSError:
        return []
    names = [f"{prefix}{item.name}{'/' if item.is_dir() else ''}" for item in entries]
    hidden = word.startswith(".")
    return [
        name
        for name, item in zip(names, entries, strict=True)
        if item.name.startswith(word)
        and (hidden or not item.name.startswith("."))
        and name.endswith(("/", *_MANIFEST_SUFFIXES))
    ]


def offline_option() -> Callable[[Any], Any]:
    """Return the option that keeps a command from asking the hub."""
    return click.option(
        "--offline", is_flag=True, help="Ask no hub: only the catalogue, folders and its cache."
    )


def console() -> Console:
    """Return a console for standard output: styles and wrapping only where a person looks on."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    made = Console(
        file=sys.stdout,
        highlight=False,
        markup=False,
        emoji=False,
        force_terminal=terminal,
        color_system=None if plain else "auto",
    )
    made.width = min(made.width, MOST_WIDTH) if terminal else PLAIN_WIDTH
    return made


def parameters(count: float) -> str:
    """Return a number of parameters as people say it.

    >>> parameters(405_853_388_800), parameters(8_030_261_248), parameters(268_098_176)
    ('406B', '8.03B', '268M')
    """
    unit, letter = (1e9, "B") if count >= 1e9 else (1e6, "M")
    value = count / unit
    return f"{value:.0f}{letter}" if value >= 100 else f"{value:.3g}{letter}"


def rounded(amount: Decimal) -> str:
    """Return an amount of money for reading: cents, and four decimals below one.

    >>> rounded(Decimal("47.2")), rounded(Decimal("0.397336"))
    ('47.20', '0.3973')
    """
    return f"{amount:.2f}" if amount >= 1 else f"{amount:.4f}"


def parameter_count(model: ModelDescription) -> float:
    """Return the parameters that a model's shape comes to, norms and biases left out.

    The query and value projections of latent attention have widths that a description does not
    carry; here they are those of DeepSeek-V3 and Kimi K2 (a query rank of three times the KV rank,
    values as wide as the keys without their rotary part).
    """
    hidden = model.hidden_size
    dense = 3.0 * hidden * model.intermediate_size
    embeddings = model.vocabulary_size * hidden * (1 if model.tied_embeddings else 2)
    total = model.layers * _attention(model) + embeddings
    if model.experts is None:
        return total + model.layers * dense
    experts = model.experts
    mixture = 3.0 * hidden * experts.intermediate_size * (experts.count + experts.shared)
    return total + experts.layers * mixture + (model.layers - experts.layers) * dense


def _attention(model: ModelDescription) -> float:
    hidden, heads, width = model.hidden_size, model.attention_heads, model.head_dim
    latent = model.latent_attention
    if latent is None:
        return 2.0 * hidden * width * (heads + model.key_value_heads)
    rank, query_rank = latent.kv_lora_rank, 3 * latent.kv_lora_rank
    plain = width - latent.rope_head_dim
    query = query_rank * (hidden + heads * width)
    keys = hidden * (rank + latent.rope_head_dim) + rank * heads * 2 * plain
    return float(query + keys + heads * plain * hidden)
