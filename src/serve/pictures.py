"""Background pictures of the map: scenes and land cover of an answer on one grid, drawn once per workspace.

Both dates share one stretch and one grid, thinned to at most MAX_SIDE_PX a side.
A picture is for looking: nothing is ever measured on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from src.errors import InputError
from src.geo.evidence import digest
from src.geo.grid import Grid
from src.geo.maps.pictures import common_stretch, cover_picture, scene_picture, thinned_grid
from src.geo.raster import atomic_path, read_grid, read_onto, read_raster
from src.geo.scene import Scene
from src.geo.workspace import Workspace

MAX_SIDE_PX = 1500


@dataclass(frozen=True)
class Pictures:
    """Pictures on one grid.

    Args:
        grid: of all pictures.
        scenes: the scenes shown, by date; one or two.
        files: "before", "after" (of a single scene only "after"), "cover_before", "cover_after".
    """

    grid: Grid
    scenes: tuple[Scene, ...]
    files: dict[str, Path]


def draw_pictures(workspace: Workspace, scene_ids: Sequence[str]) -> Pictures | None:
    """Pictures of the first and the last of some scenes; those drawn before are taken from the workspace's cache.

    Args:
        workspace: holds the scenes.
        scene_ids: of the scenes that an answer rests on.

    Returns:
        None where no such scene is there, or its pixels lie nowhere on the Earth.
    """
    scenes = [scene for scene in workspace.scenes() if scene.record.id in set(scene_ids)]
    if not scenes or scenes[0].grid.crs is None:
        return None
    pair = (scenes[0], scenes[-1]) if len(scenes) > 1 else (scenes[0],)
    grid = thinned_grid(pair[0].grid, MAX_SIDE_PX)
    roles = ("before", "after")[-len(pair) :]
    key = digest([[scene.record.content or scene.record.id for scene in pair], list(grid.shape_hw)])
    folder = workspace.cache / "pictures" / key[:16]
    folder.mkdir(parents=True, exist_ok=True)
    files = {role: folder / f"{role}.jpg" for role in roles}
    if not all(path.exists() for path in files.values()):
        for role, colours in zip(roles, _scene_colours(pair, grid), strict=True):
            _save(files[role], colours, quality=86)
    for role, scene in zip(roles, pair, strict=True):
        cover = _latest_cover(workspace, scene.record.date)
        if cover is not None:
            files[f"cover_{role}"] = _cover_file(cover, grid, folder / f"cover_{role}_{digest(str(cover))[:8]}.png")
    return Pictures(grid, pair, files)


def _scene_colours(pair: Sequence[Scene], grid: Grid) -> list[NDArray[np.uint8]]:
    try:
        shared = common_stretch(pair)
        return [scene_picture(scene, grid, shared) for scene in pair]
    except InputError:
        # Reflectance beside digital numbers, or no band in common: each in its own colours.
        return [scene_picture(scene, grid, common_stretch([scene])) for scene in pair]


def _latest_cover(workspace: Workspace, day: str) -> Path | None:
    found = workspace.outputs.glob(f"cover_{day}_*/landcover_{day}.tif")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def _cover_file(cover: Path, grid: Grid, out: Path) -> Path:
    if out.exists() and out.stat().st_mtime >= cover.stat().st_mtime:
        return out
    side = max(grid.shape_hw)
    if grid.same_as(thinned_grid(read_grid(cover)[0], side)):
        # Takes the overviews, which the warper does not.
        codes = read_raster(cover, max_side=side).data[0]
    else:
        data, reached = read_onto(cover, grid)
        codes = np.where(reached, data[0], 0)
    _save(out, cover_picture(codes.astype(np.uint8)), optimize=True)
    return out


def _save(path: Path, picture: NDArray[np.uint8], **options: Any) -> None:
    with atomic_path(path) as partial:
        Image.fromarray(picture).save(partial, **options)
