"""Land cover of a scene from a model: block by block, all of it or only where a change was found.

    write_cover(scene, model, runner, out)          # landcover_<date>.tif and landcover_<date>_probability.tif

With ``ChangedOnly``, unchanged ground keeps the classes and probabilities of an earlier date, or has none. That is all
that transitions between two dates (``src.geo.transition``) and patches look at, and a fraction of the work.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASSES
from src.geo.blocks import WIDE_PX, Block, Runner, blocks_of, strips_of
from src.geo.cover.features import HALO_PX, pixel_features
from src.geo.cover.landcover import CoverModel, require_match
from src.geo.cover.rules import rule_probability
from src.geo.raster import block_writer, read_raster
from src.geo.scene import Scene
from src.geo.transition import CHANGED, UNCHANGED
from src.geo.zone_overlay import read_codes

_Floats = NDArray[np.float32]
_CLASS_COUNT = len(LAND_CLASSES)
# Rows in work at a time: their features stay in the processor's cache, and few rows around them are computed twice.
_STRIP_PX = 64


@dataclass(frozen=True)
class ChangedOnly:
    """Classify changed ground and nothing else; all on the grid of the scene to classify.

    Args:
        change: 0 not seen, 1 unchanged, 2 changed; what was not seen on both dates has no class.
        earlier: rasters of an earlier date, as ``write_cover`` gives them, that unchanged ground keeps; None: it has no
            class either.
    """

    change: Path
    earlier: tuple[Path, Path] | None = None


def cover_block(
    scene: Scene, model: CoverModel, block: Block, only: ChangedOnly | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Land cover of a block.

    Args:
        scene: of the model's sensor.
        model: from ``fit_cover`` or ``load_cover``.
        block: window.
        only: which ground to classify; default all of the block.

    Returns:
        (h, w) ids of LAND_CLASSES, 0 where the ground was not seen; (7, h, w) percent in their order, 0 there.

    Raises:
        InputError: the model does not match the scene.
        GridError: the block reaches outside the rasters of ``only``.
    """
    require_match(model, scene)
    classes = np.zeros((block.height, block.width), np.uint8)
    percent = np.zeros((_CLASS_COUNT, block.height, block.width), np.uint8)
    wanted = np.ones(classes.shape, np.bool_)
    if only is not None:
        change = read_codes(only.change, block)
        wanted = change == CHANGED
        if only.earlier is not None:
            same = change == UNCHANGED
            np.copyto(classes, read_codes(only.earlier[0], block), where=same)
            np.copyto(percent, read_raster(only.earlier[1], window=block.window).data, where=same)
        if not wanted.any():
            return classes, percent
    # Rules look at a pixel alone.
    halo = 0 if model.network is None else HALO_PX
    outer = block.grown(halo, scene.grid.shape_hw)
    bands = scene.read(outer, model.roles)
    seen = scene.clear(outer) & np.isfinite(bands).all(0)
    for strip in strips_of(block, _STRIP_PX):
        place = strip.inside(block)
        if not wanted[place].any():
            continue
        around = strip.grown(halo, scene.grid.shape_hw)
        rows, cols = around.inside(outer)
        inner = strip.inside(around)
        known, chance = _chances(scene, model, bands[:, rows, cols], seen[rows, cols], inner, wanted[place])
        classes[place][known] = chance.argmax(0) + 1
        percent[:, place[0], place[1]][:, known] = np.rint(chance * 100)
    return classes, percent


def _chances(
    scene: Scene,
    model: CoverModel,
    bands: _Floats,
    seen: NDArray[np.bool_],
    inner: tuple[slice, slice],
    wanted: NDArray[np.bool_],
) -> tuple[NDArray[np.bool_], _Floats]:
    """Where the inner part of some rows can be classified, (h, w), and the probabilities there, (7, n)."""
    if model.network is None:
        rules = rule_probability(dict(zip(model.roles, bands[:, inner[0], inner[1]], strict=True)))
        known = seen[inner] & wanted & np.isfinite(rules).all(0)
        return known, rules[:, known]
    known = seen[inner] & wanted
    features = pixel_features(bands, seen, model.roles, scene.record.quantity)[:, inner[0], inner[1]]
    chance = np.zeros((_CLASS_COUNT, int(known.sum())), dtype=np.float32)
    chance[np.array(model.classes) - 1] = model.network.probability(features[:, known])
    return known, chance


def write_cover(
    scene: Scene, model: CoverModel, runner: Runner, out: Path, only: ChangedOnly | None = None
) -> tuple[Path, Path]:
    """Classify a scene block by block.

    Args:
        scene: of the model's sensor.
        model: see ``cover_block``.
        runner: works on the blocks.
        out: folder.
        only: see ``cover_block``.

    Returns:
        ``landcover_<date>.tif`` (uint8 ids, 0 no data) and ``landcover_<date>_probability.tif`` (uint8 percent, seven
        bands in the order of LAND_CLASSES, all 0 where there is no data).
    """
    require_match(model, scene)
    date = scene.record.date
    paths = out / f"landcover_{date}.tif", out / f"landcover_{date}_probability.tif"
    tags = {"ACQUISITION_DATE": date, "SENSOR": scene.record.sensor, "SCENE": scene.record.id, "ROUTE": model.route}
    tags |= {"LEGEND_VERSION": model.legend_version, "MODEL_DATE": model.date}
    blocks = blocks_of(scene.grid.shape_hw, WIDE_PX)
    names = [LAND_CLASSES[code] for code in sorted(LAND_CLASSES)]
    with (
        block_writer(paths[0], scene.grid, ["land_class"], "uint8", nodata=0, tags=tags, overviews=True) as classes_to,
        block_writer(paths[1], scene.grid, names, "uint8", tags=tags) as probability_to,
    ):
        results = runner.map(partial(cover_block, scene, model, only=only), blocks)
        for block, (classes, percent) in zip(blocks, results, strict=True):
            classes_to.write(block, classes)
            probability_to.write(block, percent)
    return paths
