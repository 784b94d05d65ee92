"""Radiographs and what is known of each, column by column.

Coordinates are continuous pixels: (0, 0) is the top-left corner of the top-left pixel, so pixel i
covers [i, i + 1). Boxes are x1, y1, x2, y2.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness.data.view import View
from harness.errors import DataError

if TYPE_CHECKING:  # annotations are read without torch, which takes seconds and half a gigabyte
    from torch import Tensor

    from harness.data.batch import Batch

Array = npt.NDArray[Any]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class LabelSpace:
    """The names behind the axes of labels, regions, region labels and organ masks."""

    classes: tuple[str, ...]
    regions: tuple[str, ...] = ()
    region_classes: tuple[str, ...] = ()
    organs: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Column:
    """One annotation: ``values`` has a leading axis, ``rows`` picks from it without copying."""

    values: Array
    rows: Rows
    digest: str = ""
    spatial: bool = False

    def gather(self, indices: Rows) -> Array:
        """Return the values of these samples, copied."""
        return np.asarray(self.values[self.rows[indices]])


class Samples:
    """N radiographs with their annotations; a lazy view that copies nothing until it is read.

    Columns, each None where the dataset lacks it: ``names`` (N,) and ``patients`` (N,) text;
    ``sizes`` (N, 2) height and width of the frame in which boxes are given; ``images`` (N, S, S)
    uint8 once a view was chosen; ``labels`` (N, C) float32 of 1, 0 and NaN for unknown; ``boxes``
    (N, K, 4) in original pixels with ``box_classes`` (N, K), -1 pads; ``masks`` (N, M, S, S) uint8,
    255 inside; ``region_boxes`` (N, R, 4) in original pixels, NaN where a region was not found;
    ``region_labels`` (N, R, L); ``metadata`` (N, 3) float32: age in years, sex (1 male), view (1
    AP), NaN for unknown; and whatever ``task.map`` made.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        space: LabelSpace,
        view: View | None = None,
    ) -> None:
        self.columns = dict(columns)
        self.space = space
        self.view = view

    @classmethod
    def of(
        cls, space: LabelSpace, *, names: Sequence[str], patients: Sequence[str], **columns: Array
    ) -> Samples:
        """Return samples from whole arrays that share their leading axis.

        Raises:
            DataError: a column has another length than ``names``.
        """
        arrays = {"names": np.asarray(names, dtype=np.str_), **columns}
        arrays["patients"] = np.asarray(patients, dtype=np.str_)
        rows = np.arange(len(names), dtype=np.int64)
        for name, values in arrays.items():
            if len(values) != len(rows):
                raise DataError(f"column {name!r} has {len(values)} rows, names have {len(rows)}")
        return cls(
            {
                name: Column(values, rows, spatial=name == "masks")
                for name, values in arrays.items()
            },
            space,
        )

    def __len__(self) -> int:
        return len(self.columns["names"].rows)

    def take(self, indices: npt.ArrayLike) -> Samples:
        """Return the samples at ``indices`` (or under a boolean mask) as a view."""
        picked = np.asarray(indices)
        if picked.dtype == np.bool_:
            if len(picked) != len(self):
                raise DataError(f"a mask of {len(picked)} for {len(self)} samples")
            picked = np.flatnonzero(picked)
        composed: dict[int, Rows] = {}
        columns = {}
        for name, column in self.columns.items():
            rows = composed.setdefault(id(column.rows), column.rows[picked.astype(np.int64)])
            columns[name] = Column(column.values, rows, column.digest, column.spatial)
        return Samples(columns, self.space, self.view)

    def column(self, name: str) -> Array | None:
        """Return a whole column (N, ...), copied, or None where it is lacking."""
        found = self.columns.get(name)
        return None if found is None else found.gather(np.arange(len(self), dtype=np.int64))

    def need(self, name: str) -> Array:
        """Return a whole column.

        Raises:
            DataError: these samples lack it.
        """
        found = self.column(name)
        if found is None:
            raise DataError(
                f"these samples have no {name!r}; they have {', '.join(sorted(self.columns))}"
            )
        return found

    def with_column(
        self, name: str, values: Array, *, digest: str = "", spatial: bool = False
    ) -> Samples:
        """Return these samples with one more column of the same length.

        ``spatial`` ones (N, M, H, W) follow geometry.
        """
        if len(values) != len(self):
            raise DataError(f"column {name!r} has {len(values)} rows for {len(self)} samples")
        rows = np.arange(len(self), dtype=np.int64)
        columns = {**self.columns, name: Column(values, rows, digest, spatial)}
        return Samples(columns, self.space, self.view)

    @property
    def names(self) -> Array:
        """(N,) text, the dataset's own image names."""
        return self.need("names")

    @property
    def patients(self) -> Array:
        """(N,) text."""
        return self.need("patients")

    @property
    def labels(self) -> Array | None:
        """(N, C) float32 of 1, 0 and NaN."""
        return self.column("labels")

    @cached_property
    def fingerprint(self) -> str:
        """Sixteen hex digits over names, annotations, label space, view and order of samples."""
        digest = hashlib.sha256(repr((self.space, self.view)).encode())
        for name in sorted(self.columns):
            column = self.columns[name]
            digest.update(f"{name}:{column.digest}".encode())
            if not column.digest:
                values = self.need(name)
                digest.update(f"{values.dtype}{values.shape}".encode())
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()[:16]

    def images(self, indices: Rows, out: Array | None = None) -> Array:
        """Return the images (B, S, S) uint8 at ``indices``, gathered into ``out`` where given."""
        if self.view is None or "images" not in self.columns:
            raise DataError("these samples have no images yet: choose a view first")
        column = self.columns["images"]
        return np.take(column.values, column.rows[indices], axis=0, out=out, mode="clip")

    @cached_property
    def _to_original(self) -> Tensor:
        """(N, 2, 3) float64: the maps from the view to each frame, found once and not a batch."""
        assert self.view is not None
        return self.view.to_original(self.need("sizes"))

    def batch(
        self, indices: Rows, images: Tensor | None = None, inputs_only: bool = False
    ) -> Batch:
        """Return the samples at ``indices`` as a batch, in host memory: the only way to read them.

        ``images`` (B, S, S) are used where the caller has gathered them already. With
        ``inputs_only`` nothing that an annotator made comes along: what ``predict`` is given.
        """
        import torch

        from harness.data.batch import Batch

        indices = np.asarray(indices, dtype=np.int64)
        if images is None:
            images = torch.from_numpy(self.images(indices))
        wanted = ("metadata",) if inputs_only else tuple(self.columns)
        plain = {
            name: torch.from_numpy(self.columns[name].gather(indices))
            for name in wanted
            if self._numeric(name)
        }
        spatial = {name: plain.pop(name) for name in list(plain) if self.columns[name].spatial}
        to_original = self._to_original[torch.from_numpy(indices)]
        return Batch.of(images[:, None], to_original, torch.from_numpy(indices), plain, spatial)

    def _numeric(self, name: str) -> bool:
        column = self.columns.get(name)
        return (
            column is not None
            and name not in ("images", "sizes")
            and column.values.dtype.kind in "fiub"
        )
