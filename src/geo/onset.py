"""When the ground of a patch began to look otherwise, and whether it stayed so: one comparison per later date.

Each date is compared with one of a like season from before the change, so that
a crop's stage is not taken for it. Scores are those of ``src.geo.change.detect``.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np

from src.errors import GridError, InputError
from src.geo.blocks import Block, Runner
from src.geo.caveats import CannotTell
from src.geo.change.detect import CHANGED, MIN_FIT_PIXELS, NO_DATA, ChangeModel, change_block, fit_pixels
from src.geo.change.pairs import Pair, make_pair
from src.geo.change.persistence import first_seen
from src.geo.grid import Grid
from src.geo.scene import Scene
from src.geo.series import on_grid, same_season
from src.geo.zone_overlay import ZonePiece, coverage, zone_pieces

# Of the pixels seen, more must differ than not; and less than this seen tells nothing about a date.
_MAJORITY, _LEAST_SEEN = 0.5, 0.5
# The comparison is fitted to about this many pixels within this distance of the zone: enough for six bands, and no
# more work in a large county than in a small one.
_FIT_PIXELS, _FIT_REACH_PX = 40_000, 384


@dataclass(frozen=True)
class DateLook:
    """What one date says about the ground of a zone.

    Args:
        date: acquisition, ISO.
        reference: date that it was compared with: of a like season, before the change.
        changed_share: of the pixels seen on both, 0..1; NaN where too few were.
        seen_share: of the zone's pixels.
    """

    date: str
    reference: str
    changed_share: float
    seen_share: float


@dataclass(frozen=True)
class Onset:
    """Between which dates the ground began to look otherwise.

    Args:
        last_same: last clear date that showed no change; None where it did not change.
        first_new: first clear date that shows it, with no clear unchanged one after it; None where it did not change.
        looks: dates that could be compared, rising; the first is the known unchanged one.
        left_out: dates without a date of a like season to compare with, or not seen.
    """

    last_same: str | None
    first_new: str | None
    looks: tuple[DateLook, ...]
    left_out: tuple[str, ...]


def change_onset(scenes: Sequence[Scene], unchanged: str, zone: gpd.GeoDataFrame, cache: Path, runner: Runner) -> Onset:
    """Between which dates a zone, such as the outline of a patch, began to look otherwise.

    Each later date is compared with the latest date of a like season (30 days) that is not after ``unchanged``, so
    that a crop's stage is not taken for change. A date shows the change where more than half of its pixels do.

    Args:
        scenes: all that may be used, of one sensor and level.
        unchanged: date on which the ground still looked as before; one of the scenes' dates.
        zone: as ``read_zone`` gives it, such as the outline of a patch or a disc around a point.
        cache: folder for warped scenes.
        runner: threads or a cluster.

    Raises:
        InputError: no scene of the date ``unchanged``.
        GridError: the zone lies outside that scene.
    """
    ordered = sorted(scenes, key=lambda scene: (scene.record.date, scene.record.id))
    known = [scene for scene in ordered if scene.record.date <= unchanged]
    if not known or known[-1].record.date != unchanged:
        raise InputError(f"no scene of {unchanged} among {', '.join(scene.record.date for scene in ordered)}")
    pieces = zone_pieces(zone, known[-1].grid)
    looks, left_out = [DateLook(unchanged, unchanged, 0.0, _seen(known[-1], pieces))], []
    for scene in ordered[len(known) :]:
        day = scene.record.date
        like = [one for one in known if same_season(one.record.date, day)]
        look = _look(like[-1], scene, known[-1].grid, pieces, cache, runner) if like else None
        if look is None or day == looks[-1].date:
            left_out.append(day)
        else:
            looks.append(look)
    shares = np.array([look.changed_share for look in looks])[:, None, None] / _MAJORITY
    last, new = (int(found[0, 0]) for found in first_seen(shares, [look.date for look in looks]))
    if new < 0:
        return Onset(None, None, tuple(looks), tuple(left_out))
    return Onset(looks[last].date if last >= 0 else None, looks[new].date, tuple(looks), tuple(left_out))


def _seen(scene: Scene, pieces: Sequence[ZonePiece]) -> float:
    """Share of the pieces' ground that is clear."""
    shares = [(coverage(piece.geometry, piece.block), scene.clear(piece.block)) for piece in pieces]
    whole = sum(float(share.sum()) for share, _ in shares)
    return sum(float(share[clear].sum()) for share, clear in shares) / whole


def _look(
    reference: Scene, scene: Scene, grid: Grid, pieces: Sequence[ZonePiece], cache: Path, runner: Runner
) -> DateLook | None:
    """Changed and seen share of the zone; None where the dates cannot be compared or too little was seen."""
    try:
        pair = make_pair(on_grid([reference], grid, cache, runner)[0], scene, cache, runner)
    except (CannotTell, GridError):
        return None
    model = _fit_near(pair, pieces)
    if model is None:
        return None
    counts = np.zeros(3)
    for piece in pieces:
        share = coverage(piece.geometry, piece.block)
        mask = change_block(pair, model, piece.block)[1]
        counts += share.sum(), share[mask != NO_DATA].sum(), share[mask == CHANGED].sum()
    whole, seen, changed = (float(value) for value in counts)
    if seen < _LEAST_SEEN * whole:
        return None
    return DateLook(scene.record.date, reference.record.date, changed / seen, seen / whole)


def _fit_near(pair: Pair, pieces: Sequence[ZonePiece]) -> ChangeModel | None:
    """The change model of the ground around the zone; None where too little of it was seen."""
    blocks = [piece.block for piece in pieces]
    top, left = min(one.row for one in blocks), min(one.col for one in blocks)
    bottom, right = max(one.row + one.height for one in blocks), max(one.col + one.width for one in blocks)
    near = Block(top, left, bottom - top, right - left).grown(_FIT_REACH_PX, pair.grid.shape_hw)
    step = max(1, math.ceil(math.sqrt(near.height * near.width / _FIT_PIXELS)))
    x, y, valid = (values[..., ::step, ::step] for values in pair.read(near))
    if valid.sum() < MIN_FIT_PIXELS:
        return None
    return fit_pixels(x[:, valid], y[:, valid])
