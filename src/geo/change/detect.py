"""Where the ground changed between two dates, as a score and a mask, from the spectra alone.

Two scores are pooled: IR-MAD (``src.geo.change.irmad``), blind to gain, offset and
haze, and change vector analysis (CVA) on bands normalised by the pixels that
IR-MAD finds unchanged, which keeps the size of the difference. Each is divided
by its own threshold; their geometric mean is the score, and beyond 1 a pixel
counts as changed. Threshold: Otsu's on the clipped distance, never below what
noise alone reaches in one of ten thousand pixels; and where the scene holds no
more outliers than noise would give, nothing is reported. Before that, differences to the eight neighbours that are
small against the threshold are averaged out; larger ones stay, so that a patch
of 3 x 3 pixels keeps its edges. The same constants hold for every scene.

Limits: a difference in cover, not its cause; crops at another stage count as
change; where most of the scene changed, the normalisation fails.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2
from skimage.filters import threshold_otsu
from tqdm import tqdm

from src.geo.blocks import WIDE_PX, Block, Runner, blocks_of, strips_of
from src.geo.caveats import CannotTell
from src.geo.change.irmad import IrMad, calibration_factor, chi_square, fit_irmad, mad_variates
from src.geo.raster import block_writer

if TYPE_CHECKING:
    from src.geo.change.pairs import Pair

NO_DATA, UNCHANGED, CHANGED = 0, 1, 2
# The fit sees at most about this many pixels, on a regular lattice; memory and time of the fit stay constant.
FIT_PIXELS = 1_000_000
MIN_FIT_PIXELS = 500
# Otsu finds two halves in anything. It is asked only where the share of pixels beyond the 0.001 limit of
# chi-square is more than three times nominal.
GATE_TAIL = 0.001
GATE_FACTOR = 3.0
# No threshold lies below what noise alone passes in one of ten thousand pixels. Noise grows with brightness, so
# that the gate opens on many a pair without change; with this floor such pixels do not join to patches.
NOISE_TAIL = 1e-4
# Distances count up to this multiple of the threshold: a few dazzling roofs must not raise it for all others.
CLIP_THRESHOLDS = 2.5
_CLIP_ROUNDS = 50
# Neighbours closer than about this share of the threshold are averaged (standard deviation of the bilateral
# weight, Tomasi and Manduchi 1998, doi:10.1109/ICCV.1998.710815).
SIMILAR_THRESHOLDS = 0.35
_HALO_PX = 1
# Rows in work at a time.
_STRIP_PX = 32
# Half of the eight neighbours; the others are the same pairs seen from the other side.
_NEIGHBOURS = ((0, 1), (1, -1), (1, 0), (1, 1))


@dataclass(frozen=True, eq=False)
class Cva:
    """Normalised difference of the two dates.

    Attributes:
        mean_x: (p,) float64, first date's mean over unchanged pixels.
        mean_y: (p,) second date's.
        scale_x: (p,) factor that takes the first date's bands to noise units.
        scale_y: (p,) the second date's.
        freedom: effective number of independent bands of the noise.
    """

    mean_x: NDArray[np.float64]
    mean_y: NDArray[np.float64]
    scale_x: NDArray[np.float64]
    scale_y: NDArray[np.float64]
    freedom: float


@dataclass(frozen=True, eq=False)
class ChangeModel:
    """What ``change_block`` needs, and the figures to report.

    Attributes:
        irmad: fitted transform.
        cva: fitted normalisation.
        found: whether there is change at all (the gate).
        tail_share: share of pixels beyond the chi-square limit of GATE_TAIL.
        threshold_irmad: distance in noise units beyond which IR-MAD alone sees change.
        threshold_cva: the same for CVA.
        fit_pixels: pixels that the fit saw.
    """

    irmad: IrMad
    cva: Cva
    found: bool
    tail_share: float
    threshold_irmad: float
    threshold_cva: float
    fit_pixels: int


def fit_change(pair: "Pair", runner: Runner) -> ChangeModel:
    """Fit both scores and their thresholds on a regular lattice of pixels.

    Args:
        pair: two dates on common ground.
        runner: reads the blocks.

    Raises:
        CannotTell: fewer than MIN_FIT_PIXELS pixels were seen on both dates.
    """
    shape_hw = pair.grid.shape_hw
    step = lattice_step(shape_hw)
    parts = list(runner.map(partial(_lattice, pair, step), blocks_of(shape_hw)))
    x, y = (np.concatenate([part[date] for part in parts], axis=1) for date in (0, 1))
    if x.shape[1] < MIN_FIT_PIXELS:
        raise CannotTell(
            "NO_CLEAR_IMG",
            f"{pair.before.record.date} and {pair.after.record.date}: {x.shape[1]} pixels of the sample were seen on "
            f"both dates, {MIN_FIT_PIXELS} are needed; choose clearer dates",
        )
    return fit_pixels(x, y)


def lattice_step(shape_hw: tuple[int, int]) -> int:
    """Every how many rows and columns a pixel enters the fit."""
    return max(1, int(np.ceil(np.sqrt(shape_hw[0] * shape_hw[1] / FIT_PIXELS))))


def fit_pixels(x: np.ndarray, y: np.ndarray) -> ChangeModel:
    """Fit on pixels: see ``fit_change``.

    Args:
        x: (p, n) float32, first date, without NaN.
        y: (p, n) second date.
    """
    irmad = fit_irmad(x, y)
    z = chi_square(irmad, x, y)
    cva = fit_cva(x, y, z)
    tail_share = float(np.mean(z > chi2.isf(GATE_TAIL, irmad.bands)))
    distances = np.sqrt(z), np.sqrt(np.square(cva_residuals(cva, x, y)).sum(axis=0))
    floors = [float(np.sqrt(chi2.isf(NOISE_TAIL, freedom))) for freedom in (irmad.bands, cva.freedom)]
    found = tail_share > GATE_FACTOR * GATE_TAIL
    limits = [
        max(floor, clipped_otsu(distance)) if found else floor
        for floor, distance in zip(floors, distances, strict=True)
    ]
    return ChangeModel(irmad, cva, found, tail_share, limits[0], limits[1], x.shape[1])


def fit_cva(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Cva:
    """Normalise the bands of both dates on the pixels that IR-MAD finds unchanged.

    Orthogonal regression in standard units (reduced major axis) per band on
    pixels with Z below the median of chi-square; the residuals are then put in
    units of their own spread, and calibrated as Z is.

    Args:
        x: (p, n) first date.
        y: (p, n) second date.
        z: (n,) calibrated Z.
    """
    same = z <= min(chi2.median(len(x)), np.quantile(z, 0.5))
    means, spreads = [], []
    for values in (x, y):
        chosen = values[:, same].astype(np.float64)
        means.append(chosen.mean(axis=1))
        spreads.append(np.maximum(chosen.std(axis=1), 1e-9))
    draft = Cva(means[0], means[1], 1 / spreads[0], 1 / spreads[1], float(len(x)))
    residual = cva_residuals(draft, x[:, same].astype(np.float64), y[:, same].astype(np.float64))
    spread = np.maximum(residual.std(axis=1), 1e-9)
    # Satterthwaite 1946 (doi:10.2307/3002019): a sum of correlated squares behaves as chi-square of fewer degrees.
    correlation = np.cov(residual / spread[:, None])
    total = float(np.trace(correlation))
    # Two identical images have no residual at all.
    freedom = total**2 / float(np.square(correlation).sum()) if total > 0 else float(len(x))
    draft = Cva(means[0], means[1], draft.scale_x / spread, draft.scale_y / spread, freedom)
    factor = calibration_factor(np.square(cva_residuals(draft, x, y)).sum(axis=0), freedom) ** -0.5
    return Cva(means[0], means[1], draft.scale_x * factor, draft.scale_y * factor, freedom)


def cva_residuals(cva: Cva, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Normalised second minus first date in noise units, (p, ...) in the dtype of x."""
    shape = (-1,) + (1,) * (x.ndim - 1)
    mean_x, mean_y, scale_x, scale_y = (
        values.astype(x.dtype).reshape(shape) for values in (cva.mean_x, cva.mean_y, cva.scale_x, cva.scale_y)
    )
    return (y - mean_y) * scale_y - (x - mean_x) * scale_x


def clipped_otsu(distance: np.ndarray) -> float:
    """Otsu's threshold (1979, doi:10.1109/TSMC.1979.4310076) on distances clipped at 2.5 times itself.

    Args:
        distance: (n,), 0 or more.
    """
    # The first clip only has to keep single extremes from stretching the histogram.
    threshold = float(threshold_otsu(np.minimum(distance, np.quantile(distance, 0.99))))
    for _ in range(_CLIP_ROUNDS):
        previous = threshold
        threshold = float(threshold_otsu(np.minimum(distance, CLIP_THRESHOLDS * previous)))
        if abs(threshold - previous) <= 1e-3 * previous:
            break
    return threshold


def change_block(pair: "Pair", model: ChangeModel, block: Block) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Score and mask of one block.

    Args:
        pair: as fitted.
        model: from ``fit_change``.
        block: window of the pair's grid.

    Returns:
        (h, w) float32 score, changed beyond 1, NaN where not seen on both dates;
        (h, w) uint8: 0 no data, 1 unchanged, 2 changed.
    """
    outer = block.grown(_HALO_PX, pair.grid.shape_hw)
    x, y, valid = pair.read(outer)
    score = np.empty((block.height, block.width), np.float32)
    mask = np.empty((block.height, block.width), np.uint8)
    for strip in strips_of(block, _STRIP_PX):
        around = strip.grown(_HALO_PX, pair.grid.shape_hw)
        rows, cols = around.inside(outer)
        found = change_pixels(model, x[:, rows, cols], y[:, rows, cols], valid[rows, cols])
        inner, place = strip.inside(around), strip.inside(block)
        score[place], mask[place] = found[0][inner], found[1][inner]
    return score, mask


def change_pixels(
    model: ChangeModel, x: np.ndarray, y: np.ndarray, valid: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Score and mask of arrays; as ``change_block``, but pixels at the array's rim lack their outer neighbours.

    Args:
        model: from ``fit_change``.
        x: (p, h, w) float32 first date.
        y: (p, h, w) second date.
        valid: (h, w) bool, seen on both dates.
    """
    bands = len(x)
    with np.errstate(invalid="ignore"):
        vectors = np.concatenate(
            [
                mad_variates(model.irmad, x, y) / np.float32(model.threshold_irmad),
                cva_residuals(model.cva, x, y) / np.float32(model.threshold_cva),
            ]
        )
    if not valid.all():
        np.copyto(vectors, np.float32(0), where=~valid)
    vectors = average_similar(vectors, valid)
    squares = [np.einsum("bhw,bhw->hw", part, part) for part in (vectors[:bands], vectors[bands:])]
    score = np.sqrt(np.sqrt(squares[0] * squares[1]))
    changed = (score > 1.0) & model.found
    score[~valid] = np.nan
    mask = np.where(valid, np.where(changed, CHANGED, UNCHANGED), NO_DATA)
    return score, mask.astype(np.uint8)


def average_similar(vectors: np.ndarray, valid: NDArray[np.bool_]) -> np.ndarray:
    """Mean of each pixel and its eight neighbours, weighted by how alike their vectors are.

    Args:
        vectors: (c, h, w) float32 in units of the threshold, two scores of c / 2 bands each.
        valid: (h, w) bool; others neither give nor take.

    Returns:
        (c, h, w) float32. A neighbour at distance d of each score weighs exp(-d^2 / (2 * 0.35^2)).
    """
    height, width = valid.shape
    total = np.ones(valid.shape, np.float32)
    result = vectors.copy()
    # Both scores add to the squared distance, hence half the rate.
    rate = np.float32(-0.25 / SIMILAR_THRESHOLDS**2)
    for down, right in _NEIGHBOURS:
        here = slice(0, height - down), slice(max(0, -right), width - max(0, right))
        there = slice(down, height), slice(max(0, right), width - max(0, -right))
        weight = np.zeros((height - down, width - abs(right)), np.float32)
        for values in vectors:
            weight += np.square(values[here] - values[there])
        np.exp(weight * rate, out=weight)
        weight *= valid[here] & valid[there]
        for values, mean in zip(vectors, result, strict=True):
            mean[here] += weight * values[there]
            mean[there] += weight * values[here]
        total[here] += weight
        total[there] += weight
    result /= total
    return result


def write_change(pair: "Pair", model: ChangeModel, runner: Runner, out: Path) -> None:
    """Write change.tif (uint8 0 no data, 1 unchanged, 2 changed, before any sieve) and change_score.tif (float32).

    Args:
        pair: as fitted.
        model: from ``fit_change``.
        runner: computes the blocks.
        out: folder.
    """
    blocks: Sequence[Block] = blocks_of(pair.grid.shape_hw, WIDE_PX)
    tags = {"DATE_BEFORE": pair.before.record.date, "DATE_AFTER": pair.after.record.date}
    with ExitStack() as stack:
        mask_file, score_file = (
            stack.enter_context(block_writer(out / name, pair.grid, (band,), dtype, nodata=nodata, tags=tags))
            for name, band, dtype, nodata in (
                ("change.tif", "change", "uint8", NO_DATA),
                ("change_score.tif", "score", "float32", np.nan),
            )
        )
        results = runner.map(partial(change_block, pair, model), blocks)
        for block, (score, mask) in tqdm(
            zip(blocks, results, strict=True), total=len(blocks), desc="change", disable=None
        ):
            mask_file.write(block, mask)
            score_file.write(block, score)


def _lattice(pair: "Pair", step: int, block: Block) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(p, n) bands of both dates on the lattice's valid pixels in a block."""
    x, y, valid = pair.read(block)
    rows, cols = (slice(-first % step, None, step) for first in (block.row, block.col))
    chosen = valid[rows, cols]
    return x[:, rows, cols][:, chosen], y[:, rows, cols][:, chosen]
