"""What the models of the baselines plugin do around their networks."""

import numpy as np
import pytest
import torch
from baselines.model import AGCNN, DCNN, CheXNet, Metadata, SENet

from harness import DataError, Draws, LabelSpace, Samples, Task, View

SPACE = LabelSpace(("a", "b"))


def samples(count, size=12, **columns):
    random = np.random.default_rng(0)
    made = Samples.of(
        SPACE,
        names=[f"{i}" for i in range(count)],
        patients=[f"{i}" for i in range(count)],
        sizes=np.full((count, 2), size),
        images=random.integers(0, 256, (count, size, size), dtype=np.uint8),
        **columns,
    )
    made.view = View(size)
    return made


class OnPaper(Task):
    """A task that trains nothing and stores nothing."""

    def __init__(self):
        self.space, self.train, self.validation = SPACE, samples(4), samples(4)

    def annotated(self, column, organs=()):
        raise NotImplementedError

    def map(self, name, function, samples, key=(), *, spatial=False):
        raise NotImplementedError

    def keep(self, name, function, key=()):
        raise NotImplementedError

    def score(self, predict):
        return 0.5

    def weights(self, name):
        return None


def test_augmentation_crops_and_mirrors_or_takes_the_centre():
    batch = samples(64).batch(np.arange(64))
    draws = Draws(batch.index, 0)
    centre = batch.images[:, :, 2:10, 2:10]
    plain = CheXNet(size=12, crop=8, augment=False).augmented(batch, draws)
    assert torch.equal(plain.images, centre)
    varied = CheXNet(size=12, crop=8).augmented(batch, draws)
    assert varied.images.shape == centre.shape
    assert not torch.equal(varied.images, centre)
    mirrored = varied.to_original[:, 0, 0] < 0
    assert 0 < mirrored.sum() < 64


def test_prediction_says_where_its_maps_lie():
    torch.manual_seed(0)
    model = CheXNet(size=96, crop=64, weights="none")
    next(model.stages(OnPaper()))
    model.network.eval()
    with torch.no_grad():
        said = model.predict(samples(2, size=96).batch(np.arange(2)).floats())
    assert said.scores.shape == (2, 2)
    assert said.maps.shape == (2, 2, 2, 2)
    assert said.map_frame == (64, 64)
    assert said.to_original[:, :, 2].tolist() == [[16, 16], [16, 16]]


def test_frozen_dcnn_gives_its_optimiser_transition_and_classifier_only():
    for frozen, count in ((True, 2048 * 2049 + 2 * 2049), (False, 23_508_032 + 2049 * 2050)):
        (stage,) = DCNN(weights="none", frozen=frozen).stages(OnPaper())
        (group,) = stage.optimizer.param_groups
        assert sum(p.numel() for p in group["params"]) == count


def test_agcnn_trains_three_stages_of_which_each_keeps_the_last():
    stages = list(AGCNN(weights="none").stages(OnPaper()))
    assert [stage.name for stage in stages] == ["global", "local", "fusion"]
    assert [stage.batch_size for stage in stages] == [128, 64, 64]
    guide, local, fusion = (stage.network for stage in stages)
    assert local.guide is guide
    assert fusion.local is local
    trained = [
        sum(p.numel() for g in s.optimizer.param_groups for p in g["params"]) for s in stages
    ]
    assert trained == [6_953_856 + 1025 * 2, 6_953_856 + 1025 * 2, 2049 * 2]


def test_agcnns_of_different_thresholds_share_their_global_branch():
    first, second = (list(AGCNN(threshold=t).stages(OnPaper())) for t in (0.7, 0.5))
    assert first[0].key == second[0].key
    assert first[1].key != second[1].key


def test_senet_sees_larger_images():
    assert SENet().view == View(512)
    assert SENet().crop == 448


def test_metadata_reads_no_image():
    torch.manual_seed(0)
    known = np.array([[60, 1, 0], [np.nan, 0, 1]], dtype=np.float32)
    model = Metadata()
    next(model.stages(OnPaper()))
    batch = samples(2, metadata=known).batch(np.arange(2), inputs_only=True).floats()
    with torch.no_grad():
        scores = model.predict(batch).scores
    assert scores.shape == (2, 2)
    assert scores.isfinite().all()


def test_metadata_without_metadata_is_one_clear_error():
    model = Metadata()
    next(model.stages(OnPaper()))
    with pytest.raises(DataError, match="needs age, sex and view"):
        model.predict(samples(2).batch(np.arange(2)).floats())
