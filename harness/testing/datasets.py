"""What every dataset must keep to."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.data.dataset import Dataset

Array = npt.NDArray[Any]
Make = Callable[[], Dataset]


def dataset_conformance(*makers: Make) -> pytest.MarkDecorator:
    """Return a decorator that gives a test function every check of the datasets that are made."""
    parameters = [
        pytest.param(partial(check, make), id=f"{number}-{check.__name__}")
        for number, make in enumerate(makers)
        for check in CHECKS
    ]
    return pytest.mark.parametrize("check", parameters)


def splits_share_no_patient(make: Make) -> None:
    """Every split has images, and no patient is in two of them."""
    dataset = make()
    patients = [set(dataset.part(split).patients.tolist()) for split in dataset.splits]
    assert all(patients), "a split is empty"
    assert sum(map(len, patients)) == len(set().union(*patients)), "a patient is in two splits"


def names_are_unique(make: Make) -> None:
    """Every radiograph has a name of its own."""
    names = make().samples.names
    assert len(np.unique(names)) == len(names)


def annotations_are_in_range(make: Make) -> None:
    """Labels are 1, 0 or NaN in the label space's order; boxes lie in their frames."""
    dataset = make()
    samples, space = dataset.samples, dataset.space
    for name, axes in (
        ("labels", (len(space.classes),)),
        ("region_labels", (len(space.regions), len(space.region_classes))),
    ):
        values = samples.column(name)
        if values is not None:
            assert values.shape[1:] == axes, f"{name} is {values.shape}"
            assert (np.isnan(values) | (values == 0) | (values == 1)).all(), name
    sizes = samples.need("sizes").astype(float)
    limit = np.stack([sizes[:, 1], sizes[:, 0], sizes[:, 1], sizes[:, 0]], axis=1)[:, None] + 1e-3
    boxes, classes = samples.column("boxes"), samples.column("box_classes")
    if boxes is not None and classes is not None:
        real = np.asarray(classes >= 0)
        assert (classes < len(space.classes)).all(), "a box has no class"
        _inside(boxes, limit, real)
    regions = samples.column("region_boxes")
    if regions is not None:
        _inside(regions, limit, np.asarray(~np.isnan(regions).any(axis=-1)))


def _inside(boxes: Array, limit: Array, real: Array) -> None:
    assert ((boxes >= -1e-3) & (boxes <= limit))[real].all(), "a box leaves its image"
    assert (boxes[..., 2:] > boxes[..., :2])[real].all(), "a box has no area"


def reads_are_stable(make: Make) -> None:
    """Two copies read the same pixels, and their stamps agree."""
    first, second = make(), make()
    for row in (0, len(first.samples) - 1):
        image = first.read(row)
        assert image.dtype == np.uint8, image.dtype
        assert image.ndim == 2, image.shape
        np.testing.assert_array_equal(image, second.read(row))
        assert first.stamp(row) == second.stamp(row)


def splits_are_stable(make: Make) -> None:
    """Two copies are split alike, and what they say of themselves can be recorded."""
    import json

    first, second = make(), make()
    for split, rows in first.splits.items():
        np.testing.assert_array_equal(rows, second.splits[split])
    json.dumps({"policy": dict(first.policy), "protocol": first.protocol, "phantom": first.phantom})


CHECKS = (
    splits_share_no_patient,
    names_are_unique,
    annotations_are_in_range,
    reads_are_stable,
    splits_are_stable,
)
