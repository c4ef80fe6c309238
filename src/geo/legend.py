"""Class schemes of other products, mapped to the seven canonical classes.

``CROSSWALKS`` is the one table; a code that a crosswalk lacks is an error, so
nothing is dropped unseen. Canonical classes describe cover as a map user
counts it; they are no legal category.

What does not map cleanly, and the choice made:
- No global product separates garden land (orchards, tea): it stays inside forest or cropland there.
- Shrubs and scrub count as forest, wetlands and permanent snow as water, tundra and moss as unused land.
- Rural roads (1006), greenhouses and barns (1202) and field ridges (1203) are agricultural land by Chinese
  law although their surface may look built: they count with the cropland they serve, never as built-up land.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from src.constants import LAND_CLASS_IDS, LAND_CLASS_NAMES, LAND_CLASSES, NODATA_CLASS
from src.errors import LegendError

Crosswalk = Mapping[int | str, int]

_NODATA = NODATA_CLASS
_CROP, _GARDEN, _FOREST = LAND_CLASS_IDS["cropland"], LAND_CLASS_IDS["garden"], LAND_CLASS_IDS["forest"]
_GRASS, _WATER = LAND_CLASS_IDS["grassland"], LAND_CLASS_IDS["water"]
_BUILT, _UNUSED = LAND_CLASS_IDS["built"], LAND_CLASS_IDS["unused"]

# Codes that span less than this are mapped by a table.
_TABLE_SIZE = 1 << 16
# Third national land survey codes (DLBM): 01 0101 0102... with suffixes A (special use) and K (restorable to cropland).
_DLBM = re.compile(r"(0\d|1[0-2])(\d\d|H[12])([AK])")


def _sandiao() -> dict[int | str, int]:
    """Codes of the third national land survey (GB/T 21010-2017 with its survey amendments), all levels."""
    codes: dict[int | str, int] = {"00": _WATER, "01": _CROP, "02": _GARDEN, "03": _FOREST, "04": _GRASS}
    codes.update({"11": _WATER, "12": _UNUSED})
    codes.update({f"010{i}": _CROP for i in range(1, 4)})
    codes.update({f"020{i}": _GARDEN for i in range(1, 5)})
    codes.update({f"030{i}": _FOREST for i in range(1, 8)})
    codes.update({f"040{i}": _GRASS for i in range(1, 5)})
    for group in ("05", "06", "07", "08", "09", "10"):
        codes[group] = _BUILT
        codes.update({f"{group}{i:02d}": _BUILT for i in range(1, 11)})
        codes.update({f"{group}H{i}": _BUILT for i in (1, 2)})
    codes.update({f"11{i:02d}": _WATER for i in range(1, 11)})
    codes.update({f"120{i}": _UNUSED for i in range(4, 9)})
    codes.update({"1109": _BUILT, "1107A": _BUILT, "1201": _BUILT})
    codes.update(dict.fromkeys(("1006", "1202", "1203"), _CROP))
    # City, town, village, mining and special land of the settlement attribute (CZCSXM).
    codes.update({f"20{i}{suffix}": _BUILT for i in range(1, 6) for suffix in ("", "A")})
    return codes


# CORINE: grid code -> CLC code, 44 classes in this order.
_CORINE_CODES = (
    *(111, 112, 121, 122, 123, 124, 131, 132, 133, 141, 142),
    *(211, 212, 213, 221, 222, 223, 231, 241, 242, 243, 244),
    *(311, 312, 313, 321, 322, 323, 324, 331, 332, 333, 334, 335),
    *(411, 412, 421, 422, 423, 511, 512, 521, 522, 523),
)
_CORINE_GARDEN, _CORINE_GRASS = (221, 222, 223), (231, 321)
_CORINE_WOODY = (311, 312, 313, 322, 323, 324)


def _corine_class(code: int) -> int:
    if code in _CORINE_GARDEN:
        return _GARDEN
    if code in _CORINE_GRASS:
        return _GRASS
    if code in _CORINE_WOODY:
        return _FOREST
    if code == 335:  # glaciers
        return _WATER
    return {1: _BUILT, 2: _CROP, 3: _UNUSED, 4: _WATER, 5: _WATER}[code // 100]


def _corine() -> dict[int | str, int]:
    """CORINE Land Cover by grid code (1-44; 48 and 255 no data) and by CLC code (111-523)."""
    codes: dict[int | str, int] = {48: _NODATA, 255: _NODATA, 0: _NODATA}
    for grid_code, code in enumerate(_CORINE_CODES, 1):
        codes[grid_code] = codes[code] = _corine_class(code)
    return codes


def _canonical() -> dict[int | str, int]:
    """The project's own classes by id and by Chinese and English name."""
    codes: dict[int | str, int] = {_NODATA: _NODATA}
    for name, class_id in LAND_CLASS_IDS.items():
        codes.update(dict.fromkeys((class_id, name, *LAND_CLASS_NAMES[name].values()), class_id))
    return codes


CROSSWALKS: dict[str, dict[int | str, int]] = {
    "canonical": _canonical(),
    # ESA WorldCover 2020/2021, https://esa-worldcover.org/en/data-access.
    "worldcover": {
        **{0: _NODATA, 10: _FOREST, 20: _FOREST, 30: _GRASS, 40: _CROP, 50: _BUILT, 60: _UNUSED},
        **{70: _WATER, 80: _WATER, 90: _WATER, 95: _FOREST, 100: _UNUSED},
    },
    # Dynamic World V1 label band, https://doi.org/10.1038/s41597-022-01307-4; 0 is water, so no data comes by mask.
    "dynamic_world": {
        **{0: _WATER, 1: _FOREST, 2: _GRASS, 3: _WATER, 4: _CROP, 5: _FOREST, 6: _BUILT, 7: _UNUSED, 8: _WATER}
    },
    # China Land Cover Dataset, https://doi.org/10.5194/essd-13-3907-2021.
    "clcd": {
        **{0: _NODATA, 1: _CROP, 2: _FOREST, 3: _FOREST, 4: _GRASS, 5: _WATER},
        **{6: _WATER, 7: _UNUSED, 8: _BUILT, 9: _WATER},
    },
    # FROM-GLC10, https://doi.org/10.1016/j.scib.2019.03.002.
    "from_glc10": {
        **{0: _NODATA, 10: _CROP, 20: _FOREST, 30: _GRASS, 40: _FOREST, 50: _WATER, 60: _WATER},
        **{70: _UNUSED, 80: _BUILT, 90: _UNUSED, 100: _WATER},
    },
    # Esri 10 m annual land cover, https://doi.org/10.1109/IGARSS47720.2021.9553499; 10 is cloud.
    "esri": {
        **{0: _NODATA, 1: _WATER, 2: _FOREST, 4: _WATER, 5: _CROP, 7: _BUILT},
        **{8: _UNUSED, 9: _WATER, 10: _NODATA, 11: _GRASS},
    },
    "sandiao": _sandiao(),
    # CORINE Land Cover nomenclature, https://land.copernicus.eu/content/corine-land-cover-nomenclature-guidelines.
    "corine": _corine(),
    # North Carolina sample data, land cover of 1996, https://grass.osgeo.org/download/data.
    "raleigh": {
        **{0: _NODATA, 1: _BUILT, 2: _CROP, 3: _GRASS, 4: _FOREST, 5: _FOREST, 6: _WATER, 7: _UNUSED},
        **{"developed": _BUILT, "agriculture": _CROP, "herbaceous": _GRASS, "shrubland": _FOREST},
        **{"forest": _FOREST, "water": _WATER, "sediment": _UNUSED},
    },
    # Land cover of the eo-learn example patch, from the Slovenian land-use register, https://github.com/sentinel-hub/eo-learn.
    "slovenia": {
        **{0: _NODATA, 1: _CROP, 2: _FOREST, 3: _GRASS, 4: _FOREST, 5: _WATER, 6: _WATER},
        **{7: _UNUSED, 8: _BUILT, 9: _UNUSED, 10: _WATER},
        **{"": _NODATA, "cultivated land": _CROP, "forest": _FOREST, "grassland": _GRASS, "schrubland": _FOREST},
        **{"shrubland": _FOREST, "water": _WATER, "wetlands": _WATER, "tundra": _UNUSED},
        **{"artificial surface": _BUILT, "bareland": _UNUSED, "snow and ice": _WATER},
    },
    # Training classes of https://github.com/ceholden/open-geo-tutorial.
    "chiapas": {
        **{0: _NODATA, 1: _FOREST, 2: _WATER, 3: _GRASS, 4: _UNUSED, 5: _BUILT},
        **{"forest": _FOREST, "water": _WATER, "herbaceous": _GRASS, "barren": _UNUSED, "urban": _BUILT},
    },
}


def to_canonical(codes: np.ndarray, crosswalk: str | Crosswalk) -> NDArray[np.uint8]:
    """Map class codes to canonical class ids.

    Args:
        codes: any shape; integers, whole floats (database columns), or strings.
        crosswalk: a key of CROSSWALKS, or a mapping of code to class id.
            Integer and string forms of a code find each other ("10" and 10;
            101 and "0101"); a DLBM code with suffix A or K falls back to the
            code without it ("0301K").

    Returns:
        uint8 ids of the same shape; 0 where the scheme itself says no data.

    Raises:
        LegendError: a code is not in the crosswalk (all such codes are named),
            or the crosswalk leads to something else than a canonical class.
    """
    if isinstance(crosswalk, str):
        if crosswalk not in CROSSWALKS:
            raise LegendError(f"unknown crosswalk {crosswalk!r}; expected one of {', '.join(CROSSWALKS)}")
        table: Crosswalk = CROSSWALKS[crosswalk]
    else:
        table = crosswalk
    bad = {code: target for code, target in table.items() if target != NODATA_CLASS and target not in LAND_CLASSES}
    if bad:
        raise LegendError(f"a crosswalk leads to class ids 0 to {max(LAND_CLASSES)}, but this one has {bad}")
    if codes.size == 0:
        return np.zeros(codes.shape, dtype=np.uint8)
    if codes.dtype.kind in "ui" and int(codes.max()) - int(codes.min()) < _TABLE_SIZE:
        # A table indexed by code spares sorting the whole raster.
        low = int(codes.min())
        index = np.subtract(codes, low, dtype=np.intp, casting="unsafe")
        occurs = np.bincount(index.ravel()) > 0
        by_code = np.zeros(len(occurs), dtype=np.uint8)
        by_code[occurs] = _map_all((np.flatnonzero(occurs) + low).tolist(), table)
        return by_code[index]
    found, index = np.unique(codes if codes.dtype.kind in "uifbU" else codes.astype(str), return_inverse=True)
    return _map_all(found.tolist(), table)[index.reshape(codes.shape)]


def _map_all(codes: Sequence[object], table: Crosswalk) -> NDArray[np.uint8]:
    targets = [_look_up(code, table) for code in codes]
    unknown = [repr(code) for code, target in zip(codes, targets, strict=True) if target is None]
    if unknown:
        raise LegendError(
            f"{len(unknown)} class codes are not in the crosswalk: {', '.join(unknown[:20])}; "
            f"it knows {', '.join(map(repr, list(table)[:20]))}"
        )
    return np.array(targets, dtype=np.uint8)


def _look_up(code: object, table: Crosswalk) -> int | None:
    """Class id of one code, trying the other ways to write it; None if unknown."""
    forms: list[int | str]
    if isinstance(code, float) and code.is_integer():
        code = int(code)
    if isinstance(code, int):
        # Four digits before three: as a number 0201 (orchard) reads 201, which as text means city land.
        forms = [code, f"{code:04d}", f"{code:02d}", str(code)]
    else:
        text = str(code).strip()
        forms = [text, text.upper()]
        if text.isdecimal():
            forms.append(int(text))
        suffixed = _DLBM.fullmatch(text.upper())
        if suffixed:
            forms.append("".join(suffixed.groups()[:2]))
    return next((table[form] for form in forms if form in table), None)
