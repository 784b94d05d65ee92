"""Who is on which film: patients, their follow-up films, views, ages and findings."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.random import Generator, Philox
from scipy.special import ndtr

from harness.data.phantom.frequencies import AGE_AT, AGES, FILM_ROOT, PATIENT_ROOT, thresholds
from harness.data.phantom.settings import PhantomSettings
from harness.data.phantom.shapes import Floats, Mask

BLOCK = 256
"""Films whose patients are drawn together: film i can be drawn without its predecessors."""

STREAMS = (
    "block",
    "patient",
    "film",
    "anatomy",
    "breath",
    "pose",
    "places",
    "lesions",
    "vessels",
    "paint",
    "distractors",
    "labels",
)


def stream(settings: PhantomSettings, name: str, key: int, finding: int = 0) -> Generator:
    """Return the random numbers of one purpose for one patient or film, whatever else is drawn."""
    purpose = settings.seed | STREAMS.index(name) << 32 | finding << 40
    return Generator(Philox(key=np.array((purpose, key), dtype=np.uint64)))


@dataclass(frozen=True)
class Film:
    """One film of one patient, before it is drawn."""

    index: int
    patient: int
    follow_up: int
    view: str
    age: int
    sex: str
    findings: Mask
    """True findings (14,)."""


@lru_cache(maxsize=64)
def block_starts(settings: PhantomSettings, block: int) -> Floats:
    """Return the first film of every patient of a block, counted from the block's start.

    Half the patients have one film, the others geometrically many (NIH: 57 % have one). The last
    patient ends with the block, so that a block never depends on another.
    """
    generator = stream(settings, "block", block)
    several = generator.random(BLOCK) < 0.5
    counts = generator.geometric(1 / (2 * settings.images_per_patient - 1), BLOCK)
    counts = np.where(several, np.minimum(counts, int(8 * settings.images_per_patient)), 1)
    starts = np.concatenate([[0], np.cumsum(counts)])
    return starts[starts < BLOCK]


def film_at(settings: PhantomSettings, index: int) -> Film:
    """Return who and what film `index` shows: copula of harness.data.phantom.frequencies."""
    block, offset = divmod(index, BLOCK)
    starts = block_starts(settings, block)
    start = int(starts[np.searchsorted(starts, offset, side="right") - 1])
    patient = block * BLOCK + start
    shared = PATIENT_ROOT @ stream(settings, "patient", patient).standard_normal(17)
    own = FILM_ROOT @ stream(settings, "film", index).standard_normal(17)
    latent = shared + own
    above = latent[:16] > thresholds(settings.enrich)
    age = np.interp(ndtr(latent[16]), AGE_AT, AGES) + (offset - start) // 6
    return Film(
        index=index,
        patient=patient,
        follow_up=offset - start,
        view="AP" if above[14] else "PA",
        age=int(min(age, AGES[-1])),
        sex="M" if above[15] else "F",
        findings=above[:14],
    )
