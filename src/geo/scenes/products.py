"""Recognise what lies on disk as one scene: a folder, an archive, or a stack.

Landsat 5/7/8/9 (Collection 2, Collection 1 and before, folders and tar
files), Sentinel-2 (SAFE of all layouts, zipped or not, and loose bands), HLS
v2.0 folders, and stacked GeoTIFFs with a band map from their names, their
sensor or the user. What cannot be known is asked for by naming the flag.

Not read: HDF, netCDF, and mosaics of several granules.
"""

from dataclasses import replace
from pathlib import Path

from src.errors import InputError, MissingPathError
from src.geo.scenes import landsat as products_landsat
from src.geo.scenes import sentinel2 as products_sentinel2
from src.geo.scenes import stack as products_stack
from src.geo.scenes.product import BandFile, Given, Product, QualityFile, SaturationFile
from src.geo.sensors import band_from_name
from src.geo.untrusted import envi_header, extract_archive, is_archive, take_file

__all__ = ["BandFile", "Given", "Product", "QualityFile", "SaturationFile", "find_product", "is_scene_folder"]

_METADATA_NAMES = ("_mtl.txt", "_mtl.json", "_mtl.xml")


def find_product(path: Path, given: Given, scratch: Path) -> Product:
    """The scene in a folder, an archive or a file.

    Args:
        path: folder, zip or tar file, metadata file (then its folder counts), or stack.
        given: what the user says beside it.
        scratch: empty folder for what must be unpacked or rewritten; keep it until the scene is ingested.

    Raises:
        MissingPathError: there is nothing there.
        InputError: no scene, several scenes, or something that must be asked for.
    """
    if not path.exists():
        raise MissingPathError(f"{path}: no such file or folder")
    product = _find(path, given, scratch)
    if given.mask is None:
        return product
    quality = products_stack.mask_file(given.mask, given)
    return replace(product, quality=quality, originals=(*product.originals, given.mask))


def is_scene_folder(folder: Path) -> bool:
    """Whether a folder holds bands of a product with a layout of its own."""
    return (
        products_landsat.is_landsat(folder) or products_stack.is_hls(folder) or products_sentinel2.is_sentinel2(folder)
    )


def _find(path: Path, given: Given, scratch: Path) -> Product:
    if path.is_dir():
        return _from_folder(path, given)
    if is_archive(path):
        return _from_archive(path, given, scratch)
    name = path.name.lower()
    if name.endswith(_METADATA_NAMES) or (name.startswith("mtd_msil") and name.endswith(".xml")):
        return _from_folder(path.parent, given)
    header = envi_header(path)
    if header is not None and not name.endswith((".tif", ".tiff", ".jp2")):
        product = products_stack.read_stack(take_file(path, scratch / "envi"), given)
        return replace(product, name=path.name, originals=(path, header))
    if given.bands is None and is_scene_folder(path.parent) and band_from_name(path.name):
        raise InputError(f"{path.name}: is one band of a scene; add its folder {path.parent}")
    return products_stack.read_stack(path, given)


def _from_folder(folder: Path, given: Given, originals: tuple[Path, ...] = ()) -> Product:
    if products_landsat.is_landsat(folder):
        return products_landsat.read_landsat(folder, given, originals)
    if products_stack.is_hls(folder):
        return products_stack.read_hls(folder, given, originals)
    if products_sentinel2.is_sentinel2(folder):
        return products_sentinel2.read_sentinel2(folder, given, originals)
    inside = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and is_scene_folder(path)]
    hint = f"; add one of its folders: {', '.join(inside)}" if inside else "; add a stack by its file name"
    raise InputError(f"{folder}: holds no bands of a Landsat, Sentinel-2 or HLS scene{hint}")


def _from_archive(path: Path, given: Given, scratch: Path) -> Product:
    target = scratch / "archive"
    target.mkdir(parents=True)
    files = extract_archive(path, target, _is_member)
    folders = [target, *sorted(folder for folder in target.rglob("*") if folder.is_dir())]
    scenes = [folder for folder in folders if is_scene_folder(folder)]
    if scenes:
        return _from_folder(scenes[0], given, originals=(path,))
    stacks = [file for file in files if file.suffix.lower() in (".tif", ".tiff")]
    if len(stacks) != 1:
        raise InputError(f"{path.name}: holds {len(stacks)} images and no known product; unpack it and add one scene")
    return replace(products_stack.read_stack(stacks[0], given), originals=(path,))


def _is_member(name: str) -> bool:
    """Whether an archive member is needed: bands in use, quality layers, metadata, or a stack."""
    if products_landsat.is_member(name) or products_sentinel2.is_member(name) or products_stack.is_member(name):
        return True
    plain = name.rsplit("/", 1)[-1]
    return plain.lower().endswith((".tif", ".tiff")) and band_from_name(plain) is None
