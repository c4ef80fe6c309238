"""HLS folders, and stacks: one file that holds all bands of a scene.

A stack seldom says what its numbers mean. What its sensor, type, tags and
name leave open is asked for; nothing is taken for granted from the values.
"""

import re
from collections.abc import Iterable
from pathlib import Path

from src.errors import InputError
from src.geo.raster import Raster, read_raster
from src.geo.scene import CORE_ROLES
from src.geo.scenes.grid_check import check_grid
from src.geo.scenes.product import MIN_ROLES, BandFile, Given, Product, QualityFile, agreed, in_order, note
from src.geo.scenes.quality import PRODUCT_KINDS
from src.geo.scenes.sentinel2 import band_offset
from src.geo.sensors import SENSORS, Sensor, band_from_name, date_from_name, positional_names
from src.geo.sensors.base import ROLES
from src.geo.sensors.landsat import LANDSAT5, LANDSAT7
from src.geo.untrusted import check_raster, guarded_gdal

_HLS_FILE = re.compile(r"(?P<id>HLS\.(?P<kind>[LS]30)\.T\w{5}\.\d{7}T\d{6}\.v\d+\.\d+)\.(?P<layer>B\w\w|Fmask)\.tif")
_VISIBLE = {"red", "green", "blue"}
_ASK_SCALE = (
    "give --scale and --offset (reflectance = number * scale + offset; --scale 1 if the numbers are reflectance), "
    "or --level DN if they are uncalibrated"
)


def is_member(name: str) -> bool:
    """Whether an archive member is an HLS band or quality layer."""
    return _HLS_FILE.fullmatch(name.rsplit("/", 1)[-1]) is not None


def is_hls(folder: Path) -> bool:
    """Whether a folder holds HLS band files."""
    return any(_HLS_FILE.fullmatch(path.name) for path in folder.iterdir())


def read_hls(folder: Path, given: Given, originals: Iterable[Path] = ()) -> Product:
    """The HLS v2.0 scene (L30 or S30) in a folder of band files.

    Raises:
        InputError: several scenes, or what the user says differs from the names.
    """
    scenes: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        found = _HLS_FILE.fullmatch(path.name)
        if found:
            scenes.setdefault(found["id"], {})[found["layer"]] = path
    if len(scenes) != 1:
        raise InputError(
            f"{folder}: holds bands of {len(scenes)} scenes ({', '.join(scenes)}); add one folder per scene"
        )
    name, layers = next(iter(scenes.items()))
    sensor = SENSORS[agreed(name, "sensor", f"hls_{name[4:7].lower()}", given.sensor)]
    bands = [BandFile(b.role, layers[b.name], 0, sensor.scale, sensor.offset) for b in sensor.bands if b.name in layers]
    fmask = layers.get("Fmask")
    used = in_order(bands)
    return Product(
        name=name,
        sensor=sensor.name,
        level=name[4:7],
        quantity="reflectance",
        date=agreed(name, "date", date_from_name(name), given.date),
        bands=used,
        originals=tuple(originals) or (*(band.path for band in used), *([fmask] if fmask else [])),
        quality=QualityFile("Fmask", fmask) if fmask else None,
        fill=sensor.nodata,
    )


def read_stack(path: Path, given: Given) -> Product:
    """The scene in one file of several bands.

    Args:
        path: GeoTIFF or JPEG 2000.
        given: what the user says.

    Raises:
        InputError: a picture, too few bands, or something that must be asked for (the message names the flag).
    """
    grid, count, _ = check_raster(path)
    check_grid(grid, path.name)
    if count < MIN_ROLES:
        raise InputError(
            f"{path.name}: holds {count} band{'s' if count > 1 else ''}, a scene needs at least {MIN_ROLES}; add the "
            "folder with all bands of the scene, or say --as labels (with --crosswalk) if these are classes"
        )
    with guarded_gdal():
        header = read_raster(path, window=(0, 0, 1, 1))
    _refuse_picture(path, header, given)
    sensor = _sensor(path, header, given)
    roles = _roles(path, header, sensor, given)
    used = [(role, index) for index, role in enumerate(roles) if role in CORE_ROLES]
    level, quantity, scale, offset, notes = _calibration(path, header, sensor, given)
    if given.bands is None:
        places = ", ".join(f"{role} {index + 1}" for role, index in used)
        notes = (*notes, note("bands", places=places))
    calibrated = given.scale is None and quantity != "dn" and sensor.name != "generic"
    declared = sensor.nodata if calibrated else None
    return Product(
        name=path.name,
        sensor=sensor.name,
        level=level,
        quantity=quantity,
        date=agreed(path.name, "date", header.date, given.date),
        bands=in_order([BandFile(role, path, index, scale, offset) for role, index in used]),
        originals=(path,),
        baseline=(given.baseline or header.baseline) if sensor.name.startswith("sentinel2") else None,
        fill=given.nodata if given.nodata is not None else declared,
        zero_is_empty=True,
        saturated={"uint8": 255, "uint16": 65535}.get(header.data.dtype.name),
        notes=notes,
    )


def mask_file(path: Path, given: Given) -> QualityFile:
    """The user's own quality layer; its kind comes from its name or band name, or is asked for.

    Raises:
        InputError: the kind is unknown, or the file is no raster of whole numbers.
    """
    _, _, dtype = check_raster(path)
    with guarded_gdal():
        names = read_raster(path, window=(0, 0, 1, 1)).band_names
    kind = given.mask_kind or next((k for k in (*names, band_from_name(path.name)) if k in PRODUCT_KINDS), None)
    if kind is None:
        raise InputError(
            f"{path.name}: neither its name nor its band tell what its values mean; give --mask-kind: "
            "QA_PIXEL, BQA, SCL, Fmask, clear (0 hidden, else clear) or hidden (0 clear, else hidden)"
        )
    if dtype.startswith("float"):
        raise InputError(f"{path.name}: a mask holds whole numbers, this one {dtype}")
    return QualityFile(kind, path)


def _sensor(path: Path, header: Raster, given: Given) -> Sensor:
    key = given.sensor or header.sensor or ("generic" if given.bands else None)
    if key is None:
        raise InputError(
            f"{path.name}: neither its name, tags nor bands tell the sensor; give --sensor ({', '.join(SENSORS)}), "
            f"or the role of each band with --bands, such as --bands {','.join(CORE_ROLES)}"
        )
    return SENSORS[key]


def _roles(path: Path, header: Raster, sensor: Sensor, given: Given) -> list[str | None]:
    """Role of each band of the file, None for bands that are not used."""
    count = len(header.band_names)
    names = header.band_names
    if given.bands is not None:
        if len(given.bands) != count:
            raise InputError(f"{path.name}: has {count} bands, --bands names {len(given.bands)} ('-' leaves one out)")
        unknown = [name for name in given.bands if name != "-" and name not in ROLES]
        repeated = {name for name in given.bands if name != "-" and given.bands.count(name) > 1}
        if unknown or repeated:
            raise InputError(
                f"--bands: {', '.join([*unknown, *sorted(repeated)])} unknown or repeated; "
                f"roles are {', '.join(ROLES)}, and '-' leaves a band out"
            )
        return [None if name == "-" else name for name in given.bands]
    if names == positional_names(count) and count > 1:
        # A file that names its bands B1, B2, ... looks the same as one that names none.
        stack = sensor.stacks.get(count)
        if stack is None:
            raise InputError(
                f"{path.name}: its {count} bands have no names and are no usual stack of {sensor.name}; "
                f"give --bands, such as --bands {','.join(CORE_ROLES)} ('-' leaves a band out)"
            )
        names = stack
    bands = [sensor.find_band(name) for name in names]
    return [band.role if band else None for band in bands]


def _refuse_picture(path: Path, header: Raster, given: Given) -> None:
    """Three 8-bit bands are a picture, unless one of them is said to be something else than a visible colour."""
    names = set(given.bands or header.band_names)
    coloured = names <= _VISIBLE | {"-"} or names == set(positional_names(3))
    if header.data.dtype == "uint8" and len(header.band_names) == 3 and coloured:
        raise InputError(
            f"{path.name}: an 8-bit colour picture (screenshot, preview) holds no measurement; "
            "add the product's own bands with near infrared"
        )


def _calibration(
    path: Path, header: Raster, sensor: Sensor, given: Given
) -> tuple[str, str, float, float, tuple[str, ...]]:
    """Level, quantity, scale, offset, notes; asks where the file does not say."""
    dtype = header.data.dtype.name
    if given.scale is not None:
        offset = given.offset or 0.0
        if given.level == "DN":
            raise InputError("--level DN and --scale exclude each other")
        told = _sentinel2_level(path, header, sensor, given) if sensor.name.startswith("sentinel2") else None
        level = agreed(path.name, "level", told, given.level) if told else given.level or "unknown"
        quantity = "toa" if level.startswith("L1") else "reflectance"
        return level, quantity, given.scale, offset, (note("scale", scale=given.scale, offset=offset),)
    if given.level == "DN":
        return "DN", "dn", 1.0, 0.0, (note("user_dn"),)
    if sensor.name.startswith("sentinel2") and dtype == sensor.dtype:
        level = agreed(path.name, "level", _sentinel2_level(path, header, sensor, given), given.level)
        baseline = given.baseline or header.baseline
        if baseline is None:
            raise InputError(
                f"{path.name}: the processing baseline is unknown, and from 04.00 on every number is 1000 higher; "
                "give --baseline (such as 05.09 or 02.04), or --scale and --offset"
            )
        return level, "toa" if level == "L1C" else "reflectance", 1e-4, -band_offset(baseline) * 1e-4, ()
    if sensor.name in (LANDSAT5.name, LANDSAT7.name) and dtype == "uint8":
        # Eight bits are Level-1 numbers: Level-2 of Collection 2 has sixteen. Their gains are in no stack.
        return "L1", "dn", 1.0, 0.0, (note("eight_bits"),)
    if sensor.name.startswith("landsat") and dtype == sensor.dtype:
        named = re.search(r"_(L[12][A-Z]{2})_", path.name)
        level = agreed(path.name, "level", named.group(1) if named else None, given.level)
        if level.startswith("L2"):
            return level, "reflectance", sensor.scale, sensor.offset, ()
        raise InputError(
            f"{path.name}: Level-1 numbers need the gains of their MTL file; add the folder, or {_ASK_SCALE}"
        )
    if sensor.name.startswith("hls") and dtype == sensor.dtype:
        return sensor.name[4:].upper(), "reflectance", sensor.scale, sensor.offset, ()
    raise InputError(f"{path.name}: what its {dtype} numbers mean is not known; {_ASK_SCALE}")


def _sentinel2_level(path: Path, header: Raster, sensor: Sensor, given: Given) -> str | None:
    """The level where the name, a tag of ours or the user's --sensor tells it; "Sentinel-2" alone does not."""
    told = re.search(r"(?:L|S2[A-D]?_?|S2A)(1C|2A)(?![A-Z0-9])", path.name, re.IGNORECASE)
    if told or given.sensor or header.baseline:
        return f"L{sensor.name[-2:].upper()}"
    return None
