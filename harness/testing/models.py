"""What every model must do, check by check, on a small phantom."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch

from harness.engine import step
from harness.engine.checkpoint import weights_hash
from harness.engine.evaluate import Predictions, evaluating, networks, predict
from harness.engine.maps import column_specs
from harness.engine.rehearsal import rehearse
from harness.engine.replay import load_model, save_model
from harness.errors import Interrupted
from harness.metrics.auroc import auroc, macro
from harness.model.model import Model
from harness.testing import stand
from harness.testing.stand import COMPUTE, Trained


def constructing_is_free(model: Model) -> None:
    """Constructing a model draws no random number and builds no network."""
    before = torch.random.get_rng_state()
    fresh = replace(model)  # type: ignore[type-var]
    assert torch.equal(before, torch.random.get_rng_state()), "the constructor draws random numbers"
    assert not networks(fresh), "the constructor builds a network"


def rehearsal(model: Model) -> None:
    """The whole method runs untrained on eight samples, and every stage has a name of its own."""
    with stand.home("rehearsal"):
        parts = stand.splits(model.view)
        steps, said = rehearse(
            model, parts["train"], parts["validation"], {}, COMPUTE, stand.BUDGET
        )
    names = [planned.name for planned in steps if planned.kind == "stage"]
    assert len(names) == len(set(names)), f"two stages have the same name: {names}"
    assert said.arrays, f"predict says nothing of {len(parts['validation'])} images"


def prediction_shapes(model: Model) -> None:
    """Predictions have the shapes, ranges and frames that ``Prediction`` promises."""
    said, space = _said(_trained(model)), stand.phantom().space
    count = len(stand.splits(model.view)["test"])
    scores, regions = said.scores, said.arrays.get("region_scores")
    assert scores is not None or regions is not None, "neither image nor region scores"
    if scores is not None:
        assert scores.shape == (count, len(space.classes)), scores.shape
        assert scores.dtype == np.float32, f"scores are {scores.dtype}, not float32"
    if regions is not None:
        assert regions.shape == (count, len(space.regions), len(space.region_classes))
    maps = said.heavy.get("maps")
    if maps is not None:
        assert maps.shape[:2] == (count, len(space.classes)), maps.shape
        assert np.isfinite(maps).all(), "heat maps are not finite"
        assert said.map_frame is not None, "heat maps without map_frame"
        assert said.arrays["to_original"].shape == (count, 2, 3), "heat maps without to_original"
    if said.masks is not None:
        known = {part for parts in said.masks.organs.values() for part in parts}
        assert known <= set(space.organs), f"masks of {known}: the organs are {space.organs}"


def batch_mates_do_not_matter(model: Model) -> None:
    """An image gets the same prediction whatever else is in its batch."""
    trained = _trained(model)
    together = _said(trained)
    alone = _said(trained, batch=1)
    for name, values in together.arrays.items():
        np.testing.assert_allclose(values, alone.arrays[name], rtol=1e-3, atol=2e-4, err_msg=name)


def predicting_changes_nothing(model: Model) -> None:
    """Predicting leaves weights, running statistics and training modes as they were."""
    trained = _trained(model)
    held = networks(trained.model)
    before = [weights_hash(network) for network in held]
    modes = [part.training for network in held for part in network.modules()]
    first, second = _said(trained), _said(trained)
    assert [weights_hash(network) for network in held] == before, "predict changed the weights"
    assert [part.training for network in held for part in network.modules()] == modes
    for name, values in first.arrays.items():
        np.testing.assert_array_equal(values, second.arrays[name], err_msg=name)


def weights_move(model: Model) -> None:
    """Training changes the weights of every stage, and its losses are recorded and finite."""
    trained = _trained(model)
    for entry in trained.task.learnt.steps:
        if entry["kind"] == "stage":
            last = entry["history"][-1]
            losses = [v for k, v in last.items() if k not in ("epoch", "steps", "rate", "score")]
            assert losses, f"stage {entry['name']} names no loss"
            assert np.isfinite(losses).all(), f"stage {entry['name']} has losses {last}"
            assert entry["initial"] != entry["final"], f"stage {entry['name']} does not learn"


def same_seed_same_scores(model: Model) -> None:
    """The same seed gives the same scores, bit by bit; another seed gives others."""
    with stand.home("again", empty=True):
        again = stand.train(model)
        other = stand.train(model, seed=1)
    first, second, third = _said(_trained(model)), _said(again), _said(other)
    for name, values in first.arrays.items():
        np.testing.assert_array_equal(values, second.arrays[name], err_msg=name)
    learns = any(entry["kind"] == "stage" for entry in again.task.learnt.steps)
    key = "scores" if first.scores is not None else "region_scores"
    same = np.array_equal(first.arrays[key], third.arrays[key])
    assert same != learns, "another seed gives the same scores"


def interrupted_equals_uninterrupted(model: Model) -> None:
    """A run that is stopped in any stage and started again ends with bitwise the same weights."""
    whole = _trained(model)
    stages = sum(entry["kind"] == "stage" for entry in whole.task.learnt.steps)
    with stand.home("interrupted", empty=True):
        for number in range(stages):
            try:
                with _stopped_after(2 + 3 * number):
                    stand.train(model)
            except Interrupted:
                continue
        resumed = stand.train(model)
    for first, second in zip(networks(whole.model), networks(resumed.model), strict=True):
        assert weights_hash(first) == weights_hash(second), "the resumed weights differ"


def predicts_without_training_data(model: Model) -> None:
    """The stored model, loaded elsewhere without any data, predicts the same."""
    trained = _trained(model)
    folder = _stored(trained)
    with stand.home("elsewhere", empty=True):
        loaded = load_model(folder, replace(model))  # type: ignore[type-var]
    there = _said(Trained(loaded, trained.task))
    for name, values in _said(trained).arrays.items():
        np.testing.assert_array_equal(values, there.arrays[name], err_msg=name)


def pictures_can_be_drawn(model: Model) -> None:
    """The stored model, loaded without any data, draws radiographs; no two share a file's name.

    Nothing is checked where matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        return
    folder = _stored(_trained(model))
    with stand.home("elsewhere", empty=True):
        loaded = load_model(folder, replace(model))  # type: ignore[type-var]
    truth = stand.splits(model.view)["test"].take(np.arange(2))
    batch = truth.batch(np.arange(2), inputs_only=True).to(COMPUTE.device).floats()
    with evaluating(loaded):
        made = list(loaded.pictures(batch, truth))
    names = [name for name, _ in made]
    assert len(names) >= len(truth), f"two radiographs, and only these pictures: {names}"
    assert len(set(names)) == len(names), f"pictures of the same name: {names}"
    for _, figure in made:
        figure.savefig(BytesIO(), format="png", dpi=20)


def learns(model: Model) -> None:
    """Trained for a hundred steps a stage, it ranks the images it saw: AUROC above 0.6."""
    with stand.home("learns"):
        trained = stand.train(model, steps=100)
    labels = stand.splits(model.view)["train"].labels
    said = predict(trained.model, trained.model.predict, stand.splits(model.view)["train"], COMPUTE)
    if said.scores is not None and labels is not None:
        reached, _ = macro(auroc(said.scores, labels))
        assert reached > 0.6, f"AUROC {reached:.3f} on the {len(labels)} images it saw"


CHECKS = (
    constructing_is_free,
    rehearsal,
    prediction_shapes,
    batch_mates_do_not_matter,
    predicting_changes_nothing,
    weights_move,
    same_seed_same_scores,
    interrupted_equals_uninterrupted,
    predicts_without_training_data,
    pictures_can_be_drawn,
)
SLOW = (learns,)


def _trained(model: Model) -> Trained:
    """Return the model trained in the shared home: trained once, then found there."""
    with stand.home():
        return stand.train(model)


def _said(trained: Trained, batch: int = COMPUTE.eval_batch) -> Predictions:
    test = stand.splits(trained.model.view)["test"]
    compute = replace(COMPUTE, eval_batch=batch)
    every = np.arange(len(test))
    return predict(trained.model, trained.model.predict, test, compute, detailed=every)


def _stored(trained: Trained) -> Path:
    task = trained.task
    about = {"seed": task.seed, "samples": column_specs(task.train.take([]))}
    with stand.home() as folder:
        place = folder / "models" / "checked"
        save_model(place, task.learnt, about)
    return place


@contextmanager
def _stopped_after(steps: int) -> Iterator[None]:
    """Ask the process to end, as a scheduler would, after so many optimiser steps."""
    original, taken = step.Stepper.step, []

    def counted(self: step.Stepper) -> None:
        original(self)
        taken.append(self)
        if len(taken) == steps:
            signal.raise_signal(signal.SIGTERM)

    with patch.object(step.Stepper, "step", counted):
        yield
