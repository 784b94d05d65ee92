"""GlobalView: DenseNet-169 over the whole image, with Grad-CAM (Section 3.2, Figure 3)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from anaxnet import network
from harness import Batch, DataError, Model, Prediction, Stage, Task, View, masked_bce


@dataclass
class GlobalView(Model):
    """The row of Table 3 that does not localise; trained like the others (Section 3.3)."""

    weights: str = "DenseNet169_Weights.IMAGENET1K_V1"
    size: int = 224
    lr: float = 1e-4
    epochs: int = 25
    batch_size: int = 16

    smoke: ClassVar[Mapping[str, object]] = {"weights": "none", "size": 64}

    @property
    def view(self) -> View:
        """The whole image, stretched to a square."""
        return View(self.size)

    def stages(self, task: Task) -> Iterator[Stage]:
        """Train one classifier of image labels."""
        if "labels" not in task.train.columns:
            raise DataError("globalview needs image labels, and this dataset has none")
        self.network = network.GlobalView(len(task.classes))
        task.load(self.network.densenet, self.weights, without=("classifier.",))
        yield Stage(
            "classifier",
            self.network,
            image_loss,
            task.train,
            torch.optim.Adam(self.network.parameters(), self.lr),
            epochs=self.epochs,
            batch_size=self.batch_size,
            score=lambda: task.score(self.predict),
            key=(self.weights,),
        )

    def predict(self, batch: Batch) -> Prediction:
        """Give image scores and Grad-CAM maps."""
        logits, maps = self.network.scores_and_maps(batch.images)
        return Prediction(
            scores=logits.float().sigmoid(),
            maps=maps,
            to_original=batch.to_original,
            map_frame=(self.size, self.size),
        )


def image_loss(classifier: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Compare image logits with image labels (Eq. 6)."""
    return {"bce": masked_bce(classifier(batch.images), batch["labels"])}
