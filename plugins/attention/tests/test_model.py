"""What the models of the attention plugin do around their networks."""

import numpy as np
import pytest
import torch
from attention.model import AttentionGate, ResNet34, SpaceAttention

from harness import LabelSpace, Samples, Task, View, batch_weighted_bce

SPACE = LabelSpace(("a", "b"))


def samples(count, size):
    random = np.random.default_rng(0)
    made = Samples.of(
        SPACE,
        names=[f"{i}" for i in range(count)],
        patients=[f"{i}" for i in range(count)],
        sizes=np.full((count, 2), 2 * size),
        images=random.integers(0, 256, (count, size, size), dtype=np.uint8),
        labels=random.integers(0, 2, (count, 2)).astype(np.float32),
    )
    made.view = View(size)
    return made


class OnPaper(Task):
    """A task that trains nothing and stores nothing."""

    def __init__(self):
        self.space, self.train, self.validation = SPACE, samples(4, 64), samples(4, 64)

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


@pytest.mark.parametrize(
    ("model", "batch", "decay"),
    [(ResNet34(), 128, 0.0), (SpaceAttention(), 128, 1e-4), (AttentionGate(), 32, 0.0)],
)
def test_settings_are_the_papers(model, batch, decay):
    (stage,) = model.stages(OnPaper())
    (group,) = stage.optimizer.param_groups
    assert (stage.batch_size, stage.epochs, stage.patience) == (batch, 30, 3)
    assert (group["lr"], group["weight_decay"]) == (1e-4, decay)
    assert model.view == View(256)
    assert stage.augment is None


def test_space_attention_lowers_its_rate_every_twenty_epochs():
    (stage,) = SpaceAttention().stages(OnPaper())
    rates = []
    for _ in range(41):
        rates.append(stage.optimizer.param_groups[0]["lr"])
        stage.optimizer.step()
        stage.scheduler.step()
    assert rates[19:21] == pytest.approx([1e-4, 1e-5])
    assert rates[39:41] == pytest.approx([1e-5, 1e-6])


def test_loss_counts_the_whole_optimiser_batch():
    torch.manual_seed(0)
    (stage,) = ResNet34().stages(OnPaper())
    batch = samples(4, 64).batch(np.arange(4)).floats()
    whole = torch.tensor([[1.0, 0.0]] * 9)
    stage.network.eval()
    with torch.no_grad():
        logits = stage.network(batch.images).logits
        alone = stage.loss(stage.network, batch)["wcel"]
        object.__setattr__(batch, "batch_labels", whole)
        counted = stage.loss(stage.network, batch)["wcel"]
    torch.testing.assert_close(alone, batch_weighted_bce(logits, batch.labels))
    torch.testing.assert_close(counted, batch_weighted_bce(logits, batch.labels, whole))
    assert counted != alone


def test_prediction_says_where_its_maps_lie():
    torch.manual_seed(0)
    model = AttentionGate()
    next(model.stages(OnPaper()))
    model.network.eval()
    with torch.no_grad():
        said = model.predict(samples(2, 64).batch(np.arange(2)).floats())
    assert said.scores.shape == (2, 2)
    assert said.maps.shape == (2, 2, 8, 8)
    assert said.map_frame == (64, 64)
    assert said.to_original[0].tolist() == [[2, 0, 0], [0, 2, 0]]
