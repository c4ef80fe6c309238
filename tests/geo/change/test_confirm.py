import json
from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from scipy import ndimage

from src.geo.blocks import ThreadRunner
from src.geo.change.confirm import patch_confirmations
from src.geo.grid import Grid, Raster
from src.geo.patches.find import Patches, label_patches
from src.geo.raster import write_raster
from src.geo.scene import CLEAR, CLOUD, CORE_ROLES, REFLECTANCE_NODATA, Scene, SceneRecord, open_scene

SIDE = 96
GRID = Grid(pyproj.CRS.from_epsg(32648), Affine(10, 0, 500000, 0, -10, 3330000), (SIDE, SIDE))
EVERYWHERE = np.ones(GRID.shape_hw, bool)
ONE = ThreadRunner(1)
# Patches of 6 x 6 pixels in reading order: their first row and column.
PLACES = ((8, 8), (8, 70), (60, 12), (60, 66))
NEW, OTHER = (0.1, 0.05, 0.4), (-0.03, 0.3, -0.05)


def ground() -> np.ndarray:
    """(6, SIDE, SIDE) reflectance of square fields."""
    fields = np.random.default_rng(3).uniform(0.1, 0.4, (6, SIDE // 8, SIDE // 8))
    return ndimage.gaussian_filter(np.kron(fields, np.ones((1, 8, 8))), (0, 0.8, 0.8))


def scene(folder: Path, day: str, shows: str = "", clouds=(), quantity: str = "reflectance") -> Scene:
    """A scene of the ground on a day.

    Args:
        folder: to write.
        day: ISO date, also the seed of its noise.
        shows: per patch, "." as ever, "n" changed, "o" changed to something else.
        clouds: first row and column of patches under cloud.
    """
    values = ground() + 0.003 * np.random.default_rng(int(day.replace("-", ""))).standard_normal((6, SIDE, SIDE))
    for (row, col), letter in zip(PLACES, shows or "....", strict=True):
        shift = {".": (0, 0, 0), "n": NEW, "o": OTHER}[letter]
        values[:, row : row + 6, col : col + 6] += np.tile(shift, 2)[:, None, None]
    mask = np.full(GRID.shape_hw, CLEAR, np.uint8)
    for row, col in clouds:
        mask[row - 2 : row + 8, col - 2 : col + 8] = CLOUD
    stored = np.rint(values * 1e4).astype(np.int16)
    write_raster(folder / "bands.tif", Raster(stored, EVERYWHERE, GRID, CORE_ROLES), nodata=REFLECTANCE_NODATA)
    write_raster(folder / "mask.tif", Raster(mask[None], EVERYWHERE, GRID, ("mask",)))
    record = SceneRecord(folder.name, day, "sentinel2_l2a", "L2A", quantity, 10.0, 1.0)
    (folder / "scene.json").write_text(json.dumps(record.to_json()), encoding="utf-8")
    return open_scene(folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Patches, Scene, Scene, Path]:
    """The patches of a change between two scenes, which are known without looking, the scenes and their folder."""
    folder = tmp_path_factory.mktemp("confirm")
    change = np.ones(GRID.shape_hw, np.uint8)
    for row, col in PLACES:
        change[row : row + 6, col : col + 6] = 2
    write_raster(folder / "change.tif", Raster(change[None], EVERYWHERE, GRID, ("change",)), nodata=0)
    patches = label_patches(folder / "change.tif", folder / "patches.tif", ONE)
    assert patches.table[["first_row", "first_col"]].to_numpy().tolist() == [list(place) for place in PLACES]
    return patches, scene(folder / "t1", "2023-09-20"), scene(folder / "t2", "2023-10-05", "nnnn"), folder


def confirmed(made, *later: Scene, runner=ONE) -> list[int] | None:
    patches, before, after, folder = made
    return patch_confirmations(patches, before, after, later, folder / "cache", runner)


def test_patches_that_stay_go_back_go_on_or_are_hidden(made):
    third = scene(made[3] / "t3", "2023-10-15", "n.on", clouds=[PLACES[3]])
    assert confirmed(made, third) == [1, -1, 0, 0]
    assert confirmed(made, third, runner=ThreadRunner(2)) == [1, -1, 0, 0]


def test_every_later_date_counts_and_one_that_shows_the_old_ground_refutes(made):
    """The second patch returns for a while; the third is seen again once the cloud is gone."""
    third = scene(made[3] / "t3b", "2023-10-15", "n.nn", clouds=[PLACES[2]])
    fourth = scene(made[3] / "t4b", "2023-10-20", "nnno")
    assert confirmed(made, third, fourth) == [2, -1, 1, 1]
    assert confirmed(made, fourth) == [1, 1, 1, 0]


def test_most_of_the_seen_pixels_decide(made):
    """Five of its six columns lie under a cloud; the rest still shows the change."""
    row, col = PLACES[0]
    third = scene(made[3] / "t3c", "2023-10-15", "nnnn", clouds=[(row, col - 3)])
    assert not third.clear()[row, col : col + 5].any() and third.clear()[row, col + 5]
    assert confirmed(made, third) == [1, 1, 1, 1]


def test_a_later_date_that_cannot_be_compared_is_left_out(made):
    third = scene(made[3] / "t3d", "2023-10-15", "nn.n")
    raw = scene(made[3] / "raw", "2023-10-16", "....", quantity="dn")
    cloudy = scene(made[3] / "cloudy", "2023-10-17", "....")
    mask = Raster(np.full((1, SIDE, SIDE), CLOUD, np.uint8), EVERYWHERE, GRID, ("mask",))
    write_raster(cloudy.folder / "mask.tif", mask)
    assert confirmed(made, third, raw, cloudy) == [1, 1, -1, 1]
    assert confirmed(made, raw, cloudy) is None
    assert confirmed(made) is None
