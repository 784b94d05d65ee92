"""Named sizes of a run; anything below ``full`` is labelled and never counts as a reproduction."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.data.samples import Samples
from harness.errors import SettingError
from harness.model.stage import Stage
from harness.seeds import derive

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Budget:
    """How much of everything a run may use; None is all of it."""

    name: str
    train: int | None = None
    evaluation: int | None = None
    epochs: int | None = None
    steps: int | None = None

    def limit(self, stage: Stage) -> Stage:
        """Return the stage no longer than this budget."""
        epochs = _least(stage.epochs, self.epochs) if stage.epochs is not None else None
        steps = _least(stage.steps, self.steps) if stage.steps is not None else None
        return replace(stage, epochs=epochs, steps=steps)

    def rows(self, samples: Samples, rows: Rows, split: str) -> Rows:
        """Return the rows of a split that are used.

        Whole patients, drawn by a hash of their names.
        """
        most = self.train if split == "train" else self.evaluation
        if most is None or len(rows) <= most:
            return rows
        names, patient = np.unique(samples.take(rows).patients, return_inverse=True)
        order = np.argsort([derive(0, "budget", split, name) for name in names])
        rank = np.empty(len(names), dtype=np.int64)
        rank[order] = np.arange(len(names))
        counts = np.bincount(rank[patient], minlength=len(names))
        used = max(1, int(np.searchsorted(np.cumsum(counts), most, side="right")))
        return np.asarray(rows[rank[patient] < used])


def _least(length: int | None, most: int | None) -> int | None:
    return length if most is None or length is None else min(length, most)


BUDGETS = {
    "smoke": Budget("smoke", train=600, evaluation=300, epochs=2, steps=60),
    "full": Budget("full"),
}


def budget(name: str) -> Budget:
    """Return a budget by name.

    Raises:
        SettingError: there is none of this name.
    """
    if name not in BUDGETS:
        raise SettingError(f"no such budget: {name!r}; choose {' or '.join(BUDGETS)}")
    return BUDGETS[name]
