"""What is known about a product on disk before it is ingested; made by ``src.geo.scenes.products``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from src.errors import InputError
from src.geo.scene import CORE_ROLES, QUANTITIES
from src.geo.scenes.quality import QUALITY_KINDS
from src.geo.sensors import SENSORS
from src.geo.sensors.sentinel2 import parse_baseline

# Change detection correlates bands with each other: fewer than three cannot make a scene.
MIN_ROLES = 3
# What a record notes about a scene; stored in both languages, see ``note``.
NOTES = {
    "scale": {
        "zh": "比例系数 {scale:g}、偏移 {offset:g} 由用户给出",
        "en": "scale {scale:g} and offset {offset:g} given by the user",
    },
    "user_dn": {"zh": "用户说明为未定标灰度值", "en": "uncalibrated numbers, as the user says"},
    "no_mtl": {
        "zh": "缺少 MTL 文件，灰度值未定标",
        "en": "no MTL file beside the bands: the numbers stay uncalibrated",
    },
    "no_gains": {
        "zh": "MTL 文件没有反射率增益，灰度值未定标",
        "en": "the MTL file holds no reflectance gains: the numbers stay uncalibrated",
    },
    "eight_bits": {
        "zh": "8 位 Level-1 灰度值，无 MTL 文件，未定标",
        "en": "8-bit Level-1 numbers without their MTL file stay uncalibrated",
    },
    "b8a": {"zh": "以窄近红外 B8A 代替 B08", "en": "narrow near infrared B8A stands for B08"},
    "bands": {
        "zh": "波段按名称或该传感器的常用顺序取：{places}",
        "en": "bands by name or by the sensor's usual order: {places}",
    },
    "no_screen": {
        "zh": "未去云：没有质量波段，这些波段也无法识别云",
        "en": "clouds are not masked: no quality layer, and none can be screened from these bands",
    },
}
_LANGUAGES = " | "


@dataclass(frozen=True)
class Given:
    """What the user says about a file; None where the user says nothing.

    Args:
        date: acquisition, ISO.
        sensor: key of SENSORS.
        level: of processing, such as L2A, L1C, L2SP; "DN" for uncalibrated numbers.
        baseline: Sentinel-2 processing baseline, such as "05.09".
        bands: role of each band of a stack, "-" for a band to leave out.
        scale: reflectance per number.
        offset: reflectance added after scaling.
        nodata: number that means no measurement, where the file does not declare it.
        mask: quality layer in a file of its own.
        mask_kind: one of QUALITY_KINDS.

    Raises:
        InputError: a value that cannot be used.
    """

    date: str | None = None
    sensor: str | None = None
    level: str | None = None
    baseline: str | None = None
    bands: tuple[str, ...] | None = None
    scale: float | None = None
    offset: float | None = None
    nodata: float | None = None
    mask: Path | None = None
    mask_kind: str | None = None

    def __post_init__(self) -> None:
        if self.date is not None:
            try:
                date.fromisoformat(self.date)
            except ValueError as error:
                raise InputError(f"--date {self.date}: expected an ISO date such as 2024-09-25") from error
        if self.sensor is not None and self.sensor not in SENSORS:
            raise InputError(f"--sensor {self.sensor}: expected one of {', '.join(SENSORS)}")
        if self.baseline is not None:
            parse_baseline(self.baseline)
        if self.offset is not None and self.scale is None:
            raise InputError("--offset needs --scale: reflectance = number * scale + offset")
        if self.scale is not None and not self.scale > 0:
            raise InputError(f"--scale {self.scale}: expected a positive number, such as 0.0001")
        if self.mask_kind is not None and self.mask_kind not in QUALITY_KINDS:
            raise InputError(f"--mask-kind {self.mask_kind}: expected one of {', '.join(QUALITY_KINDS)}")


@dataclass(frozen=True)
class BandFile:
    """One band: reflectance = number * scale + offset; of quantity "dn" the number itself.

    Args:
        role: one of CORE_ROLES.
        path: file that holds it.
        index: zero-based band in the file.
        scale: reflectance per number.
        offset: reflectance added after scaling.
    """

    role: str
    path: Path
    index: int = 0
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class QualityFile:
    """A quality layer: its kind (of QUALITY_KINDS), file, and zero-based band."""

    kind: str
    path: Path
    index: int = 0


@dataclass(frozen=True)
class SaturationFile:
    """QA_RADSAT: file, and the bits of the bands in use."""

    path: Path
    bits: int


@dataclass(frozen=True)
class Product:
    """A product recognised on disk, ready to be ingested.

    Args:
        name: product id or file name.
        sensor: key of SENSORS.
        level: of processing; "unknown" where the user gave the scale and no level.
        quantity: "reflectance", "toa" or "dn".
        date: acquisition, ISO.
        bands: by role, in the order of CORE_ROLES.
        originals: files whose content identifies the product.
        baseline: Sentinel-2 processing baseline.
        cloud_percent: as the metadata says.
        quality: layer that hides clouds; None where there is none.
        saturation: QA_RADSAT of Landsat Collection 2.
        fill: number that means no measurement in a band, beside the file's declared nodata.
        zero_is_empty: a pixel that is 0 in all bands was not measured.
        saturated: this number and larger ones are saturated.
        notes: assumptions in words.
    """

    name: str
    sensor: str
    level: str
    quantity: str
    date: str
    bands: tuple[BandFile, ...]
    originals: tuple[Path, ...]
    baseline: str | None = None
    cloud_percent: float | None = None
    quality: QualityFile | None = None
    saturation: SaturationFile | None = None
    fill: float | None = None
    zero_is_empty: bool = False
    saturated: int | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.quantity not in QUANTITIES:
            raise InputError(f"{self.name}: quantity {self.quantity!r}, expected one of {', '.join(QUANTITIES)}")
        if len(self.bands) < MIN_ROLES:
            found = ", ".join(band.role for band in self.bands) or "none"
            raise InputError(
                f"{self.name}: a scene needs at least {MIN_ROLES} of the bands {', '.join(CORE_ROLES)}, found {found}; "
                "add the folder with all bands of the scene, or name the bands with --bands"
            )


def agreed(name: str, flag: str, own: str | None, given: str | None) -> str:
    """A fact that the product or the user must tell; both must agree.

    Args:
        name: product, for the message.
        flag: command-line flag, without dashes.
        own: what the product says.
        given: what the user says.

    Raises:
        InputError: nobody says it, or they differ.
    """
    if own is not None and given is not None and own != given:
        raise InputError(f"{name}: says {flag} {own}, but --{flag} {given} was given; leave it out")
    value = own or given
    if value is None:
        raise InputError(f"{name}: neither its name nor its metadata tell the {flag}; give --{flag}")
    return value


def note(key: str, **values: object) -> str:
    """A note of NOTES in Chinese and English, one after the other; ``note_in`` takes it apart."""
    return _LANGUAGES.join(NOTES[key][lang].format(**values) for lang in ("zh", "en"))


def note_in(text: str, lang: str) -> str:
    """One language ("zh" or "en") of a note; a note in one language stays as it is."""
    chinese, _, english = text.partition(_LANGUAGES)
    return english if lang == "en" and english else chinese


def in_order(bands: Sequence[BandFile]) -> tuple[BandFile, ...]:
    """The bands that are used, in the order of CORE_ROLES."""
    by_role = {band.role: band for band in reversed(bands)}
    return tuple(by_role[role] for role in CORE_ROLES if role in by_role)
