"""The common recipe: all classifiers trained alike, everything before them left as it is."""

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from engine_toys import (
    COMPUTE,
    FULL,
    SEED,
    SIZE,
    Toy,
    bce,
    jitter,
    noisy,
    plain,
    samples,
    train,
    train_killed_at,
)
from torch.optim import SGD, Adam, AdamW

from harness import Batch, Stage, center_crop
from harness.data.draws import Draws
from harness.engine import loop
from harness.engine.checkpoint import weights_hash
from harness.engine.recipe import COMMON, PAPER, Common, recipe
from harness.engine.rehearsal import rehearse
from harness.errors import SettingError, TrainingError

STILL = replace(COMMON, degrees=0.0, scale=(1.0, 1.0), shift=0.0)
SHORT = replace(COMMON, epochs=3, batch_size=4)


def stage(network=None, **changed):
    network = network or noisy(10)
    optimizer = changed.pop("optimizer", None) or Adam(network.parameters(), 0.01)
    made = {"epochs": 7, "batch_size": 8, "accumulate": 2, "augment": jitter, "patience": 3}
    made |= {"score": lambda: 0.25, "clip_norm": 1.0, "crop": SIZE - 2} | changed
    return Stage("stage", network, bce, samples(22), optimizer, **made)


def nothing():
    raise AssertionError("the score of the stage itself was to be asked")


def test_a_classifier_is_trained_as_the_recipe_says():
    own = stage(scheduler=None, steps=30, epochs=None, drop_last=True)
    common = COMMON.of(own, nothing)
    assert (common.epochs, common.steps, common.batch_size, common.accumulate) == (10, None, 32, 1)
    assert (common.patience, common.clip_norm, common.drop_last) == (None, None, True)
    assert (common.network, common.loss, common.data) == (own.network, own.loss, own.data)
    assert common.score() == 0.25
    (group,) = common.optimizer.param_groups
    assert isinstance(common.optimizer, AdamW)
    assert (group["lr"], group["weight_decay"]) == (1e-4, 1e-2)
    rates = []
    for _ in range(10):
        rates.append(group["lr"])
        common.optimizer.step()
        common.scheduler.step()
    expected = 1e-4 * (1 + np.cos(np.pi * np.arange(10) / 10)) / 2
    np.testing.assert_allclose(rates, expected, rtol=1e-6)


def test_the_paper_recipe_and_other_stages_change_nothing():
    own, part = stage(), stage(score=None, patience=None)
    assert PAPER.of(own, nothing) is own
    assert COMMON.of(part, nothing) is part
    scored = stage(classifies=False)  # as a segmenter that is selected by its Dice
    assert COMMON.of(scored, nothing) is scored


def test_a_classifier_whose_paper_selects_nothing_is_selected_by_the_task():
    own = stage(score=None, patience=None, classifies=True)
    assert COMMON.of(own, lambda: 0.75).score() == 0.75


def test_what_the_paper_does_not_train_is_not_trained():
    network = plain(SIZE - 2)
    own = stage(network, optimizer=SGD([*network[3].parameters()], 0.1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    common = COMMON.of(own, nothing)
    loss = network(torch.rand(4, 1, SIZE - 2, SIZE - 2)).square().sum()
    loss.backward()
    common.optimizer.step()
    changed = {n for n, v in network.state_dict().items() if not torch.equal(v, before[n])}
    assert changed == {"3.weight", "3.bias"}


def batch(**spatial):
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 255, (6, 1, SIZE, SIZE)))
    eye = torch.eye(2, 3).repeat(6, 1, 1)
    return Batch(images.byte(), eye, torch.arange(6), spatial=spatial)


def test_a_network_that_crops_gets_its_centre():
    common = STILL.of(stage(), nothing)
    seen = common.augment(batch(), Draws(torch.arange(6), 0))
    expected = center_crop(batch(), SIZE - 2)
    assert torch.equal(seen.images, expected.images)
    assert torch.equal(seen.to_original, expected.to_original)
    whole = STILL.of(stage(crop=None), nothing).augment(batch(), Draws(torch.arange(6), 0))
    assert torch.equal(whole.images, batch().images)


def test_images_move_and_masks_follow_them():
    common = COMMON.of(stage(), nothing)
    given = batch(organs=batch().images)
    seen = common.augment(given, Draws(torch.arange(6), 0))
    assert seen.images.shape == (6, 1, SIZE - 2, SIZE - 2)
    assert not torch.equal(seen.images, center_crop(given, SIZE - 2).images)
    assert torch.equal(seen.spatial["organs"], seen.images)
    linear = seen.to_original[:, :, :2]
    assert (torch.linalg.det(linear) > 0).all(), "a chest was mirrored"
    assert (linear.det().sqrt() - 1).abs().max() < 0.12  # 1 / 0.9


def test_everything_before_the_classifier_is_shared_between_recipes():
    shared = lambda task: {s["name"]: s["shared"] for s in task.learnt.steps if "shared" in s}  # noqa: E731
    optimizers = lambda task: [s["optimizer"] for s in task.learnt.steps if "optimizer" in s]  # noqa: E731
    paper = train(Toy())
    common = train(Toy(), recipe=SHORT)
    assert optimizers(paper) == ["Adam", "SGD"]
    assert optimizers(common) == ["Adam", "AdamW"]
    assert shared(common) == {"features": True, "head": False}
    assert shared(train(Toy(), recipe=SHORT)) == {"features": True, "head": True}
    other = replace(SHORT, shift=0.1)  # which no optimiser knows of
    assert shared(train(Toy(), recipe=other)) == {"features": True, "head": False}


def test_a_budget_limits_the_common_recipe():
    task = train(Toy(), recipe=COMMON, budget=replace(FULL, epochs=1))
    assert [s["epochs"] for s in task.learnt.steps if s["kind"] == "stage"] == [1, 1]


@pytest.mark.parametrize("number", [1, 7, 11])
def test_interrupted_equals_uninterrupted(number, tmp_path, monkeypatch):
    make = lambda: SHORT.of(stage(), nothing)  # noqa: E731 - six batches an epoch, three epochs
    whole = make()
    expected = loop.train(whole, tmp_path / "whole", COMPUTE, SEED)
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    train_killed_at(number, make(), tmp_path / "cut", monkeypatch)
    resumed = make()
    state = loop.train(resumed, tmp_path / "cut", COMPUTE, SEED)
    assert weights_hash(resumed.network) == weights_hash(whole.network)
    assert state.history == expected.history
    assert [entry["rate"] for entry in state.history] == pytest.approx([1e-4, 0.75e-4, 0.25e-4])


class Cropping(Toy):
    """Its augmentation crops and it does not say so."""

    def stages(self, task):
        """Call the first stage a classifier."""
        for own in super().stages(task):
            yield replace(own, classifies=True)


class Unscored(Toy):
    """Selected by nothing."""

    def stages(self, task):
        """Train the features alone."""
        for own in super().stages(task):
            yield replace(own, score=None, classifies=None)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Cropping(), r"'features' trains on images of \(10, 10\) pixels .* \(12, 12\) .* crop=10"),
        (Unscored(), r"the common recipe finds no classifier in Unscored: .* classifies=True"),
    ],
)
def test_a_rehearsal_finds_what_the_recipe_does_not_fit(model, message):
    parts = (samples(16, 1), samples(12, 2), {}, COMPUTE, FULL)
    rehearse(model, *parts)
    with pytest.raises(TrainingError, match=message):
        rehearse(model, *parts, recipe=COMMON)


def test_recipes_have_names():
    assert recipe("common") is COMMON
    assert recipe("paper").facts == "paper"
    assert COMMON.facts == asdict(Common())
    with pytest.raises(SettingError, match="no such recipe: 'mine'; choose paper or common"):
        recipe("mine")
