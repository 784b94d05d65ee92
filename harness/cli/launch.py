"""Several devices: the same command again, once for each, under torchrun."""

from __future__ import annotations

import logging
import os
import sys

from harness.cli.stopping import AGAIN, exit_code
from harness.errors import SettingError

_SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"  # handed on to every process


def relaunch(devices: str, device: str) -> int:
    """Run the present command on several devices and return its exit code.

    ``devices`` is a number, or the places of CUDA devices separated by commas.

    Raises:
        SettingError: ``devices`` is neither.
    """
    count = _count(devices)
    if "," in devices:
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    if device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    words = ["--standalone", f"--nproc-per-node={count}", "-m", "harness"]
    return _torchrun([*words, *_without_devices(sys.argv[1:])])


def _count(devices: str) -> int:
    places = devices.split(",")
    if not all(place.isdigit() for place in places) or devices == "0":
        raise SettingError(f"--devices is a number or places like 0,2, not {devices!r}")
    return len(places) if len(places) > 1 else int(devices)


def _torchrun(words: list[str]) -> int:
    """Return the exit code; what went wrong has been said by the processes themselves."""
    os.environ.setdefault("TORCHELASTIC_SIGNALS_TO_HANDLE", _SIGNALS)
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # its warnings are of no use to a user
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable(logging.CRITICAL)
    try:
        run.main(words)
    except SignalException as error:
        return exit_code(error.sigval)
    except ChildFailedError as error:
        codes = {failure.exitcode for failure in error.failures.values()}
        return AGAIN if AGAIN in codes else 1
    return 0


def _without_devices(words: list[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip or word == "--devices" or word.startswith("--devices="):
            skip = word == "--devices"
            continue
        kept.append(word)
    return kept
