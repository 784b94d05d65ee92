"""What can be chosen of a phantom data set."""

from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import SettingError

STYLES = ("nih", "jsrt")


@dataclass(frozen=True)
class PhantomSettings:
    """Determine every phantom, together with an index; the fields are plain and JSON-able.

    `style`, `distractors` and `label_noise` change no clean annotation. `size` and `pose_spread`
    leave patients, anatomy and findings as they are and only move them (a finding at the edge of
    a region may be counted in it on one raster and not on another).

    Raises:
        SettingError: a value is out of its range.
    """

    seed: int = 0
    size: int = 256
    """Width and height in pixels, 64 to 1024."""
    pose_spread: float = 1.0
    """Misplacement (shift, scale, rotation) as a multiple, 0 to 2, of the usual one."""
    location_priors: bool = True
    """Findings lie where their class belongs; off: anywhere in the lungs, uniformly."""
    neighbours: bool = True
    """A finding spreads to neighbouring lung zones with weak evidence in some; off: zones are
    independent of each other."""
    outside: float = 0.0
    """Probability that a focal finding lies outside lungs and heart."""
    distractors: float = 1.0
    """Expected number, as a multiple of the usual one, of markers, wires, tubes and of opacities
    outside the lungs that are no finding; 0 draws none."""
    style: str = "nih"
    """Rendering: "nih" (digital, windowed to 8 bits) or "jsrt" (digitised film)."""
    label_noise: float = 0.1
    """Probability that a positive label is lost; as many negatives are made positive."""
    enrich: float = 0.0
    """0: NIH's prevalences p; e: p_max (p / p_max)^(1 - e), 1 makes all equally common."""
    images_per_patient: float = 3.64
    """Mean number of films of a patient (NIH: 112,120 / 30,805)."""

    def __post_init__(self) -> None:
        """Check ranges."""
        ranges = {
            "seed": (0, 2**32 - 1),
            "size": (64, 1024),
            "pose_spread": (0, 2),
            "outside": (0, 1),
            "distractors": (0, 4),
            "label_noise": (0, 0.5),
            "enrich": (0, 1),
            "images_per_patient": (1, 16),
        }
        for name, (low, high) in ranges.items():
            if not low <= getattr(self, name) <= high:
                value = getattr(self, name)
                raise SettingError(f"phantom: {name} is {value}; give it from {low} to {high}")
        if self.style not in STYLES:
            raise SettingError(f"phantom: unknown style {self.style!r}; one of {', '.join(STYLES)}")

    def as_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for a record."""
        return asdict(self)
