"""Landsat 5, 7, 8, 9 as folders of one file per band, of Collection 2, Collection 1 and before.

Level-2 numbers become surface reflectance. Level-1 numbers become
top-of-atmosphere reflectance where the MTL file holds reflectance gains and
the sun elevation; else they stay digital numbers. Thermal, cirrus and
panchromatic bands are not used.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

from src.errors import InputError
from src.geo.scene import CORE_ROLES
from src.geo.scenes.product import BandFile, Given, Product, QualityFile, SaturationFile, agreed, in_order, note
from src.geo.sensors import SENSORS, Sensor, date_from_name
from src.geo.sensors.landsat import toa_gains

_BAND_FILE = re.compile(
    r"(?P<id>L[COTE]\d{2}_.+?|L[COTE]\d{14}[A-Z]{3}\d\d)"
    r"_(?P<layer>SR_B\d|ST_B\d+|B\d{1,2}(?:_VCID_\d)?|QA_PIXEL|QA_RADSAT|SR_QA_AEROSOL|BQA)\.TIFF?",
    re.IGNORECASE,
)
_METADATA_SUFFIXES = ("_MTL.txt", "_MTL.json", "_MTL.xml")
_NAME = re.compile(r"L(?P<family>[COTE])(?P<number>\d\d?)_?(?P<level>L\d[A-Z]{2})?")
_LEVEL1_GAINS = ("LEVEL1_RADIOMETRIC_RESCALING", "RADIOMETRIC_RESCALING")
_LEVEL2_GAINS = "LEVEL2_SURFACE_REFLECTANCE_PARAMETERS"

Metadata = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class _Files:
    """Files of one scene by layer ("SR_B4", "B4", "QA_PIXEL"), and its MTL file."""

    id: str
    layers: dict[str, Path]
    metadata: Path | None


def is_member(name: str) -> bool:
    """Whether an archive member belongs to the bands, quality layers or metadata that are used."""
    plain = name.rsplit("/", 1)[-1]
    found = _BAND_FILE.fullmatch(plain)
    used = (
        found is not None and re.fullmatch(r"(SR_)?B[1-7]|QA_PIXEL|QA_RADSAT|BQA", found["layer"].upper()) is not None
    )
    return used or plain.upper().endswith(tuple(suffix.upper() for suffix in _METADATA_SUFFIXES))


def is_landsat(folder: Path) -> bool:
    """Whether a folder holds Landsat band files."""
    return any(_BAND_FILE.fullmatch(path.name) for path in folder.iterdir())


def read_landsat(folder: Path, given: Given, originals: Iterable[Path] = ()) -> Product:
    """The scene in a folder of band files.

    Args:
        folder: bands, quality layers and the MTL file (txt, json or xml), all of one scene.
        given: what the user says.
        originals: files that stand for the content, where the folder was unpacked from an archive.

    Raises:
        InputError: several scenes, an unknown spacecraft, or something that must be asked for.
    """
    files = _collect(folder)
    metadata = read_mtl(files.metadata) if files.metadata else {}
    sensor = SENSORS[agreed(files.id, "sensor", _sensor_name(files.id, metadata), given.sensor)]
    level = agreed(files.id, "level", _level(files, metadata), None if given.level == "DN" else given.level)
    date = agreed(files.id, "date", _value(metadata, "DATE_ACQUIRED") or date_from_name(files.id), given.date)
    bands, quantity, notes = _bands(files, sensor, level, metadata, given)
    product = Product(
        name=files.id,
        sensor=sensor.name,
        level=level,
        quantity=quantity,
        date=date,
        bands=bands,
        originals=tuple(originals) or _used_files(files, bands),
        cloud_percent=_cloud_percent(metadata),
        quality=_quality(files),
        fill=0,
        saturated=255 if level.startswith("L1") and sensor.name in ("landsat5", "landsat7") else 65535,
        notes=notes,
    )
    radsat = files.layers.get("QA_RADSAT")
    if radsat is None:
        return product
    # QA_RADSAT: band n is bit n - 1 (LSDS-1618, LSDS-1619).
    numbers = [int(re.sub(r"\D", "", _layer_name(band.path))) for band in bands]
    return replace(product, saturation=SaturationFile(radsat, sum(1 << (number - 1) for number in numbers)))


def read_mtl(path: Path) -> dict[str, dict[str, str]]:
    """Groups of an MTL file, each with its keys; NULL values are left out.

    Args:
        path: the txt, json or xml form; padding with NUL bytes is ignored.

    Raises:
        InputError: it cannot be parsed.
    """
    text = path.read_bytes().replace(b"\x00", b"").decode("utf-8", errors="replace")
    try:
        if path.suffix.lower() == ".json":
            groups = next(iter(json.loads(text).values()))
            return {name: _values(group.items()) for name, group in groups.items() if isinstance(group, dict)}
        if path.suffix.lower() == ".xml":
            if "<!DOCTYPE" in text:
                raise InputError(f"{path.name}: an MTL file has no document type")
            root = ElementTree.fromstring(text)
            return {group.tag: _values((leaf.tag, leaf.text or "") for leaf in group) for group in root}
    except (ValueError, StopIteration, AttributeError, ElementTree.ParseError) as error:
        raise InputError(f"{path.name}: cannot be read as an MTL file ({error})") from error
    return _parse_odl(text)


def _parse_odl(text: str) -> dict[str, dict[str, str]]:
    groups: dict[str, dict[str, str]] = {}
    stack: list[str] = []
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if key == "GROUP":
            stack.append(value)
        elif key == "END_GROUP" and stack:
            stack.pop()
        elif value and stack:
            groups.setdefault(stack[-1], {}).update(_values([(key, value)]))
    return groups


def _values(pairs: Iterable[tuple[str, object]]) -> dict[str, str]:
    texts = ((key, str(value).strip().strip('"')) for key, value in pairs)
    return {key: text for key, text in texts if text and text.upper() != "NULL"}


def _value(metadata: Metadata, key: str, groups: Iterable[str] | None = None) -> str | None:
    """A key from the named groups, else from any."""
    chosen = metadata if groups is None else [name for name in groups if name in metadata]
    return next((metadata[name][key] for name in chosen if key in metadata[name]), None)


def _number(metadata: Metadata, key: str, groups: Iterable[str] | None = None) -> float | None:
    text = _value(metadata, key, groups)
    try:
        return None if text is None else float(text)
    except ValueError as error:
        raise InputError(f"MTL file: {key} = {text!r} is no number") from error


def _collect(folder: Path) -> _Files:
    scenes: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()):
        found = _BAND_FILE.fullmatch(path.name)
        if found:
            scenes.setdefault(found["id"].upper(), {})[found["layer"].upper()] = path
    if len(scenes) != 1:
        raise InputError(
            f"{folder}: holds bands of {len(scenes)} scenes ({', '.join(scenes)}); add one folder per scene"
        )
    name, layers = next(iter(scenes.items()))
    metadata = [path for suffix in _METADATA_SUFFIXES for path in sorted(folder.glob(f"*{suffix}"))]
    own = [path for path in metadata if path.name.upper().startswith(name)]
    return _Files(name, layers, own[0] if own else None)


def _layer_name(path: Path) -> str:
    found = _BAND_FILE.fullmatch(path.name)
    assert found is not None
    return found["layer"]


def _sensor_name(name: str, metadata: Metadata) -> str:
    spacecraft = _value(metadata, "SPACECRAFT_ID")
    found = _NAME.match(name)
    number = spacecraft[-1] if spacecraft else str(int(found["number"][:2])) if found and "_" in name else name[2]
    key = f"landsat{number}"
    if key not in SENSORS or (found and found["family"] == "C" and number in "57"):
        raise InputError(f"{name}: {spacecraft or key} is not among {', '.join(s for s in SENSORS if 'landsat' in s)}")
    return key


def _level(files: _Files, metadata: Metadata) -> str | None:
    found = _NAME.match(files.id)
    by_name = found["level"] if found else None
    # PROCESSING_LEVEL appears once per level in Collection 2 Level-2 files; the product's own comes first.
    return _value(metadata, "PROCESSING_LEVEL") or _value(metadata, "DATA_TYPE") or by_name


def _bands(
    files: _Files, sensor: Sensor, level: str, metadata: Metadata, given: Given
) -> tuple[tuple[BandFile, ...], str, tuple[str, ...]]:
    """Bands with their gains, the quantity, and notes."""
    if level.startswith("L2"):
        found = [
            _level2_band(files, name.name, name.role, metadata) for name in sensor.bands if name.role in CORE_ROLES
        ]
        return in_order([band for band in found if band]), "reflectance", ()
    plain = {band.name.removeprefix("SR_"): band.role for band in sensor.bands if band.role in CORE_ROLES}
    raw = {name: BandFile(role, files.layers[name]) for name, role in plain.items() if name in files.layers}
    if given.scale is not None:
        scale, offset = given.scale, given.offset or 0.0
        bands = [replace(band, scale=scale, offset=offset) for band in raw.values()]
        return in_order(bands), "toa", (note("scale", scale=scale, offset=offset),)
    elevation = _number(metadata, "SUN_ELEVATION")
    calibrated = []
    for name, band in raw.items():
        mult = _number(metadata, f"REFLECTANCE_MULT_BAND_{name[1:]}", _LEVEL1_GAINS)
        add = _number(metadata, f"REFLECTANCE_ADD_BAND_{name[1:]}", _LEVEL1_GAINS)
        if mult is None or add is None or elevation is None:
            return in_order(list(raw.values())), "dn", (note("no_gains" if metadata else "no_mtl"),)
        scale, offset = toa_gains(mult, add, elevation)
        calibrated.append(replace(band, scale=scale, offset=offset))
    return in_order(calibrated), "toa", ()


def _level2_band(files: _Files, name: str, role: str, metadata: Metadata) -> BandFile | None:
    path = files.layers.get(name)
    if path is None:
        return None
    number = name.removeprefix("SR_B")
    mult = _number(metadata, f"REFLECTANCE_MULT_BAND_{number}", [_LEVEL2_GAINS])
    add = _number(metadata, f"REFLECTANCE_ADD_BAND_{number}", [_LEVEL2_GAINS])
    sensor = SENSORS["landsat8"]
    # Some MTL files say NULL; all Collection 2 Level-2 products share the documented scale.
    return BandFile(role, path, 0, sensor.scale if mult is None else mult, sensor.offset if add is None else add)


def _quality(files: _Files) -> QualityFile | None:
    if "QA_PIXEL" in files.layers:
        return QualityFile("QA_PIXEL", files.layers["QA_PIXEL"])
    if "BQA" not in files.layers:
        return None
    # Names with a level, such as LC08_L1TP_, came with Collection 1; files before it have other bits.
    if re.match(r"L[COTE]\d\d_L1[A-Z]{2}_", files.id) is None:
        raise InputError(f"{files.id}: its BQA file is older than Collection 1 and its bits differ; remove it to go on")
    return QualityFile("BQA", files.layers["BQA"])


def _cloud_percent(metadata: Metadata) -> float | None:
    percent = _number(metadata, "CLOUD_COVER")
    return None if percent is None or percent < 0 else percent


def _used_files(files: _Files, bands: Iterable[BandFile]) -> tuple[Path, ...]:
    others = [files.layers.get(name) for name in ("QA_PIXEL", "QA_RADSAT", "BQA")]
    return (*(band.path for band in bands), *(path for path in (*others, files.metadata) if path))
