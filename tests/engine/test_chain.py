"""The digest of a step changes with everything that matters and with nothing else."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import COMPUTE, bce, plain, samples
from torch.optim import SGD, Adam
from torch.optim.lr_scheduler import LambdaLR, MultiStepLR, SequentialLR, StepLR

import harness
from harness import Stage
from harness.engine.chain import Chain, source_hash, stage_facts

ALIVE = []  # so that no function takes the address of one before it


def facts(**changed):
    """Return the facts of a stage that differs in something."""
    network = changed.pop("network", None) or plain()
    optimizer = changed.pop("optimizer", lambda p: Adam(p, 0.01))(network.parameters())
    scheduler = changed.pop("scheduler", lambda o: None)(optimizer)
    compute = replace(COMPUTE, **changed.pop("compute", {}))
    validation = changed.pop("validation", "v")
    made = {
        "data": samples(10), "epochs": 2, "score": lambda: 0.5, "patience": 3, "key": (1,),
        **changed,
    }  # fmt: skip
    ALIVE.append(scheduler)
    stage = Stage("stage", network, bce, optimizer=optimizer, scheduler=scheduler, **made)
    return Chain().extend("stage", stage.name, *stage_facts(stage, validation, compute))


class Other(torch.nn.Sequential):
    """The same layers under another name."""


CHANGES = {
    "network": {"network": Other(*plain())},
    "epochs": {"epochs": 3},
    "steps": {"epochs": None, "steps": 2},
    "batch": {"batch_size": 16},
    "accumulate": {"accumulate": 2},
    "drop-last": {"drop_last": True},
    "patience": {"patience": 4},
    "clip": {"clip_norm": 1.0},
    "augment": {"augment": lambda batch, draws: batch},
    "no-score": {"score": None, "patience": None},
    "validation": {"validation": "w"},
    "rate": {"optimizer": lambda p: Adam(p, 0.02)},
    "decay": {"optimizer": lambda p: Adam(p, 0.01, weight_decay=0.1)},
    "kind": {"optimizer": lambda p: SGD(p, 0.01)},
    "groups": {"optimizer": lambda p: Adam([{"params": [q]} for q in p], 0.01)},
    "scheduler": {"scheduler": lambda o: StepLR(o, 1)},
    "scheduler-step": {"scheduler": lambda o: StepLR(o, 2)},
    "milestones": {"scheduler": lambda o: MultiStepLR(o, [1])},
    "other-milestones": {"scheduler": lambda o: MultiStepLR(o, [2])},
    "sequence": {"scheduler": lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(o, 2)], [1])},
    "other-sequence": {"scheduler": lambda o: SequentialLR(o, [StepLR(o, 1), StepLR(o, 3)], [1])},
    "lambda": {"scheduler": lambda o: LambdaLR(o, lambda e: 1)},
    "schedule": {"scheduler": lambda o: StepLR(o, 1), "schedule": "step"},
    "data": {"data": samples(11)},
    "labels": {"data": samples(10).with_column("labels", np.zeros((10, 3), np.float32))},
    "source-name": {"data": {"train": samples(10)}},
    "key": {"key": (2,)},
    "precision": {"compute": {"precision": "bf16"}},
    "micro-batch": {"compute": {"micro_batch": 2}},
    "sync-bn": {"compute": {"sync_bn": True}},
}


def test_the_digest_changes_with_everything_that_matters():
    found = {name: facts(**dict(change)) for name, change in CHANGES.items()}
    found["unchanged"] = facts()
    twice = {n: [m for m in found if found[m] == found[n] and m != n] for n in found}
    assert not any(twice.values()), {name: same for name, same in twice.items() if same}


@pytest.mark.parametrize("name", CHANGES)
def test_and_with_nothing_else(name):
    compute = CHANGES[name].get("compute", {})
    first = facts(**dict(CHANGES[name]))
    assert first == facts(**{**CHANGES[name], "compute": {**compute, "eval_batch": 3}})


def test_the_order_of_steps_and_their_kind_matter():
    one, two = Chain(0), Chain(0)
    one.extend("keep", "a"), one.extend("keep", "b")
    two.extend("keep", "b"), two.extend("keep", "a")
    assert one.extend("stage", "c") != two.extend("stage", "c")
    assert Chain(0).extend("keep", "a") != Chain(0).extend("map", "a")
    assert Chain(0, "x").extend("keep", "a") != Chain(0, "y").extend("keep", "a")
    assert Chain(0).extend("keep", "a") == Chain(0).extend("keep", "a")


CODE = '''"""A module."""

LIMIT = 3


def half(value):
    """Return half of it."""
    # as the paper says
    return value / 2


class Thing:
    """A thing."""

    size = 1
'''
SAME = {
    "docstring": CODE.replace("Return half of it.", "Halve."),
    "no-docstring": CODE.replace('    """Return half of it."""\n', ""),
    "no-class-docstring": CODE.replace('    """A thing."""\n\n', ""),
    "no-module-docstring": CODE.replace('"""A module."""\n\n', ""),
    "comment": CODE.replace("# as the paper says", "# differently"),
    "layout": CODE.replace("value / 2", "(\n        value\n        / 2\n    )"),
}
DIFFERENT = {
    "constant": CODE.replace("LIMIT = 3", "LIMIT = 4"),
    "operator": CODE.replace("value / 2", "value // 2"),
    "name": CODE.replace("size = 1", "width = 1"),
    "text": CODE + '\nWORD = "a"\n',
}


@pytest.fixture
def hash_of(tmp_path, monkeypatch):
    """Return a function that hashes a package with this code in one of its files."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def hashed(code):
        package = tmp_path / "hashed_package"
        package.mkdir(exist_ok=True)
        (package / "__init__.py").write_text("")
        (package / "part.py").write_text(code)
        return source_hash("hashed_package.part")

    return hashed


@pytest.mark.parametrize("name", SAME)
def test_code_that_does_the_same(name, hash_of):
    assert SAME[name] != CODE
    assert hash_of(SAME[name]) == hash_of(CODE)


@pytest.mark.parametrize("name", DIFFERENT)
def test_code_that_does_something_else(name, hash_of):
    assert hash_of(DIFFERENT[name]) != hash_of(CODE)


def test_code_without_files():
    assert source_hash("no_such_package.part") == "no_such_package.part"
    program = "from harness.engine.chain import source_hash; print(source_hash('__main__'))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "__main__", done.stderr


def test_a_script_is_hashed_by_its_text(tmp_path):
    """Two scripts whose models differ must not share stages because both are ``__main__``."""
    found = set()
    for text in ("A = 1", "A = 2"):
        script = tmp_path / "script.py"
        script.write_text(
            f"{text}\nfrom harness.engine.chain import source_hash\nprint(source_hash('__main__'))"
        )
        paths = {"PYTHONPATH": str(Path(harness.__file__).parents[1])}
        done = subprocess.run(
            [sys.executable, script], capture_output=True, text=True, env={**os.environ, **paths}
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 2
