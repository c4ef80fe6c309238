"""Sentinel-2 Level-1C and Level-2A: SAFE folders of all layouts, and loose band files of one granule.

The offset of the digital numbers comes from the metadata, else from the
processing baseline (04.00 and later have it), never from the date. A SAFE of
2015-2016 may hold several granules: add one granule folder at a time.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from src.errors import InputError
from src.geo.scene import CORE_ROLES
from src.geo.scenes.product import BandFile, Given, Product, QualityFile, agreed, in_order, note
from src.geo.sensors import SENSORS, baseline_from_name, date_from_name
from src.geo.sensors.sentinel2 import parse_baseline

# T48RVV_20240101T032131_B04_10m.jp2, S2A_OPER_MSI_L1C_TL_..._T32TQM_B04.jp2, L2A_T32TQM_..._SCL_20m.jp2.
_BAND_FILE = re.compile(
    r"(?P<granule>.*(?<![A-Z0-9])T\d\d[A-Z]{3}.*?)_(?P<layer>B\d[\dA]|SCL)(?:_(?P<gsd>10|20|60)m)?\.(?:jp2|tiff?)",
    re.IGNORECASE,
)
_METADATA = re.compile(r"MTD_MSIL(1C|2A)\.xml|S2[A-D]_OPER_MTD_SAFL1C_.*\.xml|S2[A-D]_USER_MTD_SAFL2A_.*\.xml")
# band_id of the offsets counts the bands in the sensor's order, B10 included.
_BAND_NAMES = tuple(band.name for band in SENSORS["sentinel2_l1c"].bands)
_LEVELS = {"L1C": "sentinel2_l1c", "L2A": "sentinel2_l2a"}
_OFFSET = 1000.0
_QUANTIFICATION = 10000.0


@dataclass(frozen=True)
class _Metadata:
    """What MTD_MSIL1C.xml or MTD_MSIL2A.xml says; None where it does not."""

    level: str | None = None
    date: str | None = None
    baseline: str | None = None
    cloud_percent: float | None = None
    quantification: float | None = None
    offsets: dict[str, float] = field(default_factory=dict)


def is_member(name: str) -> bool:
    """Whether an archive member belongs to the bands, scene classification or metadata that are used."""
    plain = name.rsplit("/", 1)[-1]
    found = _BAND_FILE.fullmatch(plain)
    if found is None:
        return _METADATA.fullmatch(plain) is not None
    layer = found["layer"].upper()
    return layer == "SCL" or _role(layer) in CORE_ROLES or layer == "B8A"


def is_sentinel2(folder: Path) -> bool:
    """Whether a folder is a SAFE product or granule, or holds band files of one."""
    return _metadata_file(folder) is not None or bool(_band_files(folder))


def read_sentinel2(folder: Path, given: Given, originals: Iterable[Path] = ()) -> Product:
    """The scene in a SAFE folder, a granule folder, or a folder of band files.

    Args:
        folder: holds the bands at any depth.
        given: what the user says.
        originals: files that stand for the content, where the folder was unpacked from an archive.

    Raises:
        InputError: several granules, or something that must be asked for.
    """
    path = _metadata_file(folder)
    metadata = _read_metadata(path) if path else _Metadata()
    granule, files = _one_granule(folder)
    safe = path.parent.name if path else folder.name
    level = agreed(granule, "level", metadata.level or _level_from_names(safe, granule, files), given.level)
    if level not in _LEVELS:
        raise InputError(f"{granule}: --level {level}, expected one of {', '.join(_LEVELS)}")
    agreed(granule, "sensor", _LEVELS[level], given.sensor)
    date = agreed(granule, "date", metadata.date or _sensing_date(safe, granule), given.date)
    baseline = agreed(granule, "baseline", metadata.baseline or baseline_from_name(safe), given.baseline)
    bands = _bands(files, metadata, baseline)
    notes = (note("b8a"),) if _nir_is_narrow(bands) else ()
    scl = _finest(files, "SCL")
    return Product(
        name=safe if safe.upper().endswith(".SAFE") else granule,
        sensor=_LEVELS[level],
        level=level,
        quantity="toa" if level == "L1C" else "reflectance",
        date=date,
        bands=bands,
        originals=tuple(originals) or (*(band.path for band in bands), *(p for p in (scl, path) if p)),
        baseline=baseline,
        cloud_percent=metadata.cloud_percent,
        quality=QualityFile("SCL", scl) if scl else None,
        fill=0,
        saturated=65535,
        notes=notes,
    )


def band_offset(baseline: str) -> float:
    """What the processing baseline adds to every digital number: 1000 from 04.00 on, else 0."""
    since = SENSORS["sentinel2_l1c"].offset_since
    assert since is not None
    return _OFFSET if parse_baseline(baseline) >= since else 0.0


def _metadata_file(folder: Path) -> Path | None:
    """The product's metadata in this folder, in the one .SAFE folder in it, or up to two folders above a granule."""
    safes = [path for path in folder.iterdir() if path.is_dir() and path.name.upper().endswith(".SAFE")]
    above = [folder.parent, folder.parent.parent] if folder.parent.name == "GRANULE" else []
    for place in (folder, *above, *(safes if len(safes) == 1 else [])):
        found = sorted(path for path in place.iterdir() if _METADATA.fullmatch(path.name))
        if found:
            return found[0]
    return None


def _read_metadata(path: Path) -> _Metadata:
    text = path.read_bytes()
    try:
        if b"<!DOCTYPE" in text:
            raise InputError(f"{path.name}: Sentinel-2 metadata has no document type")
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise InputError(f"{path.name}: cannot be read as XML ({error})") from error

    def value(*tags: str) -> str | None:
        return next((leaf.text.strip() for tag in tags for leaf in root.iter(tag) if leaf.text), None)

    def number(*tags: str) -> float | None:
        found = value(*tags)
        return None if found is None else float(found)

    try:
        offsets = {
            _BAND_NAMES[int(leaf.attrib["band_id"])]: float(leaf.text or "")
            for tag in ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET")
            for leaf in root.iter(tag)
        }
        start, level = value("PRODUCT_START_TIME", "DATATAKE_SENSING_START"), value("PROCESSING_LEVEL") or ""
        baseline = value("PROCESSING_BASELINE")
        known = re.search(r"(?:Level-|L)(1C|2A)", level) or re.search(r"(?:SAF|MSI)L(1C|2A)", path.name)
        return _Metadata(
            level=f"L{known.group(1)}" if known else None,
            date=start[:10] if start else None,
            baseline=".".join(f"{part:02d}" for part in parse_baseline(baseline)) if baseline else None,
            cloud_percent=number("Cloud_Coverage_Assessment", "CLOUD_COVERAGE_ASSESSMENT"),
            quantification=number("BOA_QUANTIFICATION_VALUE", "L2A_BOA_QUANTIFICATION_VALUE", "QUANTIFICATION_VALUE"),
            offsets=offsets,
        )
    except (ValueError, KeyError, IndexError) as error:
        raise InputError(f"{path.name}: holds a value that cannot be read ({error})") from error


def _band_files(folder: Path) -> list[Path]:
    """Band files of one granule or more: in IMG_DATA at any depth, else in the folder itself."""
    inside = [path for path in folder.rglob("IMG_DATA/**/*") if _BAND_FILE.fullmatch(path.name)]
    return sorted(inside or (path for path in folder.iterdir() if _BAND_FILE.fullmatch(path.name)))


def _one_granule(folder: Path) -> tuple[str, list[Path]]:
    granules: dict[str, list[Path]] = {}
    for path in _band_files(folder):
        found = _BAND_FILE.fullmatch(path.name)
        assert found is not None
        granules.setdefault(found["granule"], []).append(path)
    if len(granules) != 1:
        raise InputError(
            f"{folder}: holds bands of {len(granules)} granules ({', '.join(granules)}); "
            "add one GRANULE subfolder or one folder per scene"
        )
    return next(iter(granules.items()))


def _level_from_names(safe: str, granule: str, files: list[Path]) -> str | None:
    for text in (safe, granule):
        found = re.search(r"MSI_?L(1C|2A)|(?:^|_)L(1C|2A)_", text)
        if found:
            return f"L{found.group(1) or found.group(2)}"
    # Level-2A files carry their resolution (since 2016), and only Level-1C has the cirrus band.
    if any(re.search(r"_(10|20|60)m\.", path.name) for path in files):
        return "L2A"
    return "L1C" if any(re.search(r"_B10\.", path.name) for path in files) else None


def _sensing_date(safe: str, granule: str) -> str | None:
    """Acquisition date in a SAFE or granule name; names before 2016-12 put the time of processing first."""
    validity = re.search(r"_V(\d{8})T", safe)
    if validity:
        return date_from_name(validity.group(1))
    name = safe if safe.startswith("S2") else granule
    return None if "_OPER_" in name else date_from_name(name)


def _role(layer: str) -> str | None:
    band = SENSORS["sentinel2_l1c"].find_band(layer)
    return band.role if band else None


def _finest(files: Iterable[Path], layer: str) -> Path | None:
    """The file of a layer with the smallest pixels, as its name or folder says."""
    found = [(int(match["gsd"] or 0), path) for path in files if (match := _BAND_FILE.fullmatch(path.name))]
    named = [(gsd, path) for gsd, path in found if re.search(rf"_{layer}[_.]", path.name, re.IGNORECASE)]
    return min(named)[1] if named else None


def _bands(files: list[Path], metadata: _Metadata, baseline: str) -> tuple[BandFile, ...]:
    scale = 1.0 / (metadata.quantification or _QUANTIFICATION)
    bands = []
    for name in _BAND_NAMES:
        path, role = _finest(files, name), _role(name)
        if path is None or role is None:
            continue
        offset = metadata.offsets.get(name, -band_offset(baseline))
        bands.append(BandFile(role, path, 0, scale, offset * scale))
    if not any(band.role == "nir" for band in bands):
        narrow = [band for band in bands if band.role == "nir2"]
        bands += [BandFile("nir", band.path, 0, band.scale, band.offset) for band in narrow]
    return in_order(bands)


def _nir_is_narrow(bands: Iterable[BandFile]) -> bool:
    return any(band.role == "nir" and re.search(r"_B8A[_.]", band.path.name) for band in bands)
