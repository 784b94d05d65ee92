"""The command line: one file per verb; heavy imports happen inside the verbs that need them."""

import os
import sys

import typer

from harness.cli import (
    audit,
    compare,
    data,
    doctor,
    exchange,
    explain,
    list_,
    ls,
    new,
    report,
    run,
    score,
    table,
    weights,
)
from harness.cli.launch import INTERRUPTED
from harness.errors import HarnessError

app = typer.Typer(
    name="harness",
    help="Train, evaluate and compare chest X-ray methods on identical splits.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for verb in (
    run,
    table,
    list_,
    ls,
    score,
    data,
    exchange,
    compare,
    explain,
    report,
    new,
    audit,
    weights,
    doctor,
):
    verb.register(app)


def main() -> None:
    """Run the command line; what a user can cause ends in one message and exit code 1."""
    try:
        app()
    except HarnessError as error:
        rank = os.environ.get("RANK", "0")  # of several processes, each says what stopped it
        who = "error" if rank == "0" else f"rank {rank}"
        sys.stderr.write(f"{who}: {error}\n")  # at once: ranks must not write into each other
        sys.stderr.flush()
        sys.exit(INTERRUPTED if type(error).__name__ == "Interrupted" else 1)
    except BrokenPipeError:
        sys.exit(0)
