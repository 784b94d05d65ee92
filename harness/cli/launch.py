"""Several devices: the same command again, under torch.distributed.run."""

from __future__ import annotations

import os
import subprocess
import sys

from harness.errors import SettingError


def relaunch(devices: str, device: str) -> int:
    """Run the present command on several devices and return its exit code.

    ``devices`` is a number, or the places of CUDA devices separated by commas.

    Raises:
        SettingError: ``devices`` is neither.
    """
    environment = dict(os.environ)
    if "," in devices:
        count = len(devices.split(","))
        environment["CUDA_VISIBLE_DEVICES"] = devices
    elif devices.isdigit() and int(devices) >= 1:
        count = int(devices)
    else:
        raise SettingError(f"--devices is a number or places like 0,2, not {devices!r}")
    if device == "cpu":
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    words = [word for word in _without_devices(sys.argv[1:])]
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    command = [sys.executable, *launcher, "-m", "harness", *words]
    return subprocess.run(command, env=environment, check=False).returncode


def _without_devices(words: list[str]) -> list[str]:
    kept, skip = [], False
    for word in words:
        if skip or word == "--devices" or word.startswith("--devices="):
            skip = word == "--devices"
            continue
        kept.append(word)
    return kept
