"""Clustered synthetic data: patients with several images, a shared effect and rare classes."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from numpy.typing import NDArray

settings.register_profile("no deadline", deadline=None)  # a busy machine is no failure
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = os.environ.get("CXR_SHARED", Path(__file__).parents[2].parent / "shared")
    if not Path(folder, "data").is_dir():
        pytest.skip(f"the shared real data is not at {folder} (set CXR_SHARED)")
    return Path(folder)


@pytest.fixture(scope="session")
def clustered_data() -> Callable[..., tuple[NDArray, NDArray, NDArray]]:
    """Draw (scores (N, C), targets (N, C), patients (N,)) of `patients` with 1 to 8 images."""

    def draw(
        seed: int, patients: int = 200, classes: int = 3, prevalence: float = 0.3, effect: float = 1
    ) -> tuple[NDArray, NDArray, NDArray]:
        random = np.random.default_rng(seed)
        patient = np.repeat(np.arange(patients), random.integers(1, 9, patients))
        shape = (len(patient), classes)
        latent = random.normal(size=(patients, classes))[patient] + random.normal(size=shape)
        targets = (latent > np.quantile(latent, 1 - prevalence)).astype(np.float32)
        noise = random.normal(size=(patients, classes))[patient] + random.normal(size=shape)
        return effect * targets + noise, targets, patient

    return draw
