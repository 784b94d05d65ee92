"""Steps that are the same are learnt once; steps that differ in anything that matters are not."""

import os
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from engine_toys import COMPUTE, FULL, Toy, samples, train

import harness
from harness.engine import learning
from harness.errors import TrainingError
from harness.files import locked

HERE = Path(__file__).parent


def shared(task):
    return {s["name"]: s["shared"] for s in task.learnt.steps if s["kind"] == "stage"}


def test_two_models_with_the_same_first_stage_train_it_once(own_home):
    assert shared(train(Toy())) == {"features": False, "head": False}
    assert shared(train(Toy(second=0.02))) == {"features": True, "head": False}
    assert shared(train(Toy(rate=0.02))) == {"features": False, "head": False}
    assert shared(train(Toy(second=0.02))) == {"features": True, "head": True}
    assert len(list((own_home / "maps").glob("*/values.bin"))) == 2  # of both rates


def test_other_seed_data_and_precision_train_again():
    train(Toy())
    assert not any(shared(train(Toy(), seed=1)).values())
    assert not any(shared(train(Toy(), train=49)).values())
    assert not any(shared(train(Toy(), compute=replace(COMPUTE, precision="bf16"))).values())
    # the first stage has no score: the validation split is nothing to it
    assert shared(train(Toy(), validation=29)) == {"features": True, "head": False}


def test_a_budget_that_shortens_trains_again_and_one_that_does_not_does_not():
    train(Toy(epochs=2))
    assert all(shared(train(Toy(epochs=2), budget=replace(FULL, epochs=5))).values())
    assert not any(shared(train(Toy(epochs=2), budget=replace(FULL, epochs=1))).values())


def test_fresh_learns_everything_again(own_home):
    train(Toy())
    kept = [*own_home.glob("keeps/*.safetensors"), *own_home.glob("maps/*/values.bin")]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert shared(train(Toy(), fresh=True)) == {"features": False, "head": False}
    assert len(kept) == 2
    assert all(path.stat().st_mtime_ns > time for path, time in before.items())


def test_other_code_that_computes_the_same_learns_the_same(monkeypatch):
    """Code decides whether a stage is taken from the cache, not which images come first."""
    before = [(s["digest"], s["final"]) for s in train(Toy()).learnt.steps if s["kind"] == "stage"]
    monkeypatch.setattr(learning, "training_hash", lambda: "another version")
    task = train(Toy())
    assert shared(task) == {"features": False, "head": False}
    after = [(s["digest"], s["final"]) for s in task.learnt.steps if s["kind"] == "stage"]
    for (digest, weights), (other, others) in zip(before, after, strict=True):
        assert digest != other
        assert weights == others


def test_the_same_digest_with_other_initial_weights_is_an_error(monkeypatch):
    train(Toy())
    derive = learning.derive
    monkeypatch.setattr(learning, "derive", lambda s, *p: derive(s + (p == ("network", 1)), *p))
    with pytest.raises(TrainingError, match=r"stage 'head' was begun with other initial weights"):
        train(Toy())


@dataclass
class Forgetful(Toy):
    """Its first stage reads ``width`` but does not say so in its key."""

    def stages(self, task):
        """Begin with larger weights."""
        for stage in super().stages(task):
            with torch.no_grad():
                for parameter in stage.network.parameters():
                    parameter.mul_(self.width)
            yield stage


def test_a_forgotten_key_is_found_out():
    train(Forgetful(width=4))
    with pytest.raises(TrainingError, match="put what decides them into its key"):
        train(Forgetful(width=5))
    train(Forgetful(width=5), fresh=True)


WAITER = """
import sys
sys.path.insert(0, {here!r})
from engine_toys import Toy, train
task = train(Toy())
print([s["shared"] for s in task.learnt.steps if s["kind"] == "stage"])
"""


def test_a_second_process_waits_for_the_first(own_home):
    """The first holds the lock of the first stage, then finishes it: the second trains neither."""
    digest = digest_of(Toy())
    with locked(own_home / "stages" / f"{digest}.lock"):
        paths = [str(Path(harness.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        second = subprocess.Popen(
            [sys.executable, "-u", "-c", WAITER.format(here=str(HERE))],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert second.stderr.readline() == "another run is working on features: waiting\n"
        assert second.poll() is None
        with pytest.MonkeyPatch.context() as patched:  # this process may: it holds the lock
            patched.setattr(learning, "locked", lambda *arguments: nullcontext())
            train(Toy())
    out, _ = second.communicate(timeout=60)
    assert out == "[True, True]\n"


class Enough(Exception):
    """Nothing is trained."""


def digest_of(model):
    """Return the digest of a model's first stage, as a run gives it."""
    task = learning.LiveTask(model, samples(50, 1), samples(30, 2), {}, COMPUTE, FULL, 0)
    found = []

    def note(stage, digest, folder):
        found.append(digest)
        raise Enough

    task._train = note
    with pytest.raises(Enough):
        learning.learn(model, task, task.train_stage)
    return found[0]
