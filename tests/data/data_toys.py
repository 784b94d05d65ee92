"""A small dataset that counts its reads, and samples with every kind of annotation."""

import threading

import numpy as np

from harness import DataError, Dataset, LabelSpace, Samples, View
from harness.data.samples import Column


class Toy(Dataset):
    """Images of noise with two organ masks, some of which can be made unreadable."""

    name = "toy"
    space = LabelSpace(("Mass", "Nodule"), organs=("left_lung", "heart"))

    def __init__(self, images=12, size=20, corrupt=(), edition=0):
        random = np.random.default_rng(0)
        self.pixels = random.integers(0, 256, (images, size, size), dtype=np.uint8)
        self.masks = np.where(random.random((images, 2, size, size)) < 0.5, 255, 0).astype(np.uint8)
        self.corrupt, self.edition = set(corrupt), edition
        self.reads, self.lock = [], threading.Lock()
        self.samples = Samples.of(
            self.space,
            names=[f"{row}.png" for row in range(images)],
            patients=[f"p{row // 2}" for row in range(images)],
            sizes=np.full((images, 2), size, dtype=np.int64),
            labels=random.integers(0, 2, (images, 2)).astype(np.float32),
        )
        thirds = np.array_split(np.arange(images), 3)
        self.splits = dict(zip(("train", "validation", "test"), thirds, strict=True))
        self.policy = {}

    def read(self, row):
        with self.lock:
            self.reads.append(row)
        if row in self.corrupt:
            raise DataError(f"{row}.png cannot be decoded")
        return self.pixels[row]

    def read_masks(self, row):
        return self.masks[row]

    def stamp(self, row):
        return f"{row} {self.edition}"


def everything(count=3, size=24, frame=(48, 96)):
    """Return samples with images, masks, boxes and regions in a frame of another size."""
    random = np.random.default_rng(1)
    height, width = frame
    corner = random.random((count, 4, 2)) * [width * 0.6, height * 0.6]
    extent = 4 + random.random((count, 4, 2)) * [width * 0.3, height * 0.3]
    boxes = np.concatenate([corner, corner + extent], axis=2).astype(np.float32)
    classes = np.tile(np.array([0, 1, 2, -1]), (count, 1))
    regions = boxes[:, :3].copy()
    regions[:, 2] = np.nan
    space = LabelSpace(("A", "B", "C"), ("r", "s", "t"), ("A",), ("organ",))
    made = Samples.of(
        space,
        names=[f"{row}" for row in range(count)],
        patients=[f"{row}" for row in range(count)],
        sizes=np.tile(np.array([frame]), (count, 1)),
        labels=np.ones((count, 3), dtype=np.float32),
        boxes=boxes,
        box_classes=classes,
        region_boxes=regions,
        metadata=np.zeros((count, 3), dtype=np.float32),
    )
    made.view = View(size)
    rows = np.arange(count)
    images = random.integers(0, 256, (count, size, size), dtype=np.uint8)
    masks = random.integers(0, 2, (count, 1, size, size), dtype=np.uint8) * np.uint8(255)
    made.columns["images"] = Column(images, rows)
    made.columns["masks"] = Column(masks, rows, spatial=True)
    return made
