"""A method of a paper: a dataclass of hyperparameters that yields stages and predicts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar, Self

from harness.data.batch import Batch
from harness.data.samples import Samples
from harness.data.view import View
from harness.model.prediction import Prediction
from harness.model.stage import Stage
from harness.model.task import Task

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Model(ABC):
    """A method; subclasses are dataclasses whose fields are the hyperparameters.

    The constructor draws nothing and builds no network. ``smoke`` are the settings that the
    smallest budget changes, so that the method runs anywhere in minutes; ``tta`` names the
    test-time augmentation ("none", "ten-crop").
    """

    smoke: ClassVar[Mapping[str, object]] = {}

    @property
    @abstractmethod
    def view(self) -> View:
        """The size and shape of the images it is given."""

    @property
    def tta(self) -> str:
        """The name of the test-time augmentation, part of a row's identity."""
        return "none"

    def resolved(self) -> Self:
        """Return the model with every choice made that depends on what is installed here."""
        return self

    @abstractmethod
    def stages(self, task: Task) -> Iterator[Stage]:
        """Build networks and yield what is to be trained.

        When the generator resumes, the stage is trained.

        Reads top to bottom like a method section. Everything learnt outside a stage goes through
        ``task.map`` or ``task.keep``. What ``predict`` needs is kept as attributes of the model.
        """

    @abstractmethod
    def predict(self, batch: Batch) -> Prediction:
        """Say what it sees.

        In evaluation mode, without gradients, of each image alone whatever its batch mates.

        The batch has images (B, 1, S, S) in [0, 1], to_original and, where known, metadata; no
        labels.
        """

    def pictures(self, batch: Batch, truth: Samples) -> Iterator[tuple[str, Figure]]:
        """Yield pictures of radiographs, each with the name of its file, e.g. "12.png-findings".

        The trained model is given what ``predict`` is given, and ``truth``, the same images with
        all that the dataset knows of them. By default: radiograph, heat maps with true and
        predicted boxes, and the findings of highest score.
        """
        from harness.pictures.findings import findings

        return findings(self.predict(batch), batch, truth)
