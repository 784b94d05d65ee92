"""How classifiers are trained: each as its paper says, or all in one way, to rank the methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from harness.data.batch import Batch
from harness.data.draws import Draws
from harness.data.geometry import center_crop, random_affine
from harness.errors import SettingError, TrainingError
from harness.model.stage import Stage


@dataclass(frozen=True)
class Recipe:
    """Every stage as its paper trains it: what verdicts are about."""

    name: str = "paper"

    @property
    def facts(self) -> object:
        """What of the recipe belongs to the identity of a run."""
        return self.name

    def of(self, stage: Stage, score: Callable[[], float]) -> Stage:
        """Return how a stage is trained; ``score`` is the task's, of what the model predicts."""
        return stage


@dataclass(frozen=True)
class Common(Recipe):
    """One optimiser, augmentation, length and selection rule for all classifiers.

    A ranking by the papers' recipes also ranks recipes: lengths differ tenfold, batches go from 16
    to 512, some papers augment and some do not. Here only network and loss differ. The values are
    usual ones for ImageNet weights tuned on radiographs, fixed before any result was seen: AdamW at
    1e-4, the rate of most methods here, with PyTorch's own decay; batches of 32, between theirs;
    ten epochs, always all of them, the rate falling by half a cosine, so that no method sees more
    images than another; of the ten the epoch with the best validation score of the task. Images
    are turned by up to 5 degrees, scaled by up to a tenth and shifted by up to a twentieth of their
    side: small, as positioning varies. They are not mirrored, common as that is: a heart is on one
    side, and methods whose disease masks know which would be taught otherwise than they are asked.

    What a method does before its classifier (segmenter, detector, alignment) is the method and
    keeps its paper's training; a classifier keeps its loss, its frozen parameters, whether it
    leaves out an incomplete batch, and the size of image that its network is given. A method with
    several classifiers trains each of them by this recipe. A head on stored features sees no
    augmented image.
    """

    name: str = "common"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-2
    batch_size: int = 32
    epochs: int = 10
    degrees: float = 5.0
    scale: tuple[float, float] = (0.9, 1.1)
    shift: float = 0.05

    @property
    def facts(self) -> object:
        """All values: another one makes another run."""
        return asdict(self)

    def of(self, stage: Stage, score: Callable[[], float]) -> Stage:
        """Return a classifier trained by this recipe, any other stage as it is."""
        if not stage.classifies:
            return stage
        trained = [p for group in stage.optimizer.param_groups for p in group["params"]]
        optimizer = AdamW(trained, self.learning_rate, weight_decay=self.weight_decay)
        return replace(
            stage,
            optimizer=optimizer,
            epochs=self.epochs,
            steps=None,
            batch_size=self.batch_size,
            accumulate=1,
            augment=partial(self._augmented, crop=stage.crop),
            scheduler=CosineAnnealingLR(optimizer, self.epochs),
            schedule="epoch",
            score=stage.score or score,
            patience=None,
            clip_norm=None,
            key=(repr(self), stage.crop, stage.key),
        )

    def _augmented(self, batch: Batch, draws: Draws, crop: int | None) -> Batch:
        """Return what the network is to see, moved as a patient moves; masks and boxes follow."""
        seen = batch if crop is None else center_crop(batch, crop)
        return random_affine(seen, draws, self.degrees, self.scale, self.shift)


def check_size(stage: Stage, meant: Stage, batch: Batch) -> None:
    """Make sure that a recipe gives a network images of the size that its paper gives it.

    Raises:
        TrainingError: the stage's own augmentation crops, and the stage does not say so.
    """
    draws = partial(Draws, batch.index, 0)
    own, other = (
        tuple((each.augment(batch, draws()) if each.augment else batch).images.shape[-2:])
        for each in (stage, meant)
    )
    if own != other:
        raise TrainingError(
            f"stage {stage.name!r} trains on images of {own} pixels by its own augmentation and "
            f"of {other} by the {COMMON.name} recipe: give it crop={own[0]}"
        )


PAPER, COMMON = Recipe(), Common()


def recipe(name: str) -> Recipe:
    """Return a recipe by name.

    Raises:
        SettingError: there is none of this name.
    """
    for each in (PAPER, COMMON):
        if each.name == name:
            return each
    raise SettingError(f"no such recipe: {name!r}; choose {PAPER.name} or {COMMON.name}")
