import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from anatomy_xnet.figures import picture
from anatomy_xnet.model import ANATOMY, AnatomyXNet, LinearFall, segmentation_loss

from harness import Batch, LabelSpace, Samples, SettingError, Stage, Task, View

CLASSES = ("Atelectasis", "Cardiomegaly", "Hernia")
ORGANS = ("left_clavicle", "left_lung", "right_lung", "heart")  # SCR has clavicles too
SMALL = {
    "size": 48,
    "crop": 32,
    "mask_size": 14,
    "weights": "none",
    "reduction": 8.0,
    "segmentation_width": 4,
    "segmentation_blocks": 1,
}


def samples(count=6, size=48):
    generator = np.random.default_rng(0)
    found = Samples.of(
        LabelSpace(CLASSES, organs=ORGANS),
        names=[str(row) for row in range(count)],
        patients=[str(row) for row in range(count)],
        images=generator.integers(256, size=(count, size, size), dtype=np.uint8),
        labels=generator.integers(2, size=(count, 3)).astype(np.float32),
        masks=255 * generator.integers(2, size=(count, 4, size, size), dtype=np.uint8),
        sizes=np.full((count, 2), 2 * size),
    )
    return Samples(found.columns, found.space, View(size))


class PlainTask(Task):
    """Everything at once and in memory; the score runs the prediction that is scored."""

    def __init__(self):
        self.train = self.validation = samples()
        self.space = self.train.space
        self.maps = []

    def annotated(self, column, organs=()):
        return self.train

    def map(self, name, function, samples, key=(), *, spatial=False):
        with torch.no_grad():
            values = function(samples.batch(np.arange(len(samples))).floats()).numpy()
        self.maps.append(function.__name__)
        return samples.with_column(name, values, spatial=spatial)

    def keep(self, name, function, key=()):
        return function()

    def score(self, predict):
        batch = self.validation.batch(np.arange(len(self.validation)), inputs_only=True)
        with torch.no_grad():
            self.scored = predict(batch.floats())
        return 0.5

    def weights(self, name):
        return None


def run(model):
    """The model after its method section, with the stages that it asked for, and its task."""
    task, stages = PlainTask(), []
    for stage in model.stages(task):
        assert isinstance(stage, Stage)
        stages.append(stage)
        stage.network.eval()
    return model, stages, task


def batch_of(stage):
    batches = {
        name: source.batch(np.arange(len(source))).floats()
        for name, source in stage.sources.items()
    }
    return batches if isinstance(stage.data, dict) else batches["data"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"level": 0},
        {"level": 3, "tap": "post-pool", "attention_loss": "pre"},
        {"masks": "hard", "anatomy_term": "mask_feature", "segmentation": "supervised"},
        {"masks": "shuffled", "tta": "ten-crop", "segmentation": "unet", "pooling": "max"},
    ],
    ids=lambda options: ",".join(f"{k}={v}" for k, v in options.items()) or "paper",
)
def test_every_option_trains_and_predicts(options):
    model, stages, _ = run(AnatomyXNet(**SMALL, **options))
    names = [stage.name for stage in stages]
    assert names == ["classification"] if not model.level else ["segmentation", "classification"]
    for stage in stages:
        stage.network.train()
        losses = stage.loss(stage.network, batch_of(stage))
        sum(losses.values()).backward()
        assert all(parameter.grad is not None for parameter in stage.network.parameters())
        stage.network.eval()
    with torch.no_grad():
        said = model.predict(samples().batch(np.arange(6), inputs_only=True).floats())
    assert said.scores.shape == (6, 3)
    assert said.scores.dtype == torch.float32
    assert ((said.scores > 0) & (said.scores < 1)).all()


@pytest.mark.parametrize("tta", ["none", "ten-crop"])
def test_masks_of_the_whole_image_are_offered_whatever_is_cropped(tta):
    model, _, _ = run(AnatomyXNet(**SMALL, tta=tta))
    batch = samples().batch(np.arange(6), inputs_only=True).floats()
    with torch.no_grad():
        said = model.predict(batch)
        expected = model.segment(batch)
    assert torch.equal(said.masks * 255, expected.float())
    assert said.organs == {"lungs": ("left_lung", "right_lung"), "heart": ("heart",)}
    assert said.map_frame == (48, 48)
    assert torch.equal(said.to_original, batch.to_original)


@pytest.mark.parametrize("options", [{"level": 0}, {"masks": "shuffled"}])
def test_no_masks_are_offered_where_there_are_none_of_this_image(options):
    model, _, _ = run(AnatomyXNet(**SMALL, **options))
    with torch.no_grad():
        assert model.predict(samples().batch(np.arange(6), inputs_only=True).floats()).masks is None


def test_ablation_rows_share_one_segmentation_stage():
    rows = (
        {},
        {"level": 1},
        {"level": 3},
        {"pooling": "gem"},
        {"mask_size": 28},
        {"masks": "hard"},
        {"masks": "shuffled"},
        {"tta": "ten-crop"},
        {"attention_loss": "pre"},
        {"reduction": 2.0},
    )
    keys = {run(AnatomyXNet(**{**SMALL, **row}))[1][0].key for row in rows}
    assert len(keys) == 1
    others = ({"cycle_mask": 1.0}, {"segmentation": "unet"}, {"labelled_images": 2})
    assert keys.isdisjoint(run(AnatomyXNet(**SMALL, **row))[1][0].key for row in others)


def test_only_test_time_settings_share_the_classifier():
    def key(**row):
        return run(AnatomyXNet(**{**SMALL, **row}))[1][1].key

    assert key() == key(tta="ten-crop")
    for row in ({"masks": "hard"}, {"attention_weight": 0.0}, {"tap": "post-pool"}, {"scale": 0.0}):
        assert key() != key(**row)


def test_masks_are_named_by_the_samples_that_have_them():
    stage = run(AnatomyXNet(**SMALL, segmentation="supervised"))[1][0]
    masks = torch.zeros(1, 4, 2, 2)
    masks[0, 0, 0, 0] = masks[0, 1, 0, 1] = masks[0, 2, 1, 0] = masks[0, 3, 1, 1] = 1.0
    seen = []
    batch = Batch(torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 3), torch.zeros(1), {}, {})
    batches = {"labelled": replace(batch, spatial={"masks": masks})}
    segmentation_loss(ORGANS)(lambda images, classes: seen.append(classes) or {}, batches)
    assert seen[0].tolist() == [[[0, 1], [1, 2]]]
    assert list(stage.sources) == ["labelled"]


def test_labelled_images_are_spread_over_all():
    stage = run(AnatomyXNet(**SMALL, labelled_images=3))[1][0]
    assert stage.sources["labelled"].names.tolist() == ["0", "2", "5"]
    assert len(stage.sources["unlabelled"]) == 6


class Spy(torch.nn.Module):
    """Notes what it is given."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images, masks):
        self.seen.append((images, masks))
        score = (images * masks[:, :1]).mean((1, 2, 3))[:, None]
        return SimpleNamespace(logits=score.expand(-1, 4), attention=[])


@pytest.mark.parametrize(("tta", "crops"), [("none", 1), ("ten-crop", 10)])
def test_masks_follow_the_crops(tta, crops):
    model, _, _ = run(AnatomyXNet(**SMALL, tta=tta))
    model.network = spy = Spy()
    model.segment = lambda batch: (255 * batch.images).round().to(torch.uint8).expand(-1, 2, -1, -1)
    batch = samples().batch(np.arange(6), inputs_only=True).floats()
    said = model.predict(batch)
    assert len(spy.seen) == crops
    assert len({images.numpy().tobytes() for images, _ in spy.seen}) == crops
    for images, masks in spy.seen:
        assert images.shape == (6, 1, 32, 32)
        torch.testing.assert_close(masks, images.expand(-1, 2, -1, -1))
    means = [(i * m[:, :1]).mean((1, 2, 3)).sigmoid() for i, m in spy.seen]
    torch.testing.assert_close(said.scores[:, 0], torch.stack(means).mean(0))
    assert ANATOMY not in batch.spatial


@pytest.mark.parametrize("options", [{}, {"masks": "shuffled"}, {"level": 0}])
def test_validation_says_what_prediction_says(options):
    model, stages, task = run(AnatomyXNet(**SMALL, **options))
    assert stages[-1].score() == 0.5
    with torch.no_grad():
        said = model.predict(samples().batch(np.arange(6), inputs_only=True).floats())
    torch.testing.assert_close(task.scored.scores, said.scores)


def test_validation_never_takes_ten_crops():
    model, stages, _ = run(AnatomyXNet(**SMALL, tta="ten-crop"))
    model.network = spy = Spy()
    stages[-1].score()
    assert len(spy.seen) == 1


def test_shuffled_masks_are_those_of_other_images():
    model, _, task = run(AnatomyXNet(**SMALL, masks="shuffled"))
    assert task.maps == ["segment", "shuffle", "anatomy"]
    batch = samples(40).batch(np.arange(40)).floats()
    with torch.no_grad():
        shuffled = model.shuffle(batch)
        alone = model.shuffle(batch.part(7, 8))
    assert torch.equal(alone, shuffled[7:8])
    rows = [int((model.bank == mask).flatten(1).all(1).nonzero()[0]) for mask in shuffled]
    assert len(set(rows)) > 3


def test_hard_masks_are_zero_or_one():
    model = AnatomyXNet(**SMALL, masks="hard")
    batch = samples().batch(np.arange(6)).floats()
    organs = torch.rand(6, 2, 48, 48)
    found = model.masks_of(replace(batch, spatial={ANATOMY: organs}))
    assert torch.equal(found, (organs >= 0.5).float())


def test_a_picture_shows_every_step_of_an_image():
    model, _, _ = run(AnatomyXNet(**SMALL))
    model.network.train()
    batch = samples().batch(np.arange(6)).floats()
    found = picture(model, replace(batch, spatial={}), CLASSES)
    assert model.network.training
    assert [len(axis.images) for axis in found.axes] == [1, 1, 2, 2, 2, 0]
    written = found.axes[5].texts
    assert len(written) == 3
    colours = {text.get_text().split()[0]: text.get_color() for text in written}
    expected = ["tab:red" if label == 1 else "black" for label in batch.labels[0].tolist()]
    assert [colours[name] for name in CLASSES] == expected
    buffer = io.BytesIO()
    found.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")
    with pytest.raises(SettingError, match="no anatomy aware attention"):
        picture(AnatomyXNet(level=0), batch, CLASSES)


def test_learning_rate_falls_linearly_from_its_epoch():
    fall = LinearFall(100, 400)
    assert [fall(epoch) for epoch in (0, 100, 250, 400)] == [1, 1, 0.5, 0]
    assert LinearFall(2, 2)(1) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"level": 4}, "level is 0, 1, 2 or 3"),
        ({"size": 250}, "multiple of 16"),
        ({"crop": 300}, "larger than size"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(SettingError, match=message):
        AnatomyXNet(**settings)
