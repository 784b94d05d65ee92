"""What the model of CXR-IRNet does between its networks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from cxr_irnet import network
from cxr_irnet.model import BANK, ORGANS, CXRIRNet, dice_loss, mask_bank, patient_hold_out

from harness import Draws, LabelSpace, Samples, Task, View, center_crop

SPACE = LabelSpace(("a", "b"), organs=("heart", "left_lung", "right_lung"))


def samples(count, size=12, seed=0):
    random = np.random.default_rng(seed)
    made = Samples.of(
        SPACE,
        names=[f"{i}" for i in range(count)],
        patients=[f"p{i // 3}" for i in range(count)],
        sizes=np.full((count, 2), size),
        images=random.integers(0, 256, (count, size, size), dtype=np.uint8),
        masks=random.integers(0, 2, (count, 3, size, size), dtype=np.uint8) * 255,
    )
    made.view = View(size)
    return made


class Brightness(torch.nn.Module):
    """A segmenter that calls whatever is bright an organ."""

    def forward(self, images):
        return (images - 0.5).expand(-1, 3, -1, -1) * 100


class Spy(torch.nn.Module):
    """A classifier that returns its masks."""

    def forward(self, images, masks):
        self.masks = masks
        return torch.zeros(len(images), 2), torch.zeros(len(images), 2, 1, 1)


class OnPaper(Task):
    """A task that trains nothing and stores nothing."""

    def __init__(self):
        self.space, self.train, self.validation = SPACE, samples(30), samples(6)
        self.asked = []

    def annotated(self, column, organs=()):
        self.asked.append((column, organs))
        return self.train

    def map(self, name, function, samples, key=(), *, spatial=False):
        return samples

    def keep(self, name, function, key=()):
        return None

    def score(self, predict):
        return 0.5

    def weights(self, name):
        return None


def test_hold_out_keeps_patients_together():
    fitted, held_out = patient_hold_out(samples(31))
    assert len(fitted) + len(held_out) == 31
    assert set(fitted.patients).isdisjoint(held_out.patients)
    assert len(set(held_out.patients)) == 3  # a fifth of 11, rounded up
    again, _ = patient_hold_out(samples(31, seed=5))
    assert again.names.tolist() == fitted.names.tolist()


def test_stages_without_weighting_need_no_masks():
    task = OnPaper()
    stages = list(CXRIRNet(weighting="none", weights="none").stages(task))
    assert [stage.name for stage in stages] == ["classifier"]
    assert task.asked == []


def test_segmenter_comes_first_and_is_selected_on_other_patients():
    task = OnPaper()
    model = CXRIRNet(weights="none", size=12, crop=8)
    stages = model.stages(task)
    first = next(stages)
    assert first.name == "unet"
    assert task.asked == [("masks", ORGANS)]
    assert len(first.data) == 24  # eight of ten patients
    model.unet = Brightness()
    model.unet.register_parameter("somewhere", torch.nn.Parameter(torch.zeros(1)))
    assert 0 < first.score() < 1
    assert next(stages).name == "classifier"


def test_segmenters_of_different_heads_are_one_stage_and_classifiers_are_not():
    first, second = ([*CXRIRNet(weighting=w).stages(OnPaper())] for w in ("soft", "hard"))
    assert first[0].key == second[0].key
    assert first[1].key != second[1].key


def test_dice_loss_finds_the_organs_by_name():
    batch = samples(2).batch(np.arange(2)).floats()
    heart, left, right = batch["masks"].unbind(1)
    oracle = torch.stack([left, right, heart], dim=1)
    assert dice_loss(lambda images: oracle * 200 - 100, batch, SPACE.organs).item() < 1e-3
    wrong = torch.stack([heart, left, right], dim=1)
    assert dice_loss(lambda images: wrong * 200 - 100, batch, SPACE.organs).item() > 0.2


def test_masks_are_those_of_the_crop_in_the_frame_of_the_view():
    model = CXRIRNet(size=13, crop=8)
    model.unet = Brightness()
    batch = samples(3, size=13).batch(np.arange(3)).floats()
    union = model._union(batch)
    assert union.dtype == torch.uint8
    assert union.shape == (3, 1, 13, 13)
    cropped = center_crop(replace(batch, spatial={"organs": union}), 8)
    expected = (cropped.images > 0.5).byte() * 255
    assert torch.equal(cropped["organs"], expected)
    assert union.sum() == expected.sum()


def test_training_sees_the_centre_as_prediction_does():
    batch = samples(2).batch(np.arange(2))
    draws = Draws(batch.index, 0)
    model = CXRIRNet(size=12, crop=8)
    assert torch.equal(model._cropped(batch, draws).images, batch.images[:, :, 2:10, 2:10])


@pytest.mark.parametrize("masks", ["own", "shuffled"])
def test_prediction_weighs_with_own_or_with_always_the_same_other_masks(masks):
    model = CXRIRNet(size=12, crop=8, masks=masks)
    model.unet, model.network = Brightness(), Spy()
    random = np.random.default_rng(1).integers(0, 2, (BANK, 1, 12, 12), dtype=np.uint8)
    model.bank = torch.from_numpy(random * 255)
    batch = samples(5).batch(np.array([4, 1])).floats()
    said = model.predict(batch)
    inner = batch.images[:, :, 2:10, 2:10]
    own = ((inner - 0.5) * 100).sigmoid().expand(-1, 3, -1, -1)
    torch.testing.assert_close(said.masks, own)
    other = torch.from_numpy(random[[4, 1], :, 2:10, 2:10]).float()
    torch.testing.assert_close(model.network.masks, own if masks == "own" else other)
    assert said.map_frame == (8, 8)


def test_mask_bank_is_spread_over_the_training_images():
    train = samples(30)
    union = np.arange(30, dtype=np.uint8)[:, None, None, None] * np.ones((1, 12, 12), np.uint8)
    bank = mask_bank(train.with_column("organs", union, spatial=True))
    assert bank.shape == (BANK, 1, 12, 12)
    assert bank[0].unique().tolist() == [0]
    assert bank[-1].unique().tolist() == [29]
    assert len(bank.unique()) == 30


@pytest.mark.parametrize("masks", ["own", "shuffled"])
@pytest.mark.parametrize("weighting", ["soft", "hard"])
def test_masks_taken_once_select_the_same_epoch_as_masks_taken_anew(weighting, masks):
    model = CXRIRNet(size=40, crop=32, weighting=weighting, masks=masks)
    model.unet = Brightness()
    torch.manual_seed(0)
    model.network = network.CXRIRNet(2, *model._head).eval()
    validation = samples(6, size=40)
    whole = validation.batch(np.arange(6)).floats()
    model.bank = model._union(whole)[torch.arange(BANK) % 6]
    mapped = validation.with_column("organs", model._union(whole).numpy(), spatial=True)
    rows = validation.batch(np.array([4, 1])).floats()
    with torch.no_grad():
        said, again = model._validating(mapped)(rows), model.predict(rows)
    assert torch.equal(said.scores, again.scores)
    assert said.masks is None
