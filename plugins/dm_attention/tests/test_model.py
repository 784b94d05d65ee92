from dataclasses import replace

import numpy as np
import pytest
import torch
from dm_attention.aligned import AlignedResNet50, ResNet50, normal_anchor
from dm_attention.masks import DISEASES, NEVER, min_max
from dm_attention.model import DMAttention, DMPrior
from dm_attention.network import Alignment, Judge

from harness import Batch, DataError, LabelSpace, Samples, SettingError, View
from harness.testing import stand

SMALL = {"size": 64, "weights": "none", "epochs": 1, "batch_size": 8}
ALIGNED = {**SMALL, "alignment_weights": "none", "alignment_epochs": 1}


def trained(model):
    with stand.home("dm"):
        return stand.train(model)


def digests(model):
    return {step["name"]: step["digest"] for step in trained(model).task.learnt.steps}


def labelled(labels):
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    names = [str(row) for row in range(len(labels))]
    samples = Samples.of(
        LabelSpace(("Mass", "No Finding")),
        names=names,
        patients=names,
        images=images,
        sizes=np.full((len(labels), 2), 8),
        labels=np.array(labels, dtype=np.float32),
    )
    return Samples(samples.columns, samples.space, View(8))


def test_the_anchor_is_made_of_normal_images():
    samples = labelled([[0, 1], [1, 0], [0, 0], [1, 1], [0, 1]])
    anchor = normal_anchor(samples, 2000)
    assert anchor["images"] == 3
    np.testing.assert_allclose(anchor["image"], (0 + 2 + 4) / 3 / 255, rtol=1e-6)
    assert normal_anchor(samples, 2)["images"] == 2
    with pytest.raises(DataError, match="no anchor"):
        normal_anchor(labelled([[1, 0]]), 2)


def test_cells_must_tile_the_image():
    with pytest.raises(SettingError, match="cells=32 do not divide the image's size=100"):
        AlignedResNet50(size=100)


def test_aligned_pixels_are_where_to_original_says():
    """A ramp of original coordinates, seen through the alignment, reads to_original itself."""
    model = AlignedResNet50(size=64)
    model.alignment = Alignment().eval()
    with torch.no_grad():
        model.alignment.resnet.fc.bias.copy_(torch.tensor([0.8, 0.7, 0.1, -0.05, 0.2]))
    ramp = (torch.arange(64) + 0.5) * 4  # original pixels, four to one of the view
    images = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64)])[:, None] / 256
    to_original = torch.tensor([[4.0, 0, 0], [0, 4, 0]]).expand(2, 2, 3)
    seen = model._look(Batch(images, to_original, torch.arange(2)))
    centres = torch.cartesian_prod(torch.arange(8.0, 56), torch.arange(8.0, 56)) + 0.5
    y, x = centres.T
    expected = seen.to_original[0] @ torch.stack([x, y, torch.ones_like(x)])
    read = seen.images[:, 0, y.long(), x.long()] * 256
    torch.testing.assert_close(read, expected, atol=1e-3, rtol=0)


def test_the_way_back_is_exact_under_autocast():
    """In bfloat16 a heat map of 1024 pixels would be scored two pixels beside its place."""
    model = AlignedResNet50(size=64)
    model.alignment = Alignment().eval()
    with torch.no_grad():
        model.alignment.resnet.fc.bias.copy_(torch.tensor([1.07, 0.93, 0.043, -0.071, 0.08]))
    to_original = torch.tensor([[1024 / 60, 0, 0], [0, 1024 / 60, 0]]).expand(2, 2, 3)
    batch = Batch(torch.rand(2, 1, 64, 64), to_original, torch.arange(2))
    exact = model._look(batch).to_original
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model._look(batch).to_original, exact)


@pytest.mark.usefixtures("slim_networks")
def test_what_weighs_nothing_is_not_computed(monkeypatch):
    """A judge costs more than the alignment itself; without a weight it is not asked."""
    asked = []
    monkeypatch.setattr(Judge, "forward", lambda self, images: asked.append(len(images)))
    entry = trained(AlignedResNet50(**ALIGNED, perceptual=0.0)).task.learnt.steps
    (alignment,) = (step for step in entry if step["name"] == "alignment")
    assert asked == []
    assert "perceptual" not in alignment["history"][0]
    assert alignment["history"][0]["euclidean"] > 0


@pytest.mark.usefixtures("slim_networks")
def test_rows_share_their_common_stages():
    whole = digests(DMAttention(**ALIGNED))
    assert list(whole) == [
        "classifier",
        "anchor",
        "alignment",
        "placement",
        "landmarks",
        "aligned-classifier",
        "activations",
        "mean activations",
        "attention",
    ]
    common = [
        (ResNet50(**SMALL), 1),
        (AlignedResNet50(**ALIGNED), 4),
        (DMAttention(**ALIGNED, masks="pseudo"), 4),
        (DMAttention(**ALIGNED, masks="uniform"), 6),
        (DMAttention(**ALIGNED, level=0.7, attention="shared_max"), 6),
        (DMPrior(**ALIGNED), 6),
    ]
    for model, count in common:
        own = digests(model)
        assert list(own.items())[:count] == list(whole.items())[:count], model
        assert own.get("attention") != whole["attention"], model
    assert digests(ResNet50(**SMALL, augment="affine")) != digests(ResNet50(**SMALL))


@pytest.mark.usefixtures("slim_networks")
def test_only_the_eight_diseases_have_masks():
    method = trained(DMAttention(**ALIGNED, fewest=7))
    psi = method.model.network.psi
    masked = torch.tensor([name in DISEASES for name in method.task.classes])
    assert psi.shape == (14, 2, 2)
    assert torch.equal(psi.amax((1, 2)), masked.float())
    every = trained(DMAttention(**ALIGNED, fewest=7, masked="all")).model.network.psi
    assert every.amax((1, 2)).tolist() == [1.0] * 14
    with pytest.raises(SettingError, match="set masked=all"):
        replace(method.model)._psi(_Task(("Cough",)))


class _Task:
    def __init__(self, classes):
        self.classes = classes


@pytest.mark.usefixtures("slim_networks")
def test_the_mean_activation_is_that_of_the_classifiers_maps():
    """The map column and its gathering, against the network asked directly."""
    prior = trained(DMPrior(**ALIGNED, fewest=3, level=0.0))
    task, model = prior.task, prior.model
    batch = task.train.batch(np.arange(len(task.train))).to(torch.device("cpu")).floats()
    with torch.inference_mode():
        seen = model._look(batch)
        logits, maps = model.network.eval()(seen.images)
    cardiomegaly = task.classes.index("Cardiomegaly")
    order = logits[:, cardiomegaly].argsort(descending=True)
    assert logits[order[0], cardiomegaly].sigmoid() < 0.8
    mean = min_max(maps[order[:3], cardiomegaly]).mean(0)
    torch.testing.assert_close(model.psi[cardiomegaly], min_max(mean), atol=1e-3, rtol=1e-3)
    said = model.predict(batch)
    assert torch.equal(said.to_original, batch.to_original)
    assert torch.equal(said.maps[0], said.maps[-1])
    assert NEVER < 0
