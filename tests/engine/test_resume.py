"""Interrupted equals uninterrupted, bitwise, wherever the interruption falls."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_toys import COMPUTE, SEED, Toy, bce, jitter, noisy, samples, train, train_killed_at
from torch.optim import SGD, AdamW
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    LinearLR,
    MultiStepLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
)

import harness
from harness import Stage
from harness.engine import checkpoint, loop, step
from harness.engine.checkpoint import weights_hash
from harness.errors import Interrupted, TrainingError

HERE = Path(__file__).parent


def python(program, *arguments, **environment):
    """Run a program of this folder with the harness importable; return the finished process."""
    paths = [str(Path(harness.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **threads, **environment}
    command = [sys.executable, str(HERE / program), *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)


def killed(folder, *seeds):
    done = python("killed.py", folder, *seeds)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [entry["seed"] for entry in report["killed"]] == list(seeds)
    return report


def assert_unharmed(report):
    for entry in report["killed"]:
        for key, value in report["whole"].items():
            assert entry[key] == value, f"{key} of seed {entry['seed']} after {entry['codes']}"


def test_killed_at_random_moments(tmp_path):
    report = killed(tmp_path, 0, 1, 2)
    assert_unharmed(report)
    codes = {code for entry in report["killed"] for code in entry["codes"]}
    assert -signal.SIGKILL in codes, "nothing was killed"


@pytest.mark.slow
def test_killed_at_many_random_moments(tmp_path):
    assert_unharmed(killed(tmp_path, *range(4, 40)))


SCHEDULERS = {
    "none": (lambda optimizer: None, "epoch"),
    "cosine": (lambda o: CosineAnnealingLR(o, 9), "step"),
    "steps": (lambda o: MultiStepLR(o, [2, 5], 0.5), "step"),
    "warm-up": (
        lambda o: SequentialLR(o, [LinearLR(o, 0.1, total_iters=3), MultiStepLR(o, [2], 0.5)], [3]),
        "step",
    ),
    "one-cycle": (lambda o: OneCycleLR(o, 0.05, total_steps=20), "step"),
    "lambda": (lambda o: LambdaLR(o, lambda epoch: 1 / (1 + epoch)), "epoch"),
    "plateau": (lambda o: ReduceLROnPlateau(o, "max", 0.5, patience=0), "epoch"),
}


def stage_of(scheduler="none", optimizer=AdamW):
    network = noisy(10)
    made = optimizer(network.parameters(), lr=0.01)
    make, schedule = SCHEDULERS[scheduler]
    scores = lambda: float(weights_hash(network)[0] < "8")  # noqa: E731 - some score of the weights
    return Stage(
        "stage", network, bce, samples(22), made, epochs=3, batch_size=4, accumulate=2,
        augment=jitter, scheduler=make(made), schedule=schedule, score=scores,
    )  # fmt: skip


@pytest.mark.parametrize("often", [True, False], ids=["mid-epoch", "epoch"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_stopped_after_any_step(scheduler, often, tmp_path, monkeypatch):
    whole = stage_of(scheduler)
    expected = loop.train(whole, tmp_path / "whole", COMPUTE, SEED)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0 if often else 600.0)
    for number in (1, 5, 8, 13) if scheduler == "none" else (8,):
        folder = tmp_path / f"{number}"
        train_killed_at(number, stage_of(scheduler), folder, monkeypatch)
        resumed = stage_of(scheduler)
        state = loop.train(resumed, folder, COMPUTE, SEED)
        assert weights_hash(resumed.network) == weights_hash(whole.network), number
        assert state.history == expected.history


def test_momentum_and_memory_layout_survive(tmp_path, monkeypatch):
    make = lambda parameters, lr: SGD(parameters, lr, momentum=0.9)  # noqa: E731
    whole = stage_of(optimizer=make)
    loop.train(whole, tmp_path / "whole", COMPUTE, SEED)
    train_killed_at(7, stage_of(optimizer=make), tmp_path / "cut", monkeypatch)
    resumed = stage_of(optimizer=make)
    loop.train(resumed, tmp_path / "cut", COMPUTE, SEED)
    assert weights_hash(resumed.network) == weights_hash(whole.network)


def test_a_checkpoint_in_the_middle_of_an_epoch_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    train_killed_at(5, stage_of(), tmp_path, monkeypatch)
    state = checkpoint.load(tmp_path / "checkpoint.safetensors", stage_of())
    assert (state.epoch, state.batch, state.steps) == (0, 4, 2)  # five forwards, two whole steps


def told_to_stop(when, monkeypatch, number):
    """Raise SIGTERM when a method of the stepper, or the score, is called for the nth time."""
    original, calls = getattr(step.Stepper, when), []

    def counted(self, *arguments):
        result = original(self, *arguments)
        calls.append(when)
        if len(calls) == number:
            signal.raise_signal(signal.SIGTERM)
        return result

    monkeypatch.setattr(step.Stepper, when, counted)


@pytest.mark.parametrize("number", [1, 2, 5, 6, 8, 18])
def test_sigterm_writes_a_checkpoint_and_ends(number, tmp_path, monkeypatch):
    """Also where it comes within a step, in the last step of an epoch, or of the stage."""
    whole = stage_of()
    loop.train(whole, tmp_path / "whole", COMPUTE, SEED)
    with monkeypatch.context() as patched:
        told_to_stop("forward", patched, number)
        with pytest.raises(Interrupted, match="goes on from the last checkpoint"):
            loop.train(stage_of(), tmp_path / "cut", COMPUTE, SEED)
    saved = checkpoint.load(tmp_path / "cut" / "checkpoint.safetensors", stage_of())
    assert 6 * saved.epoch + saved.batch >= number, "work was lost"
    resumed = stage_of()
    loop.train(resumed, tmp_path / "cut", COMPUTE, SEED)
    assert weights_hash(resumed.network) == weights_hash(whole.network)


def test_sigterm_while_validating_ends_also_the_last_epoch(tmp_path):
    stage = stage_of()
    stage.epochs, stage.score = 1, lambda: signal.raise_signal(signal.SIGTERM) or 0.5
    with pytest.raises(Interrupted):
        loop.train(stage, tmp_path, COMPUTE, SEED)


@pytest.fixture
def heeds_ctrl_c():
    """A process that a shell started in the background ignores Ctrl-C, and so would the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_once_stops_at_the_next_step_and_twice_at_once(tmp_path):
    def interrupts(times):
        left = [signal.SIGINT] * times

        def loss(network, batch):
            while left:
                signal.raise_signal(left.pop())
            return bce(network, batch)

        stage = stage_of()
        stage.loss = loss
        return stage

    with pytest.raises(Interrupted) as stopped:
        loop.train(interrupts(1), tmp_path / "once", COMPUTE, SEED)
    assert stopped.value.number == signal.SIGINT
    saved = checkpoint.load(tmp_path / "once" / "checkpoint.safetensors", stage_of())
    assert saved.batch == 2  # the first whole step: two forwards
    with pytest.raises(KeyboardInterrupt):
        loop.train(interrupts(2), tmp_path / "twice", COMPUTE, SEED)
    assert not (tmp_path / "twice" / "checkpoint.safetensors").exists()


def test_signals_have_their_old_meaning_afterwards(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    loop.train(stage_of(), tmp_path, COMPUTE, SEED)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_loss_that_is_no_number_is_named_and_the_checkpoint_kept(tmp_path):
    stage = stage_of()
    calls = []

    def breaks(network, batch):
        calls.append(1)
        bad = float("nan") if len(calls) > 8 else 1.0
        return {"bce": bce(network, batch)["bce"] * bad}

    stage.loss = breaks
    with pytest.raises(
        TrainingError, match=r"stage 'stage': the loss bce is not finite in epoch 2"
    ):
        loop.train(stage, tmp_path, COMPUTE, SEED)
    assert checkpoint.load(tmp_path / "checkpoint.safetensors", stage_of()).epoch == 1


def test_a_checkpoint_of_another_network_or_cut_short_says_so(tmp_path):
    loop.train(stage_of(), tmp_path, COMPUTE, SEED)
    file = tmp_path / "checkpoint.safetensors"
    other = stage_of()
    other.network = torch.nn.Linear(2, 2)
    with pytest.raises(TrainingError, match="does not fit; run with --fresh"):
        checkpoint.load(file, other)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="does not fit; run with --fresh"):
        checkpoint.load(file, stage_of())


def test_a_finished_run_found_again_has_the_same_weights(own_home):
    first, second = Toy(), Toy()
    steps = [train(model).learnt.steps for model in (first, second)]
    assert weights_hash(first.head) == weights_hash(second.head)
    assert [entry.get("shared") for entry in steps[1] if entry["kind"] == "stage"] == [True, True]
    assert np.isfinite(steps[1][-1]["score"])
    left = {file.name for file in (own_home / "stages").glob("*/*")}
    assert left == {"begun.json", "stage.json", "weights.safetensors"}


def test_a_disk_that_takes_no_checkpoint_is_one_message(tmp_path):
    """A limit on the size of files stands for a full disk: the same path, another number."""
    done = python("small_disk.py", tmp_path, HARNESS_HOME=tmp_path)
    assert done.returncode == 3, done.stderr
    assert "checkpoint.safetensors could not be written: File too large" in done.stdout
    assert not [file for file in tmp_path.rglob("*") if file.suffix in (".safetensors", ".tmp")]
