"""The numbers of a text, and whether any of them could be true: what the attacks are proved false with."""

import re
from dataclasses import dataclass

from src.assistant.record import Evidence, Figure

SI = {
    **{"亩": 2000 / 3, "公顷": 1e4, "平方公里": 1e6, "平方米": 1.0, "mu": 2000 / 3, "ha": 1e4, "km2": 1e6, "m2": 1.0},
    "%": 0.01,
}
_NUMBER = re.compile(r"(?<![\d.\-A-Za-z])(\d+(?:\.\d+)?)(万?) ?(亩|公顷|平方公里|平方米|mu\b|ha\b|km2\b|m2\b|%)")
MARGIN = 1.6


@dataclass(frozen=True)
class Found:
    """A number of a text with its unit."""

    start: int
    end: int
    digits: str
    scale: str
    unit: str
    last: bool = True

    @property
    def value(self) -> float:
        return float(self.digits) * self.factor

    @property
    def factor(self) -> float:
        return SI[self.unit] * (1e4 if self.scale else 1.0)

    @property
    def step(self) -> float:
        """One unit of the last written place, in SI."""
        return self.factor * 10.0 ** -len(self.digits.partition(".")[2])


def numbers(text: str) -> list[Found]:
    """Areas and percentages of a text."""
    return [Found(m.start(1), m.end(1), m[1], m[2], m[3]) for m in _NUMBER.finditer(text)]


def truths(evidence: Evidence, dimension: str) -> list[tuple[float, Figure | None]]:
    """Every true number of a dimension (SI, without sign), with the figure it belongs to."""
    alike = {"area": ("area", "area_per_year"), "share": ("share", "share_per_year"), "count": ("count",)}[dimension]
    found: list[tuple[float, Figure | None]] = []
    for figure in evidence.figures:
        if figure.dimension in alike:
            found += [(abs(value), figure) for value in (figure.value, *(figure.bounds or ()))]
    if dimension == "area":
        for row in evidence.patches:
            found += [(value, None) for value in (row.area_m2, *row.bounds, row.overlap_m2 or 0.0)]
    if dimension == "share":
        found += [(scene.clear_share, None) for scene in evidence.scenes]
        found += [((scene.cloud_percent or 0) / 100, None) for scene in evidence.scenes]
        found += [(0.95, None)]
    if dimension == "count":
        found += [(float(n), None) for n in (len(evidence.patches), len(evidence.scenes))]
    return found


def near(evidence: Evidence, digits: str, factor: float, dimension: str) -> list[Figure | None]:
    """What a written number could mean: everything that it equals up to rounding, generously.

    Zeros at the end of a whole number may be rounding too: 3800 can stand for 3809.
    """
    step = factor * 10.0 ** -len(digits.partition(".")[2])
    zeros = 0 if "." in digits else len(digits) - len(digits.rstrip("0"))
    margin = max(MARGIN * step, 0.51 * step * 10.0**zeros)
    return [figure for truth, figure in truths(evidence, dimension) if abs(truth - float(digits) * factor) <= margin]


def dimension_of(unit: str) -> str:
    return "share" if unit == "%" else "area"
