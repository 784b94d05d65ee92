"""Train a toy model whole, then killed at random moments and started again: print both as JSON.

Torch is imported once; every run is a fork of its own. ``killed.py FOLDER SEED [SEED ...]``
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from engine_toys import Toy, train

from harness.engine import loop
from harness.engine.checkpoint import weights_hash
from harness.errors import Interrupted


def run(home, result):
    """Train in a home and write what came out."""
    os.environ["HARNESS_HOME"] = str(home)
    model = Toy(epochs=4)
    try:
        task = train(model)
    except Interrupted:
        os._exit(75)
    stages = [step for step in task.learnt.steps if step["kind"] == "stage"]
    found = {
        "weights": [weights_hash(model.features), weights_hash(model.head)],
        "history": [stage["history"] for stage in stages],
        "scores": [stage["score"] for stage in stages],
    }
    result.write_text(json.dumps(found))


def forked(home, result, seconds=None, kind=signal.SIGKILL):
    """Run in a process of its own, killed after so many seconds; return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            run(home, result)
        finally:
            sys.stdout.flush()
            os._exit(0 if result.exists() else 1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, kind)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(folder, seeds):
    """Compare runs that were killed with one that was not."""
    torch.set_num_threads(1)
    began = time.monotonic()
    assert forked(folder / "whole", folder / "whole.json") == 0
    whole = time.monotonic() - began
    report = {"whole": json.loads((folder / "whole.json").read_text()), "killed": []}
    for seed in seeds:
        chance = random.Random(seed)
        loop.CHECKPOINT_SECONDS = 0.0 if seed % 2 else 600.0
        kind = signal.SIGTERM if seed % 3 == 2 else signal.SIGKILL
        home, result = folder / f"home-{seed}", folder / f"{seed}.json"
        codes = []
        while not result.exists():
            patience = chance.uniform(0.0, 0.7 * whole) if len(codes) < 4 else None
            codes.append(forked(home, result, patience, kind))
        report["killed"].append({"seed": seed, "codes": codes, **json.loads(result.read_text())})
    print(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]])
