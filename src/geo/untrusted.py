"""Files of unknown origin: what is checked before anything of them is read.

A raster can name other files (virtual rasters, ``.ovr`` and ``.aux.xml``
beside it) or be far larger than it looks. So: GDAL neither lists folders nor
reads side files (``guarded_gdal``), every raster is opened with the one driver
of its first bytes (``raster.py``), a file is taken alone into an empty folder
(``take_file``), archives are unpacked member by member against an allow-list
(``extract_archive``), and sizes are judged before pixels (``check_raster``).

Not covered: a flaw inside a decoder. A server should decode uploads in a
process of its own with limits on memory and time.
"""

import os
import re
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

import rasterio

from src.errors import InputError, MissingPathError
from src.geo.blocks import blocks_of
from src.geo.grid import Grid
from src.geo.raster import block_writer, read_grid, read_raster

# https://gdal.org/en/stable/user/security.html and https://gdal.org/en/stable/user/configoptions.html.
_RUNTIME_OPTIONS = {
    # No .ovr, .msk or world file beside a raster is looked for, and no .aux.xml (which can name an overview file).
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "GDAL_VRT_ENABLE_RAWRASTERBAND": "NO",
}
# Drivers that open further files or the network. Read once, when GDAL starts.
GDAL_ENVIRONMENT = _RUNTIME_OPTIONS | {
    "GDAL_SKIP": "VRT GTI WMS WCS HTTP STACIT STACTA PDF MBTiles KMLSUPEROVERLAY Rasterlite PCIDSK RPFTOC RS2 OGCAPI "
    "netCDF HDF5 HDF4"
}

MAX_BANDS = 64
# Samples (rows x columns x bands) of one raster; a Sentinel-2 tile with 13 bands has 1.6e9.
MAX_SAMPLES = 3_000_000_000
# Above this many samples a file must hold at least one byte per hundred of them: deflated zeros reach a thousand.
_SMALL_SAMPLES, _MAX_SAMPLES_PER_BYTE = 200_000_000, 100
_DTYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")

_ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2")
_COPY_BYTES = 1 << 20
# Suffixes that leave an archive; everything else in it stays inside.
_MEMBERS = (
    *(".tif", ".tiff", ".jp2", ".xml", ".txt", ".json"),
    *(".shp", ".shx", ".dbf", ".prj", ".cpg", ".gpkg", ".geojson"),
)


@dataclass(frozen=True)
class ArchiveLimits:
    """What an archive may hold.

    Args:
        members: entries, wanted or not.
        total_bytes: of all unpacked members.
        ratio: unpacked bytes per byte of archive, once more than ``free_bytes`` are out.
        free_bytes: unpacked bytes up to which the ratio does not matter.
    """

    members: int = 20_000
    total_bytes: int = 24 << 30
    ratio: float = 100.0
    free_bytes: int = 256 << 20


def harden_process() -> None:
    """Set GDAL's options for this whole process; call first in a command's main, before any raster is opened.

    Covers vectors too, whose library holds a GDAL of its own.
    """
    os.environ.update(GDAL_ENVIRONMENT)


@contextmanager
def guarded_gdal() -> Iterator[None]:
    """Within it and in this thread, rasters are read without the files beside them."""
    with rasterio.Env(**_RUNTIME_OPTIONS):
        yield


def check_raster(path: Path, max_samples: int = MAX_SAMPLES) -> tuple[Grid, int, str]:
    """Judge a raster by its header, and by one pixel once its size is known to be sane.

    Args:
        path: a local file; a path that GDAL would take for something else is refused.
        max_samples: rows x columns x bands at most.

    Returns:
        Grid, number of bands without alpha, numpy name of the type.

    Raises:
        InputError: no such format, too large, more like a bomb than an image, too many bands, or an unusual type.
        RasterReadError: it cannot be decoded.
    """
    check_path(path)
    with guarded_gdal():
        grid, names = read_grid(path)
        height, width = grid.shape_hw
        if len(names) > MAX_BANDS:
            raise InputError(f"{path.name}: holds {len(names)} bands, at most {MAX_BANDS} are read")
        samples, size = height * width * len(names), path.stat().st_size
        if samples > max_samples:
            raise InputError(
                f"{path.name}: {height} x {width} pixels in {len(names)} bands are {samples:.3g} numbers, "
                f"at most {max_samples:.3g} are read; cut it to the county first"
            )
        if samples > _SMALL_SAMPLES and samples > _MAX_SAMPLES_PER_BYTE * size:
            raise InputError(
                f"{path.name}: {size} bytes claim to hold {samples:.3g} numbers; "
                "that is an empty or hostile file, not an image"
            )
        dtype = read_raster(path, window=(0, 0, 1, 1)).data.dtype.name
    if dtype not in _DTYPES:
        raise InputError(f"{path.name}: holds {dtype} numbers, expected one of {', '.join(_DTYPES)}")
    return grid, len(names), dtype


def check_path(path: Path) -> None:
    """Refuse a path that is no plain file of this machine, or that GDAL would read as something else.

    Raises:
        MissingPathError: there is no such file.
        InputError: the path holds a URL, a GDAL virtual path or XML.
    """
    text = str(path)
    # A Path writes "http://" as "http:/".
    if text.startswith(("/vsi", "<")) or re.match(r"[A-Za-z]\w+:/", text):
        raise InputError(f"{text!r} is no path of a local file")
    if not path.is_file():
        raise MissingPathError(f"{path}: no such file")


def take_file(path: Path, folder: Path) -> Path:
    """Copy one raster into an empty folder under a neutral name, without the files beside it.

    ENVI pairs come as GeoTIFF, since their header is a file beside them.

    Args:
        path: the raster.
        folder: made here; must not hold anything yet.

    Returns:
        The copy; its name keeps only letters, digits, dots, hyphens and underscores of the original's.

    Raises:
        InputError: the folder holds files already, or the file is refused by ``check_raster``.
    """
    check_path(path)
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"{folder}: expected an empty folder")
    target = folder / re.sub(r"[^A-Za-z0-9._-]+", "_", path.name).lstrip(".")
    if _is_envi(path):
        return _envi_to_geotiff(path, target.with_name(f"{target.name}.tif"))
    shutil.copyfile(path, target)
    check_raster(target)
    return target


def is_archive(path: Path) -> bool:
    """Whether the name is that of an archive that ``extract_archive`` reads."""
    return path.name.lower().endswith(_ARCHIVES)


def extract_archive(
    path: Path, folder: Path, wanted: Callable[[str], bool], limits: ArchiveLimits | None = None
) -> list[Path]:
    """Unpack the wanted members of a zip or tar file.

    Args:
        path: the archive.
        folder: target; members keep their folders inside it.
        wanted: says yes to a member by its name in the archive; only suffixes of images, metadata and vectors count.
        limits: default ArchiveLimits().

    Returns:
        The files written.

    Raises:
        InputError: a damaged or encrypted archive, a link, a name that leads out of the folder, or over the limits.
    """
    check_path(path)
    limits = limits or ArchiveLimits()
    out: list[Path] = []
    budget = _Budget(path, limits)
    try:
        if path.name.lower().endswith(".zip"):
            with zipfile.ZipFile(path) as archive:
                infos = archive.infolist()
                budget.count(len(infos))
                for info in infos:
                    _check_member(path, info.filename, linked=stat.S_ISLNK(info.external_attr >> 16))
                for info in infos:
                    if not info.is_dir() and _takes(info.filename, wanted):
                        with archive.open(info) as source:
                            out.append(_write_member(source, folder / info.filename, budget))
        else:
            with tarfile.open(path, "r:*") as tar:
                for index, member in enumerate(tar, 1):
                    budget.count(index)
                    _check_member(path, member.name, linked=not (member.isreg() or member.isdir()))
                    source_file = tar.extractfile(member) if member.isreg() and _takes(member.name, wanted) else None
                    if source_file is not None:
                        out.append(_write_member(source_file, folder / member.name, budget))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{path.name}: cannot be unpacked ({error}); is it complete, without a password?") from error
    return out


@dataclass
class _Budget:
    """Bytes unpacked so far, counted as they come and not as the archive claims."""

    path: Path
    limits: ArchiveLimits
    written: int = 0

    def count(self, members: int) -> None:
        """Refuse too many members."""
        if members > self.limits.members:
            raise InputError(f"{self.path.name}: holds more than {self.limits.members} members")

    def add(self, size: int) -> None:
        """Refuse too many bytes."""
        self.written += size
        allowed = self.limits.ratio * self.path.stat().st_size
        if self.written > self.limits.total_bytes or self.written > max(allowed, self.limits.free_bytes):
            raise InputError(
                f"{self.path.name}: unpacks to more than {min(self.written, self.limits.total_bytes)} bytes, "
                f"over the limit of {self.limits.total_bytes} bytes or {self.limits.ratio:g} times its own size"
            )


def _check_member(path: Path, name: str, *, linked: bool) -> None:
    parts = PurePosixPath(name).parts
    if linked:
        raise InputError(f"{path.name}: member {name!r} is a link or device; such archives are refused")
    if name.startswith("/") or "\\" in name or ":" in name or ".." in parts or "\x00" in name:
        raise InputError(f"{path.name}: member {name!r} leads out of the archive; it is refused")


def _takes(name: str, wanted: Callable[[str], bool]) -> bool:
    return name.lower().endswith(_MEMBERS) and wanted(name)


def _write_member(source: IO[bytes], target: Path, budget: _Budget) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        while chunk := source.read(_COPY_BYTES):
            budget.add(len(chunk))
            sink.write(chunk)
    return target


def _is_envi(path: Path) -> bool:
    """Whether a file without magic bytes of its own has an ENVI header beside it."""
    return envi_header(path) is not None and not path.suffix.lower().startswith((".tif", ".jp2"))


def envi_header(path: Path) -> Path | None:
    """The .hdr file beside a raster, whatever its case."""
    names = {f"{path.name}.hdr".lower(), f"{path.stem}.hdr".lower()}
    return next((other for other in sorted(path.parent.iterdir()) if other.name.lower() in names), None)


def _envi_to_geotiff(path: Path, target: Path) -> Path:
    """Rewrite an ENVI pair as GeoTIFF; its folder is listed for the header, side files stay unread."""
    header = envi_header(path)
    assert header is not None
    pair = target.parent / "envi"
    pair.mkdir()
    source = pair / "image"
    shutil.copyfile(path, source)
    shutil.copyfile(header, pair / "image.hdr")
    with rasterio.Env(**(_RUNTIME_OPTIONS | {"GDAL_DISABLE_READDIR_ON_OPEN": "FALSE"})):
        grid, names = read_grid(source)
        if grid.shape_hw[0] * grid.shape_hw[1] * len(names) > MAX_SAMPLES or len(names) > MAX_BANDS:
            raise InputError(f"{path.name}: {grid.shape_hw} pixels in {len(names)} bands are too many")
        first = read_raster(source, window=(0, 0, 1, 1))
        with block_writer(target, grid, names, first.data.dtype.name, nodata=first.nodata) as sink:
            for block in blocks_of(grid.shape_hw):
                sink.write(block, read_raster(source, window=block.window).data)
    shutil.rmtree(pair)
    return target
