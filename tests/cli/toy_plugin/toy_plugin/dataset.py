"""Images of noise that a test can break in its own way."""

import time

import numpy as np

from harness import DataError, Dataset, LabelSpace, Samples


class ToySet(Dataset):
    """Sixty images of thirty patients."""

    name = "toyset"
    space = LabelSpace(("Mass", "Nodule"))

    def __init__(
        self, *, images: int = 60, corrupt: str = "", leak: bool = False, positives: int = 20,
        seconds: float = 0.0,
    ):  # fmt: skip
        self.root, self.policy, self.seconds = "(made)", {}, seconds
        random = np.random.default_rng(0)
        self.corrupt = {int(row) for row in corrupt.split(";") if row}
        labels = np.zeros((images, 2), dtype=np.float32)
        labels[:, 0] = random.random(images) < 0.5
        labels[random.permutation(images)[:positives], 1] = 1
        self.pixels = random.integers(0, 255, (images, 20, 20), dtype=np.uint8)
        patients = [f"p{row // 2}" for row in range(images)]
        if leak:
            patients[-1] = "p0"
        self.samples = Samples.of(
            self.space, names=[f"{row}.png" for row in range(images)], patients=patients,
            sizes=np.full((images, 2), 20), labels=labels,
        )  # fmt: skip
        rows = np.arange(images)
        third = images // 6 * 2
        self.splits = {
            "train": rows[: images - 2 * third],
            "validation": rows[images - 2 * third : images - third],
            "test": rows[images - third :],
        }

    def read(self, row):
        """Return pixels made at the start."""
        time.sleep(self.seconds)
        if row in self.corrupt:
            raise DataError(f"{row}.png is cut short")
        return self.pixels[row]

    def stamp(self, row):
        """Nothing changes."""
        return f"{row}"
