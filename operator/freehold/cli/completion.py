"""``freehold completion``: the script that lets a shell complete commands, options and files."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(
    epilog="""
    Install it for the shell that you use:

    \b
    bash    echo 'eval "$(freehold completion bash)"' >> ~/.bashrc
    zsh     echo 'eval "$(freehold completion zsh)"' >> ~/.zshrc
    fish    freehold completion fish > ~/.config/fish/completions/freehold.fish

    Only for the shell that is open now:

    \b
    eval "$(freehold completion bash)"
        then `freehold plan exa<Tab>` completes to the YAML files of examples/
    """
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell."""
    script = get_completion_class(shell)
    if script is None:
        raise click.UsageError(f"click has no completion for {shell}; use bash, zsh or fish")
    root = context.find_root().command
    click.echo(script(root, {}, "freehold", "_FREEHOLD_COMPLETE").source())
