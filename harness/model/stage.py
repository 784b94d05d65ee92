"""One thing to train: a network, its loss, its data, its optimiser, its length."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from harness.data.batch import Batch
from harness.data.draws import Draws
from harness.data.samples import Samples
from harness.errors import SettingError

Loss = Callable[[nn.Module, Any], Mapping[str, Tensor]]
Augment = Callable[[Batch, Draws], Batch]


@dataclass
class Stage:
    """What the harness's loop trains when a model yields it.

    ``loss(network, batch)`` calls the network once and returns named scalar losses, each a mean
    over images, whose sum is trained; with several data sources it receives a mapping from their
    names to batches. Of several sources the first sets the epoch's length, the others are drawn
    with replacement. ``score`` (higher is better) is asked after each epoch: the best weights are
    kept, and training ends after ``patience`` epochs without a better one. ``key`` names the
    hyperparameters that the stage and its loss read, so that stages are shared between models
    exactly when they are the same.

    ``classifies`` and ``crop`` are for the common recipe, which trains classifiers alike and leaves
    everything before them as it is: whether this stage is a classifier, by default if it has a
    score, and how many pixels a side of the centre its network is given where ``augment`` crops.
    """

    name: str
    network: nn.Module
    loss: Loss
    data: Samples | Mapping[str, Samples]
    optimizer: Optimizer
    epochs: int | None = None
    steps: int | None = None
    batch_size: int = 32  # images of one forward over all devices
    accumulate: int = 1  # forwards to an optimiser step; flushed at the end of an epoch
    augment: Augment | None = None
    scheduler: LRScheduler | ReduceLROnPlateau | None = None
    schedule: Literal["epoch", "step"] = "epoch"
    score: Callable[[], float] | None = None
    patience: int | None = None
    drop_last: bool = (
        False  # leave out an incomplete last batch (BatchNorm on vectors needs two images)
    )
    clip_norm: float | None = None
    key: Hashable = ()
    classifies: bool | None = None
    crop: int | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise SettingError(f"stage {self.name!r} needs either epochs or steps")
        lengths = [length for length in (self.epochs, self.steps) if length is not None]
        if min(self.batch_size, self.accumulate, *lengths) < 1:
            raise SettingError(
                f"stage {self.name!r}: epochs, steps, batch_size and accumulate are at least 1"
            )
        if isinstance(self.scheduler, ReduceLROnPlateau) and self.scheduler.mode != "max":
            raise SettingError(
                f"stage {self.name!r}: a higher score is better, so ReduceLROnPlateau needs "
                'mode="max"'
            )
        if self.patience is not None and self.score is None:
            raise SettingError(f"stage {self.name!r} has patience but no score to lose it over")
        if self.patience is not None and self.patience < 1:
            raise SettingError(f"stage {self.name!r}: patience is at least 1")
        if not self.sources:
            raise SettingError(f"stage {self.name!r} has no data")
        if self.classifies is None:
            self.classifies = self.score is not None

    @property
    def sources(self) -> Mapping[str, Samples]:
        """The data by name; a single source is called ``data``."""
        return {"data": self.data} if isinstance(self.data, Samples) else self.data
