"""Zones: county, towns, permanent basic farmland, red line, reserves, rivers and other areas that rules are tied to.

``ZONE_TYPES`` knows the layer, file and column names under which they occur in
Chinese practice; ``read_zone`` turns any such file into one form: EPSG:4490,
valid polygons, type, name, part and code. Measuring rasters inside zones is in
``src.geo.zone_overlay``. A zone is taken as drawn: nothing here can tell
whether the line itself is right.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from src.errors import GridError, InputError
from src.geo.areas import check_coordinates
from src.geo.vector import read_vector

CGCS2000 = pyproj.CRS.from_epsg(4490)
# Of GRS80, the ellipsoid of CGCS2000; WGS 84 has the same.
_SEMI_MAJOR_M = 6378137.0
PARTS = {
    "core": {"zh": "核心区", "en": "core zone"},
    "buffer": {"zh": "缓冲区", "en": "buffer zone"},
    "experimental": {"zh": "实验区", "en": "experimental zone"},
}
# An edge of a zone counts as straight in the CRS it was drawn in, so long edges get vertices before they are projected:
# over 1 km a parallel and a straight line part by about 1 cm.
EDGE_M, EDGE_DEGREES = 1000.0, 0.01
# Repair that changes more of a layer's area than this is no repair: nobody knows what the outline meant.
_REFUSED_CHANGE = 0.05


@dataclass(frozen=True)
class ZoneType:
    """What a kind of zone is called, and how its files are known.

    Args:
        zh: Chinese name.
        en: English name.
        layers: pattern found in names of files or layers of this kind; letters are compared in capitals.
        columns: pattern of the whole name of a column that only this kind has.
        names: columns that hold the name of a zone, best first.
        codes: columns that hold its number.
    """

    zh: str
    en: str
    layers: str
    columns: str
    names: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


# Names as they occur in land survey and planning databases (YJJBNTTB, DLTB, XZQ and their fields follow the third
# national land survey's database standard, TD/T 1057-2020). The first kind whose pattern fits wins, so kinds whose
# file names also carry the name of a county or town come first.
ZONE_TYPES: dict[str, ZoneType] = {
    "basic_farmland": ZoneType(
        *("永久基本农田", "permanent basic farmland"),
        layers=r"JBNT|基本农田|永农|BASIC[_ ]?FARMLAND",
        columns=r"Y?J?JBNT\w*",
        names=("YJJBNTMC", "JBNTMC"),
        codes=("YJJBNTTBBH", "JBNTTBBH", "YJJBNTBHTBBH"),
    ),
    "red_line": ZoneType(
        *("生态保护红线", "ecological red line"),
        layers=r"STBHHX|STHX|红线|RED[_ ]?LINE",
        columns=r"STBHHX\w*|HX(MC|BM|DM|LX|MJ)",
        names=("HXMC", "STBHHXMC"),
        codes=("HXBM", "HXDM"),
    ),
    "reserve": ZoneType(
        *("自然保护地", "nature reserve"),
        layers=r"ZRBH[DQ]|自然保护|国家公园|自然公园|(?<!水源)(?<!水源地)保护[区地]|RESERVE|PROTECTED",
        columns=r"ZRBH\w*|BH[DQ]\w*|GNF?Q(MC|LX|DM)?",
        names=("ZRBHDMC", "ZRBHQMC", "BHDMC", "BHQMC"),
        codes=("ZRBHDDM", "BHDDM", "BHQDM"),
    ),
    "river": ZoneType(
        *("河道管理范围", "river management scope"),
        layers=r"HDGL|HDFW|河道|河湖|岸线|RIVER",
        columns=r"HDGL\w*|HDMC|HLMC|HHMC",
        names=("HDGLFWMC", "HDMC", "HLMC", "HHMC"),
        codes=("HDDM", "HLDM"),
    ),
    "urban_boundary": ZoneType(
        *("城镇开发边界", "urban growth boundary"),
        layers=r"C?Z?KFBJ|开发边界|URBAN[_ ]?(GROWTH[_ ]?)?BOUNDARY",
        columns=r"CZKF\w*|KFBJ\w*",
        names=("CZKFBJMC", "KFBJMC"),
        codes=("CZKFBJDM",),
    ),
    "mining": ZoneType(
        *("矿区", "mining right"),
        layers=r"CKQ|TKQ|KQFW|采矿|探矿|矿[权区界]|MINING",
        columns=r"[CT]KQ\w*|KSMC|KQMC|C?K?XKZH",
        names=("CKQMC", "KSMC", "KQMC"),
        codes=("XKZH", "CKXKZH", "CKQBH"),
    ),
    "village": ZoneType(
        *("村", "village"),
        layers=r"CJDCQ|CJXZQ|行政村|村[界级域]|VILLAGE",
        columns=r"CJ(DM|MC)|CUNMC|CMC|ZLDW(DM|MC)",
        names=("XZQMC", "ZLDWMC", "CJMC", "CUNMC", "CMC"),
        codes=("XZQDM", "ZLDWDM", "CJDM"),
    ),
    "town": ZoneType(
        *("乡镇", "town"),
        layers=r"乡镇|镇[界域]|乡[界级域]|街道|TOWN",
        columns=r"XZ(MC|DM)|XIANGMC",
        names=("XZQMC", "XZMC", "XIANGMC"),
        codes=("XZQDM", "XZDM"),
    ),
    "county": ZoneType(
        *("县域", "county"),
        layers=r"XZQ(?!JX)|县[界级域]|行政区|COUNTY",
        columns=r"XZQ(DM|MC)|X(MC|DM)|XIANMC",
        names=("XZQMC", "XMC", "XIANMC"),
        codes=("XZQDM", "XDM"),
    ),
    "aoi": ZoneType("关注区域", "area of interest", layers=r"\bAOI\b|关注区", columns=r"AOI\w*"),
}
_ADMINISTRATIVE = ("county", "town", "village")
_ALIASES = {"river_scope": "river", "towns": "town", "villages": "village"}
# Digits of an administrative code by level (GB/T 2260 and its extension to towns and villages); 19 in land registers.
_CODE_LEVELS = {6: "county", 9: "town", 12: "village", 19: "village"}
_NAME_LEVELS = ((r"[镇乡]$|街道(办事处)?$", "town"), (r"[村社]$|社区$|居委会$", "village"), (r"[县区市旗]$", "county"))
_NAME_COLUMNS, _CODE_COLUMNS = ("name", "MC", "名称", "NAME_ZH"), ("code", "BSM", "编号")
_PART_COLUMNS = ("part", "GNQMC", "GNFQMC", "GNQ", "GNFQ", "功能区", "功能分区")
_PART_PATTERNS = {"core": r"核心|\bcore\b", "buffer": r"缓冲|\bbuffer\b", "experimental": r"实验|\bexperiment"}
_PARCELS = r"DLTB|地类图斑"


@dataclass(frozen=True)
class Repair:
    """What making a layer valid did to it.

    Args:
        features: in the file.
        repaired: whose outline was invalid.
        dropped: that were no areas (points, lines), or fell to nothing.
        area_before_m2: as the outlines of the invalid features say, self-crossings counted with their sign.
        area_after_m2: of the same features after the repair.
    """

    features: int
    repaired: int
    dropped: int
    area_before_m2: float
    area_after_m2: float


def read_zone(
    path: str | Path, layer: str | None = None, *, zone_type: str | None = None, name: str | None = None
) -> gpd.GeoDataFrame:
    """Read a zone layer in the one form that all else takes.

    Args:
        path: a vector file with a CRS.
        layer: which layer, where the file has several.
        zone_type: key of ZONE_TYPES; default what names and columns tell, else "aoi".
        name: what to call every zone of the file; default its own name column, else the kind's Chinese name.

    Returns:
        EPSG:4490, longitude first; columns zone_type, name, part ("core", "buffer", "experimental" or ""), code
        (text, "" where there is none) and geometry: valid polygons. ``attrs["repair"]`` holds a ``Repair`` as a
        dictionary, ``attrs["source"]`` the file's name. Zones may still overlap: measuring unites them first.

    Raises:
        MissingPathError, InputError: as of ``read_vector``; the zone type is unknown; the layer holds land parcels,
            no areas at all, or outlines so broken that the repair changes over 5 % of its area.
        GridError: no CRS, or coordinates that do not fit it.
    """
    path = Path(path)
    if zone_type is not None and zone_type not in ZONE_TYPES:
        raise InputError(f"unknown zone type {zone_type!r}; expected one of {', '.join(ZONE_TYPES)}")
    raw = read_vector(path, layer)
    kinds = [zone_type] * len(raw) if zone_type else _kinds(raw, layer, path)
    code_columns = [column for kind in dict.fromkeys(kinds) for column in ZONE_TYPES[kind].codes]
    codes = _texts(raw, [*code_columns, *_CODE_COLUMNS])
    names = [name] * len(raw) if name else _names(raw, kinds)
    zones = gpd.GeoDataFrame(
        {
            "zone_type": pd.Series(kinds, dtype="str"),
            "name": pd.Series(names, dtype="str"),
            "part": pd.Series(_parts(raw, kinds, names, f"{layer or ''} {path.stem}"), dtype="str"),
            "code": pd.Series(codes, dtype="str"),
        },
        geometry=raw.geometry.to_numpy(),
        crs=raw.crs,
    )
    # Before projecting: rounding turns a spike without width into a thin outline that passes for valid.
    zones, repair = _repaired(zones, path)
    zones = _projected(zones, path)
    zones.attrs = {"repair": asdict(repair), "source": path.name}
    return zones


def recognise(names: Sequence[str], columns: Sequence[str]) -> str | None:
    """Kind of zone by the names of layer and file (in this order), then by its columns.

    Returns:
        A key of ZONE_TYPES, "parcels" for a land parcel layer (DLTB), or None.
    """
    for name in names:
        for kind, known in ZONE_TYPES.items():
            if re.search(known.layers, name.upper()):
                return kind
        if re.search(_PARCELS, name.upper()):
            return "parcels"
    upper = [column.upper() for column in columns]
    for kind, known in ZONE_TYPES.items():
        if kind == "village" and {"DLBM", "TBMJ"} <= set(upper):
            return "parcels"
        if any(re.fullmatch(known.columns, column) for column in upper):
            return kind
    return None


def select_zones(zones: gpd.GeoDataFrame, name: str | None = None, part: str | None = None) -> gpd.GeoDataFrame:
    """The zones of that name (or whose name holds it) and that part of a reserve.

    Raises:
        InputError: there is none; the names that exist are told.
    """
    chosen = zones
    if name:
        exact = zones[zones["name"] == name]
        chosen = exact if len(exact) else zones[zones["name"].str.contains(name, regex=False)]
    if part:
        chosen = chosen[chosen["part"] == part]
    if chosen.empty:
        known = sorted(
            {f"{row.name_} {row.part}".strip() for row in zones.rename(columns={"name": "name_"}).itertuples()}
        )
        raise InputError(f"no zone {name or ''} {part or ''}; there are {', '.join(known[:20])}")
    return chosen


def polygons_only(shape: BaseGeometry) -> BaseGeometry:
    """The areas among the parts of a geometry; empty where there are none."""
    if shape.geom_type in ("Polygon", "MultiPolygon"):
        return shape
    parts = shapely.get_parts(shapely.get_parts(shape))
    return shapely.union_all(parts[shapely.get_type_id(parts) == 3])


def parse_part(text: str) -> str:
    """ "core", "buffer" or "experimental" from a Chinese or English name, else ""."""
    return next((part for part, pattern in _PART_PATTERNS.items() if re.search(pattern, text.lower())), "")


def _kinds(raw: gpd.GeoDataFrame, layer: str | None, path: Path) -> list[str]:
    """Zone type of each feature: its own column, else what the layer is recognised as."""
    if "zone_type" in raw.columns:
        given = [_ALIASES.get(text, text) for text in _texts(raw, ["zone_type"])]
        unknown = sorted(set(given) - set(ZONE_TYPES))
        if unknown:
            raise InputError(f"{path}: zone_type {unknown[0]!r}, expected one of {', '.join(ZONE_TYPES)}")
        return given
    kind = recognise([layer, path.stem] if layer else [path.stem], list(map(str, raw.columns))) or "aoi"
    if kind == "parcels":
        raise InputError(
            f"{path}: looks like land parcels (DLTB), which are labels: add it --as labels, or say --zone-type"
        )
    return _levels(raw, kind) if kind in _ADMINISTRATIVE else [kind] * len(raw)


def _levels(raw: gpd.GeoDataFrame, kind: str) -> list[str]:
    """County, town or village: by the length of the code, else by the name's last word, else the layer's kind."""
    every = [ZONE_TYPES[level] for level in _ADMINISTRATIVE]
    codes = _texts(raw, [column for level in every for column in level.codes])
    names = _texts(raw, [column for level in every for column in level.names] + list(_NAME_COLUMNS))
    by_name = [next((level for ending, level in _NAME_LEVELS if re.search(ending, name)), kind) for name in names]
    return [_CODE_LEVELS.get(len(code), level) for code, level in zip(codes, by_name, strict=True)]


def _names(raw: gpd.GeoDataFrame, kinds: Sequence[str]) -> list[str]:
    columns = [column for kind in dict.fromkeys(kinds) for column in ZONE_TYPES[kind].names]
    own = _texts(raw, columns + list(_NAME_COLUMNS))
    return [text or ZONE_TYPES[kind].zh for text, kind in zip(own, kinds, strict=True)]


def _parts(raw: gpd.GeoDataFrame, kinds: Sequence[str], names: Sequence[str], file_name: str) -> list[str]:
    """Part of a reserve: its own column, else what the zone's or the file's name says; "" for other kinds."""
    own = _texts(raw, list(_PART_COLUMNS))
    parts = []
    for text, kind, name in zip(own, kinds, names, strict=True):
        part = parse_part(text) or parse_part(name) or parse_part(file_name)
        parts.append(part if kind == "reserve" else "")
    lost = sorted({text for text, part, kind in zip(own, parts, kinds, strict=True) if text and not part})
    if lost and "reserve" in kinds:
        warnings.warn(
            f"parts of reserves other than core, buffer and experimental are not told apart: {lost}", stacklevel=4
        )
    return parts


def _texts(raw: gpd.GeoDataFrame, columns: Sequence[str]) -> list[str]:
    """First non-empty value among the columns (any case) as text, "" where there is none; 510723.0 reads "510723"."""
    by_name = {str(column).upper(): column for column in raw.columns if column != raw.geometry.name}
    texts = [""] * len(raw)
    for wanted in columns:
        column = by_name.get(wanted.upper())
        if column is None:
            continue
        for index, value in enumerate(raw[column].tolist()):
            if texts[index] or value is None or value != value:
                continue
            whole = isinstance(value, float) and value.is_integer()
            texts[index] = str(int(value) if whole else value).strip()
    return texts


def _projected(zones: gpd.GeoDataFrame, path: Path) -> gpd.GeoDataFrame:
    """In EPSG:4490, long edges kept where they were."""
    crs = zones.crs
    if abs(crs.ellipsoid.semi_major_metre - _SEMI_MAJOR_M) > 1.0:
        warnings.warn(
            f"{path}: {crs.name} lies on another datum; it is moved to CGCS2000 without the local shift and may be "
            "off by up to about 100 m. Convert the layer with the official parameters first",
            stacklevel=3,
        )
    outlines = zones.geometry
    if crs.is_projected:
        outlines = outlines.segmentize(EDGE_M / crs.axis_info[0].unit_conversion_factor)
    moved = zones.set_geometry(outlines).to_crs(CGCS2000)
    if not np.isfinite(moved.total_bounds).all():
        raise GridError(f"{path}: reaches where its CRS {crs.name} is not defined; state the right one (.prj)")
    # Rounding of the new coordinates can make an outline touch itself.
    broken = ~moved.is_valid
    moved.loc[broken, "geometry"] = moved.geometry[broken].make_valid(method="structure", keep_collapsed=False)
    return moved


def _repaired(zones: gpd.GeoDataFrame, path: Path) -> tuple[gpd.GeoDataFrame, Repair]:
    """Two-dimensional, valid areas alone."""
    check_coordinates(zones.crs, tuple(zones.total_bounds), str(path))
    shapes = shapely.force_2d(zones.geometry.to_numpy())
    areal = np.isin(shapely.get_type_id(shapes), (3, 6, 7))
    if not areal.any():
        raise InputError(f"{path}: holds {zones.geom_type.iloc[0]} features; a zone must be an area (polygons)")
    broken = np.flatnonzero(areal & ~shapely.is_valid(shapes))
    before = _outline_areas(shapes[broken], zones.crs)
    collections = np.flatnonzero(areal & (shapely.get_type_id(shapes) == 7))
    shapes[broken] = shapely.make_valid(shapes[broken], method="structure", keep_collapsed=False)
    for i in {*broken.tolist(), *collections.tolist()}:
        shapes[i] = polygons_only(shapes[i])
    after = _outline_areas(shapes[broken], zones.crs)
    kept = areal & ~shapely.is_empty(shapes)
    repair = Repair(len(shapes), len(broken), int((~kept).sum()), float(before.sum()), float(after.sum()))
    if not kept.any():
        raise InputError(f"{path}: none of its outlines encloses an area, even after repair; draw it again")
    _judge(repair, float(np.abs(after - before).sum()), float(_outline_areas(shapes[kept], zones.crs).sum()), path)
    return zones.set_geometry(shapes, crs=zones.crs)[kept].reset_index(drop=True), repair


def _outline_areas(shapes: NDArray[np.object_], crs: pyproj.CRS) -> NDArray[np.float64]:
    """Square metres as the rings say, of invalid outlines too (where ``polygon_areas_m2`` refuses)."""
    geod = pyproj.Geod(ellps="GRS80")
    degrees = shapely.orient_polygons(gpd.GeoSeries(shapes, crs=crs).to_crs(CGCS2000).to_numpy())
    return np.array([abs(geod.geometry_area_perimeter(shape)[0]) for shape in degrees])


def _judge(repair: Repair, changed: float, kept_m2: float, path: Path) -> None:
    """Refuse a repair that changes the layer, warn of a smaller one."""
    if changed > _REFUSED_CHANGE * kept_m2:
        raise InputError(
            f"{path}: {repair.repaired} outlines are invalid, and repairing them changes {changed / 1e4:.2f} ha "
            f"of {kept_m2 / 1e4:.2f} ha; correct the layer (geometry check in a GIS) and add it again"
        )
    if repair.repaired or repair.dropped:
        warnings.warn(
            f"{path}: of {repair.features} features {repair.repaired} were repaired (area {changed:.1f} m2 changed) "
            f"and {repair.dropped} without area were left out",
            stacklevel=4,
        )
