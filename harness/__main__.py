"""Start the command line as ``python -m harness``, as torchrun does."""

from harness.cli import main

main()
