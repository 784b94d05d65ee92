"""The command line: one file per verb; heavy imports happen inside the verbs that need them."""

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
    run,
    score,
    table,
    weights,
)
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
    new,
    audit,
    weights,
    doctor,
):
    verb.register(app)

INTERRUPTED = 75  # the exit code that schedulers read as "try again"


def main() -> None:
    """Run the command line; what a user can cause ends in one message and exit code 1."""
    try:
        app()
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(INTERRUPTED if type(error).__name__ == "Interrupted" else 1)
    except BrokenPipeError:
        sys.exit(0)
