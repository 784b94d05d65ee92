"""What a model may see of a dataset.

Training, validation and auxiliary data, never the test split.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping
from typing import Any

from torch import Tensor, nn

from harness.data.batch import Batch
from harness.data.samples import LabelSpace, Samples
from harness.model.prediction import Prediction

Predict = Callable[[Batch], Prediction]


class Task(ABC):
    """The training side of a dataset, as a model sees it.

    In a rehearsal the samples are eight; when a trained model is loaded without its data they are
    none, and ``map``, ``keep`` and stages give back what was stored. A value learnt from data must
    therefore come through ``keep`` or ``map``.
    """

    space: LabelSpace
    train: Samples
    validation: Samples

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the C image labels."""
        return self.space.classes

    @abstractmethod
    def annotated(self, column: str, organs: tuple[str, ...] = ()) -> Samples:
        """Return training samples that have this column, e.g.

        "masks" (with these organs), in the model's view.

        Taken from the auxiliary dataset given by ``--with`` where that has the column, else from
        the training split of the dataset itself.

        Raises:
            DataError: no dataset of this run has it.
        """

    @abstractmethod
    def map(
        self,
        name: str,
        function: Callable[[Batch], Tensor],
        samples: Samples,
        key: Hashable = (),
        *,
        spatial: bool = False,
    ) -> Samples:
        """Return samples with a column more.

        ``function`` (B, ...) of every image, without gradients, stored on disk.

        ``function`` sees unaugmented float batches and returns a tensor whose dtype is stored. A
        ``spatial`` result (B, M, h, w) follows the geometry of later augmentation; uint8 ones reach
        a network as floats in [0, 1].
        """

    @abstractmethod
    def keep(self, name: str, function: Callable[[], Any], key: Hashable = ()) -> Any:  # noqa: ANN401
        """Return ``function()``.

        Tensors, numbers, texts, lists and dicts, stored with the model.
        """

    @abstractmethod
    def score(self, predict: Predict) -> float:
        """Return the selection metric on the validation split.

        The mean AUROC over classes with 50 positives there.

        Where no class has as many, over all classes that have both kinds; recorded either way. A
        model that offers region scores but no image scores is scored by its localized AUROC.
        """

    @abstractmethod
    def weights(self, name: str) -> Mapping[str, Tensor] | None:
        """Return pretrained weights by torchvision's name, e.g.

        "ResNet34_Weights.IMAGENET1K_V1"; None for "none".

        Also None in a rehearsal and where a trained model is loaded: nothing is downloaded then.
        """

    def load(self, module: nn.Module, weights: str, without: tuple[str, ...] = ()) -> None:
        """Load pretrained weights into a module, but for the keys that start with ``without``.

        Raises:
            DataError: keys are missing or left over, or the weights cannot be had.
        """
        state = self.weights(weights)
        if state is not None:
            from harness.model.pretrained import load_exactly

            load_exactly(module, state, weights, without)
