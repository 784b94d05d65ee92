"""The outlines of an average chest, in fractions of the film (about 40 cm), right side first.

Only the patient's right side (image left) of paired structures is written; the left is its mirror.
"""

from typing import Final

import numpy as np

APEX_Y: Final = 0.15
"""Top of the lungs: bodies are scaled in height from here."""

DIAPHRAGM_KNOTS: Final = slice(8, 13)
ANGLE_KNOT: Final = 7

LUNG: Final = np.array(
    [
        (0.345, 0.150), (0.278, 0.172), (0.222, 0.232), (0.183, 0.322), (0.157, 0.432),
        (0.141, 0.552), (0.133, 0.662), (0.132, 0.764), (0.152, 0.742), (0.208, 0.706),
        (0.285, 0.688), (0.365, 0.697), (0.437, 0.724), (0.452, 0.640), (0.454, 0.560),
        (0.452, 0.480), (0.446, 0.400), (0.446, 0.310), (0.436, 0.222), (0.398, 0.160),
    ]
)  # fmt: skip
"""Right lung from its apex down the lateral wall, along the diaphragm and up the mediastinum."""

HEART: Final = np.array(
    [
        (-0.062, 0.440), (-0.085, 0.540), (-0.092, 0.620), (-0.078, 0.700), (-0.030, 0.738),
        (0.060, 0.750), (0.150, 0.748), (0.200, 0.722), (0.211, 0.682), (0.186, 0.612),
        (0.146, 0.542), (0.108, 0.482), (0.074, 0.430), (0.010, 0.415),
    ]
)  # fmt: skip
"""Heart, x from the midline (positive towards the patient's left), width 0.303."""

MEDIASTINUM: Final = np.array(
    [
        (-0.045, 0.100), (-0.058, 0.200), (-0.066, 0.300), (-0.070, 0.400), (-0.066, 0.520),
        (-0.060, 0.720), (0.050, 0.720), (0.080, 0.520), (0.084, 0.452), (0.072, 0.410),
        (0.078, 0.372), (0.090, 0.335), (0.082, 0.292), (0.058, 0.255), (0.052, 0.200),
        (0.042, 0.100),
    ]
)  # fmt: skip
"""Great vessels and the middle of the chest, with the aortic knob, x from the midline."""

BODY: Final = np.array(
    [
        (0.425, -0.60), (0.425, -0.02), (0.405, 0.040), (0.330, 0.075), (0.210, 0.098),
        (0.080, 0.135), (-0.04, 0.200), (-0.10, 0.330), (-0.05, 0.400), (0.030, 0.420),
        (0.062, 0.500), (0.072, 0.620), (0.068, 0.780), (0.056, 0.950), (0.050, 1.600),
    ]
)  # fmt: skip
"""Right outline of neck, shoulder and trunk."""

CLAVICLE: Final = np.array(
    [(0.455, 0.262), (0.400, 0.240), (0.330, 0.212), (0.250, 0.178), (0.170, 0.150), (0.120, 0.150)]
)

SCAPULA: Final = np.array(
    [(0.120, 0.175), (0.180, 0.215), (0.178, 0.300), (0.165, 0.400), (0.135, 0.430),
     (0.110, 0.380), (0.085, 0.270), (0.075, 0.205)]
)  # fmt: skip

HUMERUS: Final = np.array([(0.050, 0.185), (0.020, 0.260), (-0.030, 0.360), (-0.10, 0.480)])

TRACHEA: Final = np.array([(0.500, -0.05), (0.500, 0.120), (0.497, 0.240), (0.495, 0.345)])

CARINA: Final = np.array((0.495, 0.350))
HILUM: Final = np.array((0.400, 0.425))

RIB_WIDTH: Final = 0.021
