"""The anatomy of one patient on one film, in canonical coordinates (fractions of the film)."""

from dataclasses import dataclass, replace

import numpy as np

from harness.data.phantom import template
from harness.data.phantom.cohort import Film, stream
from harness.data.phantom.names import CLASS
from harness.data.phantom.settings import PhantomSettings
from harness.data.phantom.shapes import Bytes, Floats, closed_curve, fill, mirrored

ROWS = 256
"""Rows of the raster that measures how far a lung reaches at each height."""

SIDES = ("right", "left")


@dataclass(frozen=True)
class Lung:
    """One lung field: what of the thoracic cavity the heart and mediastinum leave free."""

    outline: Floats
    """Cavity, also behind the heart (N, 2)."""
    y: Floats
    """Heights (R,) that the field covers, from the apex down."""
    inner: Floats
    """x of its medial border (R,) at these heights."""
    outer: Floats
    """x of its lateral border (R,) at these heights."""
    apex: Floats
    angle: Floats
    """Costophrenic angle (2,)."""

    def at(self, across: Floats | float, down: Floats | float) -> Floats:
        """Return the points (..., 2) at fractions from medial to lateral and from top to bottom."""
        y = self.y[0] + np.asarray(down) * (self.y[-1] - self.y[0])
        inner, outer = np.interp(y, self.y, self.inner), np.interp(y, self.y, self.outer)
        return np.stack([inner + across * (outer - inner), y], axis=-1)

    def strip(self, top: float, bottom: float) -> Floats:
        """Return the border points (N, 2) between two fractions of the lung's height."""
        last = len(self.y) - 1
        rows = slice(round(top * last), round(bottom * last) + 1)
        y = self.y[rows]
        x = np.concatenate([self.inner[rows], self.outer[rows]])
        return np.column_stack([x, np.concatenate([y, y])])


@dataclass(frozen=True)
class Anatomy:
    """Outlines and landmarks of a chest; `lungs` are right, left (the patient's)."""

    lungs: tuple[Lung, Lung]
    heart: Floats
    mediastinum: Floats
    middle: tuple[Floats, ...]
    """Outlines that hide the lungs: heart and mediastinum."""
    body: Floats
    width: float
    """Stretch of the chest in x about the midline."""
    height: float
    """Stretch of the chest in y from the apices."""
    carina: Floats
    cardiothoracic_ratio: float

    def place(self, points: Floats) -> Floats:
        """Return template points (N, 2) in this chest."""
        return stretched(points, self.width, self.height)

    @property
    def hila(self) -> tuple[Floats, Floats]:
        """Right and left hilum (2,)."""
        hilum = template.HILUM[None]
        left = mirrored(hilum) + np.array((0.0, -0.015))
        return self.place(hilum)[0], self.place(left)[0]

    @property
    def landmarks(self) -> Floats:
        """Return the points (6, 2) of names.LANDMARKS."""
        right, left = self.lungs
        heart_apex = self.heart[np.argmax(self.heart[:, 0])]
        return np.stack([self.carina, right.apex, left.apex, right.angle, left.angle, heart_apex])


def stretched(points: Floats, width: float, height: float) -> Floats:
    """Return points (N, 2) scaled about the midline and from the apices down."""
    origin = np.array((0.5, template.APEX_Y))
    scaled: Floats = origin + (points - origin) * (width, height)
    return scaled


def chest_of(settings: PhantomSettings, film: Film) -> Anatomy:
    """Return the anatomy of a film: the patient's, breathing and magnified by an AP view."""
    own = stream(settings, "anatomy", film.patient).standard_normal(16).clip(-2, 2)
    now = stream(settings, "breath", film.index).standard_normal(8).clip(-2, 2)
    has = {name: bool(film.findings[index]) for name, index in CLASS.items()}
    portable, woman = film.view == "AP", film.sex == "F"
    child = max(0.0, 1 - film.age / 14)
    width = (1 + 0.035 * own[0] - 0.025 * woman + 0.02 * portable) * (1 - 0.1 * child)
    height = (1 + 0.045 * own[1] + 0.025 * now[0] - 0.05 * portable) * (1 - 0.12 * child)
    flat = 0.0
    if has["Emphysema"]:
        height, width, flat = height * 1.05, width * 1.015, 0.5
    lungs = [lung_outline(side, own, now, flat) for side in (0, 1)]
    outlines = [stretched(outline, width, height) for outline in lungs]
    thorax = outlines[1][:, 0].max() - outlines[0][:, 0].min()
    ratio = cardiothoracic_ratio(own, now, film, has)
    heart = heart_outline(ratio * thorax, own, width, height)
    mediastinum = template.MEDIASTINUM * (1 + 0.1 * own[5] + 0.12 * portable, 1.0) + (0.5, 0)
    mediastinum = stretched(closed_curve(mediastinum), width, height)
    # A second heart, a little lower: no lung between the heart and the diaphragm.
    middle = (heart, heart + np.array((0.0, 0.04)), mediastinum)
    return Anatomy(
        lungs=lung_fields(outlines, middle),
        heart=heart,
        mediastinum=mediastinum,
        middle=middle,
        body=body_outline(own, width),
        width=width,
        height=height,
        carina=stretched(template.CARINA[None], width, height)[0],
        cardiothoracic_ratio=ratio,
    )


def lung_outline(side: int, own: Floats, now: Floats, flat: float) -> Floats:
    """Return the cavity of one lung (N, 2): its shape varies a little, its dome with the breath."""
    knots = template.LUNG.copy()
    knots[:7, 0] += 0.006 * own[6 + side] * np.linspace(0.5, 1, 7)
    dome = knots[template.DIAPHRAGM_KNOTS, 1]
    lowered = 0.02 * side + 0.010 * own[8 + side] + 0.008 * now[1 + side]
    arch = 1 - flat + 0.12 * own[10]
    base = 0.745
    dome[:] = base + (dome - base) * arch + lowered
    angle = template.ANGLE_KNOT
    knots[angle, 1] = max(knots[angle, 1] + lowered, dome[-1] + 0.015)
    curve = closed_curve(knots)
    return mirrored(curve) if side else curve


def cardiothoracic_ratio(own: Floats, now: Floats, film: Film, has: dict[str, bool]) -> float:
    """Return heart width over chest width: below 0.5 on a normal PA film."""
    if has["Cardiomegaly"]:
        ratio = min(max(0.585 + 0.03 * own[3] + 0.012 * now[3], 0.53), 0.68)
    else:
        ratio = min(0.435 + 0.025 * own[3] + 0.012 * now[3] + 0.0003 * (film.age - 50), 0.49)
        ratio *= 0.94 if has["Emphysema"] else 1.0
    return float(ratio * (1.07 if film.view == "AP" else 1.0))


def heart_outline(wide: float, own: Floats, width: float, height: float) -> Floats:
    """Return the heart (N, 2), exactly `wide`, resting on the diaphragm."""
    heart = closed_curve(template.HEART)
    tilt = 1 + 0.06 * own[4]
    heart = np.column_stack([np.where(heart[:, 0] > 0, tilt, 1) * heart[:, 0], heart[:, 1]])
    growth = wide / np.ptp(heart[:, 0])
    base = heart[:, 1].max()
    y = base - (base - heart[:, 1]) * (growth / width) ** 0.45
    placed = stretched(np.column_stack([heart[:, 0] + 0.5, y]), 1, height)
    return np.column_stack([0.5 + heart[:, 0] * growth, placed[:, 1]])


def body_outline(own: Floats, width: float) -> Floats:
    """Return the outline of neck, shoulders and trunk (N, 2); thickness varies by patient."""
    right = template.BODY.copy()
    right[8:, 0] -= 0.02 * own[12] + 0.01
    right = np.column_stack([0.5 + (right[:, 0] - 0.5) * width, right[:, 1]])
    return np.concatenate([right, mirrored(right)[::-1]])


def lung_fields(outlines: list[Floats], middle: tuple[Floats, ...]) -> tuple[Lung, Lung]:
    """Return the right and left lung of their cavities (N, 2), measured on a raster of ROWS."""
    raster: Bytes = np.zeros((ROWS, ROWS), np.uint8)
    for outline in outlines:
        fill(raster, [outline * ROWS])
    for hiding in middle:
        fill(raster, [hiding * ROWS], 0)
    half = ROWS // 2  # the mediastinum lies on the midline
    right = lung_field(outlines[0], raster[:, half - 1 :: -1])
    left = lung_field(outlines[1], raster[:, half:])
    flipped = replace(right, inner=1 - right.inner, outer=1 - right.outer)
    return flipped, left


def lung_field(outline: Floats, raster: Bytes) -> Lung:
    """Measure a lung on its half of the raster (ROWS, ROWS / 2), which begins at the midline."""
    occupied = np.flatnonzero(raster.any(axis=1))
    rows = raster[occupied[0] : occupied[-1] + 1]
    return Lung(
        outline=outline,
        y=(np.arange(occupied[0], occupied[-1] + 1) + 0.5) / ROWS,
        inner=0.5 + rows.argmax(axis=1) / ROWS,
        outer=1 - rows[:, ::-1].argmax(axis=1) / ROWS,
        apex=outline[np.argmin(outline[:, 1])],
        angle=outline[np.argmax(outline[:, 1])],
    )
