"""Start the command line, as ``harness``, as ``python -m harness`` and as torchrun does."""

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends in silence until ``main`` heeds it

from harness.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
