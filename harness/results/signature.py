"""The split signature of NIH rows: which test population the numbers look like.

k = mean AUROC(Atelectasis, Effusion, Consolidation, Edema, Pneumonia)
  - mean AUROC(Infiltration, Mass, Nodule, Pneumothorax, Emphysema, Fibrosis).
The same network's real predictions give -.050 on images of the official test list and +.022 on
others. It is an inference from the numbers, not a proof of anything.
"""

from collections.abc import Mapping
from statistics import fmean
from typing import Final

RAISED: Final = ("Atelectasis", "Effusion", "Consolidation", "Edema", "Pneumonia")
LOWERED: Final = ("Infiltration", "Mass", "Nodule", "Pneumothorax", "Emphysema", "Fibrosis")
OFFICIAL: Final = -0.050
RANDOM: Final = 0.022
LIMIT: Final = -0.02
LEAST_MEAN: Final = 0.80
NOTE: Final = "split signature resembles a random patient split"


def signature(cells: Mapping[str, float | None]) -> float | None:
    """Return k of one row, or None where one of its eleven classes is missing."""
    if any(cells.get(name) is None for name in (*RAISED, *LOWERED)):
        return None
    raised, lowered = ([cells[name] or 0.0 for name in names] for names in (RAISED, LOWERED))
    return fmean(raised) - fmean(lowered)


def looks_random(k: float | None, mean: float | None) -> bool:
    """Whether a row that claims the official split looks like a random one.

    Rows with a mean below .80 do not separate and are never said to.
    """
    return k is not None and mean is not None and k > LIMIT and mean >= LEAST_MEAN
