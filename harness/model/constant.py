"""The model that knows nothing of an image: what every table's floor is made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from harness.data.batch import Batch
from harness.data.view import View
from harness.model.model import Model
from harness.model.prediction import Prediction
from harness.model.stage import Stage
from harness.model.task import Task


@dataclass
class Constant(Model):
    """Predicts each finding's frequency in the training split for every image.

    AUROC is one half.
    """

    size: int = 32

    @property
    def view(self) -> View:
        """The smallest images there are: they are not looked at."""
        return View(self.size)

    def stages(self, task: Task) -> Iterator[Stage]:
        """Count; there is nothing to train."""
        self.frequencies = task.keep(
            "frequencies", lambda: torch.from_numpy(np.nanmean(task.train.need("labels"), axis=0))
        )
        yield from ()

    def predict(self, batch: Batch) -> Prediction:
        """Say the same of every image."""
        return Prediction(
            scores=self.frequencies.float().expand(len(batch), -1).to(batch.images.device)
        )
