"""The command line: one file per verb; heavy imports happen inside the verbs that need them."""

import os
import sys

import typer

from harness.cli import (
    audit,
    bundle,
    compare,
    data,
    doctor,
    exchange,
    explain,
    list_,
    ls,
    new,
    pictures,
    predict,
    report,
    reproduce,
    run,
    score,
    table,
    weights,
)
from harness.cli.stopping import Stopped, exit_code, heeding_signals
from harness.errors import HarnessError, Interrupted

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
    reproduce,
    table,
    list_,
    ls,
    score,
    data,
    exchange,
    bundle,
    compare,
    explain,
    predict,
    pictures,
    report,
    new,
    audit,
    weights,
    doctor,
):
    verb.register(app)


def main() -> None:
    """Run the command line; what a user can cause ends in one message and exit code 1.

    Ctrl-C ends in one message and 130, a scheduler's signal in one message and 75.
    """
    try:
        with heeding_signals():
            app()
    except (Interrupted, Stopped) as stop:
        if os.environ.get("RANK", "0") == "0":
            _tell(str(stop))
        sys.exit(exit_code(stop.number))
    except HarnessError as error:
        rank = os.environ.get("RANK", "0")  # of several processes, each says what stopped it
        _tell(f"{'error' if rank == '0' else f'rank {rank}'}: {error}")
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(0)


def _tell(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # at once: ranks must not write into each other
    sys.stderr.flush()
