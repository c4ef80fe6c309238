"""Map accuracy, and areas corrected by a stratified random sample of reference pixels.

Pixel counts of a map are biased by its errors. A sample of pixels with known
reference class corrects them: Olofsson et al. (2014), Good practices for
estimating area and assessing accuracy of land change, Remote Sensing of
Environment 148, 42-57, https://doi.org/10.1016/j.rse.2014.02.015. Strata need
not be the map's classes: Stehman (2014), Estimating area and map accuracy for
stratified random sampling when the strata are different from the map classes,
International Journal of Remote Sensing 35, 4923-4939,
https://doi.org/10.1080/01431161.2014.930207; with strata equal to the classes
its formulas are those of Olofsson et al.

Intervals that hold for rare classes come from ``src.geo.estimates.intervals``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from src.errors import InputError
from src.geo.caveats import CannotTell
from src.geo.estimates.intervals import is_rare, weighted_interval

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]
# Two-sided 95 % quantile of the normal distribution, as Olofsson et al. round it.
Z_95 = 1.96
# A stratum with fewer interpreted pixels has no variance.
MIN_PER_STRATUM = 2


@dataclass(frozen=True)
class Measures:
    """Agreement measures of one matrix.

    Args:
        overall: share of agreement.
        kappa: Cohen's kappa; None where chance agreement is total.
        users: per class, share of the mapped class that is right; None where the class is never mapped.
        producers: per class, share of the reference class that is mapped; None where it never occurs.
        f1: harmonic mean of the two; None where either is missing.
    """

    overall: float
    kappa: float | None
    users: tuple[float | None, ...]
    producers: tuple[float | None, ...]
    f1: tuple[float | None, ...]


@dataclass(frozen=True, eq=False)
class SampleCounts:
    """Interpreted pixels of a stratified random sample.

    Args:
        classes: C class codes.
        strata: H stratum codes.
        counts: (H, C, C) pixels by stratum, map class, reference class; pixels without reference are not in it.
        areas_m2: (H,) ground area of each stratum.
        mapped_m2: (C,) ground area of each map class.
        missing: pixels that were drawn and not interpreted.

    Raises:
        InputError: shapes differ, or values are negative.
    """

    classes: tuple[int, ...]
    strata: tuple[int, ...]
    counts: _Ints
    areas_m2: _Floats
    mapped_m2: _Floats
    missing: int = 0

    def __post_init__(self) -> None:
        shape = (len(self.strata), len(self.classes), len(self.classes))
        if self.counts.shape != shape or self.areas_m2.shape != shape[:1] or self.mapped_m2.shape != shape[1:2]:
            raise InputError(
                f"counts {self.counts.shape}, stratum areas {self.areas_m2.shape} and mapped areas "
                f"{self.mapped_m2.shape} do not fit {shape[0]} strata and {shape[1]} classes"
            )
        if min(self.counts.min(), self.areas_m2.min(), self.mapped_m2.min()) < 0:
            raise InputError("counts and areas must not be negative")


@dataclass(frozen=True)
class ClassEstimate:
    """One class: accuracy, and its area corrected by the sample.

    Margins are half-widths, 1.96 standard errors, as in Olofsson et al.; ``low_m2`` and ``high_m2`` are the 95 %
    interval to report. Measures are None where they are not defined.
    """

    code: int
    mapped_m2: float
    area_m2: float
    standard_error_m2: float
    low_m2: float
    high_m2: float
    users: float | None
    users_margin: float | None
    producers: float | None
    producers_margin: float | None
    f1: float | None
    caveats: tuple[str, ...]

    @property
    def margin_m2(self) -> float:
        """1.96 standard errors: for comparison with the literature; it fails for rare classes."""
        return Z_95 * self.standard_error_m2


@dataclass(frozen=True)
class AreaEstimate:
    """All classes of one map, weighted by area, and the raw sample beside it."""

    classes: tuple[ClassEstimate, ...]
    total_m2: float
    samples: int
    missing: int
    overall: float
    overall_margin: float
    kappa: float | None
    raw: Measures

    def of(self, code: int) -> ClassEstimate:
        """The row of a class.

        Raises:
            InputError: the sample knows no such class.
        """
        for row in self.classes:
            if row.code == code:
                return row
        raise InputError(
            f"class {code} is neither in the map nor in the reference; known: {[r.code for r in self.classes]}"
        )


def confusion_matrix(mapped: ArrayLike, reference: ArrayLike, classes: Sequence[int]) -> _Ints:
    """Pixels by map class (rows) and reference class (columns), (C, C) int64.

    Args:
        mapped: class codes, any shape.
        reference: class codes, same shape.
        classes: the codes, ascending or not, in the order wanted.

    Raises:
        InputError: shapes differ, or a code is not among the classes (missing values must be left out first).
    """
    rows, columns = np.ravel(mapped), np.ravel(reference)
    if rows.shape != columns.shape:
        raise InputError(f"{rows.size} mapped and {columns.size} reference values: expected as many of both")
    count = len(classes)
    return np.bincount(_index(rows, classes) * count + _index(columns, classes), minlength=count**2).reshape(
        count, count
    )


def matrix_measures(matrix: NDArray[np.int64] | _Floats) -> Measures:
    """Measures of a matrix of counts, or of area shares, with map classes in rows; Cohen (1960) for kappa.

    Raises:
        InputError: the matrix is not square, holds a negative number, or nothing at all.
    """
    p = np.asarray(matrix, dtype=np.float64)
    if p.ndim != 2 or p.shape[0] != p.shape[1] or not (p >= 0).all() or p.sum() <= 0:
        raise InputError(f"an error matrix is square, without negative or missing cells, and not empty; got {p!r}")
    p = p / p.sum()
    rows, columns, right = p.sum(1), p.sum(0), np.diag(p)
    users = tuple(map(_share, right, rows))
    producers = tuple(map(_share, right, columns))
    chance = float(rows @ columns)
    overall = float(right.sum())
    kappa = (overall - chance) / (1.0 - chance) if chance < 1.0 - 1e-12 else None
    return Measures(overall, kappa, users, producers, tuple(map(_harmonic, users, producers)))


def from_matrix(matrix: ArrayLike, mapped_m2: ArrayLike, classes: Sequence[int] | None = None) -> SampleCounts:
    """A sample whose strata are the map classes, from its error matrix.

    Args:
        matrix: (C, C) counts, map classes in rows; a class that only the reference has gets a row of zeros.
        mapped_m2: (C,) ground area of each map class, 0 for such a class.
        classes: codes; default 1, 2, ...

    Raises:
        InputError: shapes differ, or a count is missing (NaN) or no whole number.
    """
    values = np.asarray(matrix, dtype=np.float64)
    areas = np.asarray(mapped_m2, dtype=np.float64)
    if not (np.isfinite(values).all() and (values == np.round(values)).all()):
        raise InputError("an error matrix holds whole numbers; a missing cell is not 0: leave missing pixels out")
    if values.ndim != 2 or values.shape != (len(areas), len(areas)):
        raise InputError(
            f"matrix of shape {values.shape} for {len(areas)} mapped areas: expected one row and column each"
        )
    codes = tuple(classes) if classes is not None else tuple(range(1, len(areas) + 1))
    cube = np.zeros((len(areas), *values.shape), dtype=np.int64)
    cube[np.arange(len(areas)), np.arange(len(areas))] = values.astype(np.int64)
    return SampleCounts(codes, codes, cube, areas, areas)


def tally(
    strata: ArrayLike,
    mapped: ArrayLike,
    reference: Sequence[int | None],
    stratum_areas_m2: Mapping[int, float],
    mapped_m2: Mapping[int, float],
) -> SampleCounts:
    """Count interpreted pixels.

    Args:
        strata: (n,) stratum code of each pixel drawn.
        mapped: (n,) its map class.
        reference: its reference class, None where it was not interpreted: such pixels count as missing, not as a class.
        stratum_areas_m2: ground area of every stratum, those without samples too.
        mapped_m2: ground area of every map class.

    Returns:
        Classes of map and reference alike; one that only the reference has gets a mapped area of 0.

    Raises:
        InputError: lengths differ, or a stratum or map class has no area given.
    """
    known = np.array([value is not None for value in reference], dtype=np.bool_)
    stratum, shown = np.asarray(strata, dtype=np.int64), np.asarray(mapped, dtype=np.int64)
    if not len(stratum) == len(shown) == len(known):
        raise InputError(f"{len(stratum)} strata, {len(shown)} map classes, {len(known)} references: expected as many")
    truth = np.array([value for value in reference if value is not None], dtype=np.int64)
    _index(shown, sorted(mapped_m2))
    classes = tuple(sorted(set(mapped_m2) | set(truth.tolist())))
    names = tuple(sorted(stratum_areas_m2))
    size = len(classes)
    place = _index(stratum[known], names) * size**2
    place += _index(shown[known], classes) * size + _index(truth, classes)
    counts = np.bincount(place, minlength=len(names) * size**2).reshape(len(names), size, size)
    areas = np.array([stratum_areas_m2[code] for code in names], dtype=np.float64)
    on_map = np.array([mapped_m2.get(code, 0.0) for code in classes], dtype=np.float64)
    return SampleCounts(classes, names, counts, areas, on_map, int((~known).sum()))


def estimate_areas(sample: SampleCounts) -> AreaEstimate:
    """Error-adjusted areas and accuracies with their 95 % intervals.

    The sample must be random within strata and independent of the map's
    training; the finite size of the strata is not used.

    Raises:
        CannotTell: UNCALIBRATED_AREA, a stratum that covers ground has fewer than two interpreted pixels.
        InputError: a stratum without ground has samples, or no stratum covers ground.
    """
    sizes = sample.counts.sum(axis=(1, 2))
    _check_sizes(sample, sizes)
    used = sample.areas_m2 > 0
    counts, sizes = sample.counts[used].astype(np.float64), sizes[used].astype(np.float64)
    total = float(sample.areas_m2.sum())
    weights = sample.areas_m2[used] / total
    shares = np.einsum("h,hij->ij", weights / sizes, counts)
    measures = matrix_measures(shares)
    right, mapped, truth = np.einsum("hii->hi", counts), counts.sum(2), counts.sum(1)
    users_error = _ratio_errors(right, mapped, sizes, weights)
    producers_error = _ratio_errors(right, truth, sizes, weights)
    errors = _standard_errors(truth.T, sizes, weights)
    share, low, high = weighted_interval(truth.T, sizes, weights)
    rows = []
    for i, code in enumerate(sample.classes):
        rare = is_rare(share[i])
        users, producers = measures.users[i], measures.producers[i]
        rows.append(
            ClassEstimate(
                code=code,
                mapped_m2=float(sample.mapped_m2[i]),
                area_m2=total * float(share[i]),
                standard_error_m2=total * float(errors[i]),
                low_m2=total * float(low[i]),
                high_m2=total * float(high[i]),
                users=users,
                users_margin=None if users is None else Z_95 * float(users_error[i]),
                producers=producers,
                producers_margin=None if producers is None else Z_95 * float(producers_error[i]),
                f1=measures.f1[i],
                caveats=("RARE_CLASS",) if rare else (),
            )
        )
    return AreaEstimate(
        classes=tuple(rows),
        total_m2=total,
        samples=int(sizes.sum()),
        missing=sample.missing,
        overall=measures.overall,
        overall_margin=Z_95 * float(_standard_errors(right.sum(1), sizes, weights)),
        kappa=measures.kappa,
        raw=matrix_measures(sample.counts.sum(0)),
    )


def sample_size(weights: ArrayLike, users: ArrayLike, standard_error: float) -> float:
    """Pixels needed for a standard error of the overall accuracy, Olofsson et al. (2014) equation 13.

    Args:
        weights: (H,) mapped share of each class.
        users: (H,) expected user's accuracy.
        standard_error: wanted, such as 0.01.

    Raises:
        InputError: accuracies outside 0..1, or an error that is not positive.
    """
    w, u = np.asarray(weights, dtype=np.float64), np.asarray(users, dtype=np.float64)
    if not ((u >= 0) & (u <= 1)).all() or standard_error <= 0:
        raise InputError(f"expected accuracies in 0..1 and a positive standard error, got {u} and {standard_error}")
    return float((w @ np.sqrt(u * (1.0 - u)) / standard_error) ** 2)


def _standard_errors(hits: _Floats, sizes: _Floats, weights: _Floats) -> _Floats:
    """Standard error of a stratified share, (..., H) hits to (...): Olofsson et al. (2014) equation 10."""
    part = hits / sizes
    return np.sqrt((weights**2 * part * (1.0 - part) / (sizes - 1.0)).sum(-1))


def _ratio_errors(right: _Floats, whole: _Floats, sizes: _Floats, weights: _Floats) -> _Floats:
    """Standard error of the ratio of two stratified shares, (H, C) each to (C,): Stehman (2014) equations 25-28.

    ``right`` counts a part of ``whole``, so both are 0 or 1 for a pixel and their product is ``right``.
    """
    y, x = right / sizes[:, None], whole / sizes[:, None]
    bottom = weights @ x
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = weights @ y / bottom
        # Sample variances of y - ratio * x within strata, divided by their sizes.
        spread = y * (1 - y) + ratio**2 * x * (1 - x) - 2 * ratio * (y - y * x)
        return np.sqrt(weights**2 @ (np.maximum(spread, 0.0) / (sizes[:, None] - 1.0))) / bottom


def _check_sizes(sample: SampleCounts, sizes: _Ints) -> None:
    total = float(sample.areas_m2.sum())
    if total <= 0:
        raise InputError("no stratum covers any ground; give the mapped area of each")
    for code, area, size in zip(sample.strata, sample.areas_m2, sizes, strict=True):
        if area == 0 and size:
            raise InputError(f"stratum {code} covers no ground but has {size} samples; check the mapped areas")
        if area > 0 and size < MIN_PER_STRATUM:
            raise CannotTell(
                "UNCALIBRATED_AREA",
                f"stratum {code} ({area / total:.1%} of the ground) has {size} interpreted pixels; "
                f"at least {MIN_PER_STRATUM} give an interval, 50 a useful one",
            )


def _index(values: np.ndarray, classes: Sequence[int]) -> _Ints:
    """Position of each value in ``classes``; all values must be there."""
    order = np.argsort(classes)
    ordered = np.asarray(classes)[order]
    found = np.minimum(np.searchsorted(ordered, values), len(ordered) - 1)
    strange = np.unique(values[ordered[found] != values])
    if len(strange):
        raise InputError(f"codes {strange.tolist()} are not among {list(classes)}; leave out missing values")
    return order[found].astype(np.int64)


def _share(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _harmonic(users: float | None, producers: float | None) -> float | None:
    if users is None or producers is None:
        return None
    return 2 * users * producers / (users + producers) if users + producers > 0 else 0.0
