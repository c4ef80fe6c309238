"""Bounds around counted areas: how far counts of this method were found off where the truth is known.

Only a sample interpreted in the place itself gives a confidence interval
(``src.geo.estimates``). Without one, ``DOUBTS`` says how truth and count differed
on simulated counties (``src.geo.simulate``; 16 of two dates at 10 m and 30 m, 7 of
the demo county's plan in eight pairs of dates, with their towns and reserves):
98 of 100 truths lay within, widened by a tenth; lower ends were then lowered where
fresh counties showed vegetation that only seemed to come or go. Told as a range.
Of states, the sum of the class probabilities stands beside the count, and the
range spans both. Ground that was not seen clearly may hold the class as often as
what was seen, or not at all.
"""

import math
from dataclasses import dataclass

# By kind of flow and class: share of the seen ground that is added to truth and count, and the lowest and highest
# natural logarithm of truth over count found with it. Small true changes among large states are mostly missed or
# false, so the ranges of vegetation are wide.
Doubt = tuple[float, float, float]
_STATE: dict[str, Doubt] = {
    "cropland": (0.008, -0.59, 0.33),
    "garden": (0.008, -0.59, 0.40),
    "forest": (0.008, -0.08, 0.13),
    "grassland": (0.008, -0.29, 0.25),
    "water": (0.008, -0.15, 0.32),
    "built": (0.008, -0.30, 0.25),
    "unused": (0.002, -1.01, 0.68),
}
_GAIN: dict[str, Doubt] = {
    "cropland": (0.0005, -2.39, 0.80),
    "garden": (0.004, -1.30, 1.36),
    "forest": (0.0005, -2.00, 1.93),
    "grassland": (0.0005, -2.00, 1.60),
    "water": (0.0005, -0.80, 1.50),
    "built": (0.008, -0.20, 0.50),
    "unused": (0.008, -0.90, 0.59),
}
_LOSS: dict[str, Doubt] = {
    "cropland": (0.008, -0.80, 0.77),
    "garden": (0.001, -1.60, 0.70),
    "forest": (0.0005, -1.50, 0.60),
    "grassland": (0.002, -1.20, 1.40),
    "water": (0.0005, -1.20, 1.63),
    "built": (0.0005, -1.60, 0.20),
    "unused": (0.001, -1.63, 1.28),
}
# Pairs of different seasons: crops at other stages look like change.
_GAIN_SEASONS: dict[str, Doubt] = {
    "cropland": (0.0005, -3.60, 0.20),
    "garden": (0.001, -2.20, 1.72),
    "forest": (0.001, -2.63, 1.05),
    "grassland": (0.002, -1.95, 0.40),
    "water": (0.0005, -1.67, 2.10),
    "built": (0.0005, -1.65, 0.60),
    "unused": (0.0005, -2.74, 1.26),
}
_LOSS_SEASONS: dict[str, Doubt] = {
    "cropland": (0.008, -1.80, 0.77),
    "garden": (0.004, -1.50, 0.20),
    "forest": (0.0005, -2.25, 0.86),
    "grassland": (0.002, -1.70, 0.30),
    "water": (0.0005, -1.60, 2.10),
    "built": (0.0005, -2.85, 0.20),
    "unused": (0.002, -2.30, 1.25),
}
DOUBTS: dict[tuple[str, bool], dict[str, Doubt]] = {
    ("state", False): _STATE,
    ("state", True): _STATE,
    ("gain", False): _GAIN,
    ("gain", True): _GAIN_SEASONS,
    ("loss", False): _LOSS,
    ("loss", True): _LOSS_SEASONS,
}
# Pixels that can always be there unnoticed or be counted in vain.
FLOOR_PX = 9


@dataclass(frozen=True)
class Seen:
    """The ground that was counted.

    Args:
        area_m2: that has a class.
        share: of the place, above 0 to 1.
        pixel_m2: area of a pixel.
        seasons_differ: flows rest on two different seasons.
    """

    area_m2: float
    share: float
    pixel_m2: float
    seasons_differ: bool = False


def bounds_of(quantity: str, cls: str, count: float, seen: Seen, expected: float | None = None) -> tuple[float, float]:
    """Lower and upper bound of an area, m2; the count lies between them, and none is below zero.

    Args:
        quantity: "state", "gain" or "loss"; a transition counts as the gain of its later class.
        cls: class that it is about.
        count: m2 of pixels.
        seen: the ground.
        expected: of a state, the sum of the probabilities over the same ground, m2.
    """
    share, low, high = DOUBTS[quantity, seen.seasons_differ][cls]
    floor = share * seen.area_m2 + FLOOR_PX * seen.pixel_m2
    least, most = sorted((count, count if expected is None else expected))
    bottom = min((least + floor) * math.exp(low) - floor, count)
    top = max((most + floor) * math.exp(high) - floor, count)
    return max(0.0, bottom), top / seen.share


def net_bounds(
    gain: float, gain_bounds: tuple[float, float], loss: float, loss_bounds: tuple[float, float]
) -> tuple[float, float]:
    """Bounds of gain less loss: their errors taken as independent, so that distances add as squares."""
    net = gain - loss
    low = math.hypot(gain - gain_bounds[0], loss_bounds[1] - loss)
    high = math.hypot(gain_bounds[1] - gain, loss - loss_bounds[0])
    return net - low, net + high
