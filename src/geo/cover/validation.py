"""How well a classifier does on land that it has not seen, and whether it beats another one.

Neighbouring pixels resemble each other, so random pixels held out tell too good
a story. Whole blocks of land are held out instead (Roberts et al. 2017,
doi:10.1111/ecog.02881), and a polygon of labels is never split. Competitors are
compared on the same folds; the interval of a difference allows for the folds'
shared training pixels. Accuracy of a finished map against a probability sample
is another matter: ``src.geo.estimates.accuracy``.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from sklearn.model_selection import StratifiedGroupKFold

from src.errors import InputError
from src.geo.estimates.accuracy import Measures, matrix_measures

_Floats = NDArray[np.float64]
_Indices = NDArray[np.intp]
MIN_BLOCK_PX = 20
# Fewer blocks along a side leave too few of them to hold out.
_MIN_BLOCKS_A_SIDE = 4
# Training pixels and held-out pixels (indices) in, class ids of the held-out pixels out.
Classify = Callable[[_Indices, _Indices], NDArray[np.uint8]]


@dataclass(frozen=True, eq=False)
class BlockedScores:
    """A classifier's result over repeated, spatially blocked folds.

    Args:
        classes: ids, in the order of the matrix.
        confusion: (C, C) float64, weights of held-out pixels by predicted (rows) and true class (columns), mean of
            the repeats.
        accuracy: (repeats, folds) overall accuracy of each fold; NaN where a fold holds no pixel.
        by_repeat: (repeats,) overall accuracy of all folds of a repeat together.
    """

    classes: tuple[int, ...]
    confusion: _Floats
    accuracy: _Floats
    by_repeat: _Floats

    @property
    def measures(self) -> Measures:
        """Overall, user's and producer's accuracy, F1 and kappa of the confusion matrix."""
        return matrix_measures(self.confusion)

    @property
    def mean_f1(self) -> float:
        """Mean F1 of the classes that occur; a class that is never found counts 0."""
        occurring = self.confusion.sum(0) > 0
        return float(np.mean([value or 0.0 for value, there in zip(self.measures.f1, occurring, strict=True) if there]))


@dataclass(frozen=True)
class Difference:
    """Mean difference of two classifiers' accuracies with its two-sided 95 % interval."""

    mean: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """What the interval says of the first against the second."""
        return "better" if self.low > 0 else "worse" if self.high < 0 else "no difference seen"


def spatial_groups(rows: NDArray[np.int32], cols: NDArray[np.int32], side_px: int) -> NDArray[np.int64]:
    """Number of the square block that each pixel lies in.

    Args:
        rows: (N,) of the raster.
        cols: (N,).
        side_px: side of a block, at least 1.
    """
    return (rows.astype(np.int64) // side_px << 32) | (cols.astype(np.int64) // side_px)


def block_side_px(values: NDArray[np.float32], least: int = MIN_BLOCK_PX) -> int:
    """Side of the blocks to hold out: beyond the distance at which pixels still resemble each other.

    The range of the correlogram: the lag at which the correlation along rows and columns, averaged,
    first falls below 1/e (the scale of an exponential model).

    Args:
        values: (H, W) of the band that varies most, NaN where unknown; a part of a large scene will do.
        least: smallest side.

    Returns:
        Pixels, from ``least`` up to a quarter of the shorter side (so that blocks remain to hold out).
    """
    longest = max(least, min(values.shape) // _MIN_BLOCKS_A_SIDE)
    for lag in range(1, longest):
        pairs = ((values[lag:], values[:-lag]), (values[:, lag:], values[:, :-lag]))
        if np.mean([_correlation(a, b) for a, b in pairs]) < np.exp(-1.0):
            return max(least, lag)
    return longest


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    x, y = a[both].astype(np.float64), b[both].astype(np.float64)
    if x.size < 2 or x.std() == 0 or y.std() == 0:
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])


def blocked_folds(
    classes: NDArray[np.uint8], groups: NDArray[np.int64], folds: int, seed: int
) -> list[tuple[_Indices, _Indices]]:
    """Training and held-out pixels of each fold: groups stay whole, classes are spread as evenly as groups allow.

    Args:
        classes: (N,) ids.
        groups: (N,) block or polygon of each pixel.
        folds: how many, at least 2.
        seed: decides which groups go together.

    Returns:
        One pair of index arrays per fold; every pixel is held out once. Folds without a pixel are left out.

    Raises:
        InputError: there are fewer groups than folds.
    """
    count = len(np.unique(groups))
    if count < folds:
        raise InputError(f"{count} blocks of labelled land cannot make {folds} folds; label more places")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        # A class with fewer pixels than folds is missing from some folds; that is how it is with rare labels.
        warnings.filterwarnings("ignore", message="The least populated class")
        pairs = list(splitter.split(np.zeros((len(classes), 1)), classes, groups))
    return [(train, held) for train, held in pairs if len(held) and len(train)]


def compare(
    competitors: Mapping[str, Classify],
    classes: NDArray[np.uint8],
    groups: NDArray[np.int64],
    weights: _Floats,
    *,
    repeats: int = 20,
    folds: int = 5,
    seed: int = 0,
) -> tuple[dict[str, BlockedScores], _Floats]:
    """Cross-validate classifiers on the same folds.

    Args:
        competitors: by name; each trains on the first indices and classifies the second.
        classes: (N,) true ids.
        groups: (N,) block of each pixel.
        weights: (N,) pixels that each stands for.
        repeats: times that the blocks are dealt into folds anew.
        folds: parts of a repeat.
        seed: of the first repeat.

    Returns:
        Scores by name, and (repeats, folds) held-out weight of each fold.
    """
    known = tuple(int(code) for code in np.unique(classes))
    place = np.zeros(256, dtype=np.intp)
    place[list(known)] = np.arange(len(known))
    matrix = {name: np.zeros((repeats, folds, len(known), len(known))) for name in competitors}
    for repeat in range(repeats):
        for fold, (train, held) in enumerate(blocked_folds(classes, groups, folds, seed + repeat)):
            for name, classify in competitors.items():
                predicted = classify(train, held)
                np.add.at(matrix[name][repeat, fold], (place[predicted], place[classes[held]]), weights[held])
    scores = {name: _scores(known, cells) for name, cells in matrix.items()}
    return scores, next(iter(matrix.values())).sum((2, 3))


def _scores(classes: tuple[int, ...], cells: _Floats) -> BlockedScores:
    """Scores from (repeats, folds, C, C) matrices."""
    right, total = np.trace(cells, axis1=2, axis2=3), cells.sum((2, 3))
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = right / total
    return BlockedScores(classes, cells.sum(1).mean(0), accuracy, right.sum(1) / total.sum(1))


def paired_difference(ours: BlockedScores, other: BlockedScores, held_weight: _Floats) -> Difference:
    """Difference in overall accuracy with the corrected resampled t interval.

    Folds share training pixels, so their differences are not independent and the plain t interval is far too
    narrow. Nadeau and Bengio (2003, doi:10.1023/A:1024068626366) replace the variance's factor 1/n by
    1/n + (held out / trained on); Bouckaert and Frank (2004, doi:10.1007/978-3-540-24775-3_3) use the same for
    repeated k-fold cross-validation, n = repeats times folds. Here folds count by the pixels that they hold out,
    so the mean is the difference of the two overall accuracies.

    Args:
        ours: scores of one.
        other: of the other, over the same folds.
        held_weight: (repeats, folds) from ``compare``.

    Raises:
        InputError: fewer than two folds were scored.
    """
    used = held_weight > 0
    if used.sum() < 2:
        raise InputError("an interval of a difference takes at least two folds")
    share = held_weight[used] / held_weight[used].sum()
    differences = (ours.accuracy - other.accuracy)[used]
    mean = float(share @ differences)
    count = int(used.sum())
    variance = float(share @ (differences - mean) ** 2) * count / (count - 1)
    held = 1.0 / used.shape[1]
    error = np.sqrt((1.0 / count + held / (1.0 - held)) * variance)
    reach = float(stats.t.ppf(0.975, count - 1) * error)
    return Difference(mean, mean - reach, mean + reach)


def majority_classify(classes: NDArray[np.uint8], weights: _Floats) -> Classify:
    """The floor: every held-out pixel gets the class that is most common in training."""

    def classify(train: _Indices, held: _Indices) -> NDArray[np.uint8]:
        common = int(np.argmax(np.bincount(classes[train], weights=weights[train])))
        return np.full(len(held), common, dtype=np.uint8)

    return classify
