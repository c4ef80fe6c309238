"""The county that questions are about: its data, the day that counts as today, and the steps of a measurement.

    county = County(open_workspace(folder), ThreadRunner(2), date(2024, 12, 31))
    county.known()                          # dates, zones, name: what a question can be about
    county.place(ZoneRef(type="reserve"))   # outline, name and digest of a zone

Nothing is held for long: hashes and names of zone files are kept on disk by size
and time of change, so files that are added or replaced are noticed, and asking
again costs milliseconds whatever the size of the county.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas as gpd
import shapely

from src.assistant.query import Known, Query, ZoneRef
from src.geo.blocks import Runner
from src.geo.caveats import CannotTell
from src.geo.evidence import METHOD_VERSION, digest, file_digest
from src.geo.measure import load_zones
from src.geo.raster import atomic_path
from src.geo.scene import Scene
from src.geo.workspace import Workspace
from src.geo.zones import CGCS2000, ZONE_TYPES, polygons_only, read_zone

# Told a key of STEPS and how much of the whole is done, 0..1.
Progress = Callable[[str, float], None]
STEPS: dict[str, dict[str, str]] = {
    "scenes": {"zh": "挑选影像", "en": "choosing images"},
    "align": {"zh": "配准两期影像", "en": "aligning the two images"},
    "change": {"zh": "检测变化", "en": "detecting change"},
    "cover": {"zh": "土地覆盖分类", "en": "classifying land cover"},
    "areas": {"zh": "量算面积", "en": "measuring areas"},
    "patches": {"zh": "提取图斑", "en": "finding patches"},
    "zones": {"zh": "叠加边界图层", "en": "overlaying zones"},
    "series": {"zh": "量算时间序列", "en": "measuring the series"},
    "done": {"zh": "完成", "en": "done"},
}
# Raise it when a method here changes what the same inputs give.
ASSISTANT_VERSION = "assistant-5"
_POINT_SIDES = 16
_YEAR_DAYS = 365


def no_progress(step: str, share: float) -> None:
    """Tells nobody."""


def season_days(one: str, other: str) -> int:
    """Days between two dates within the year, counted the short way round; 0 to 182."""
    days = [date.fromisoformat(text[:10]).timetuple().tm_yday for text in (one, other)]
    apart = abs(days[0] - days[1])
    return min(apart, _YEAR_DAYS - apart)


class UnknownZone(CannotTell):
    """No zone has the name asked for; ``choices`` are those that exist."""

    def __init__(self, name: str, choices: tuple[str, ...]) -> None:
        super().__init__("NO_ZONE_LAYER", f"no zone {name}; there are {', '.join(choices) or 'none'}")
        self.name, self.choices = name, choices


@dataclass(frozen=True, eq=False)
class Place:
    """Where figures are measured.

    Args:
        kind: of the zone; "county" for the whole.
        name: as an answer says it: the zone's name, its kind (key of ZONE_TYPES) for all of a kind, "" for the county.
        outline: zones of ``read_zone``; None means all that the scenes show.
        key: digest of the outline, for caches.
    """

    kind: str
    name: str
    outline: gpd.GeoDataFrame | None
    key: str

    @property
    def figure_name(self) -> str | None:
        """As ``Figure.place`` wants it: None for the county."""
        return self.name or None


@dataclass(frozen=True)
class County:
    """A workspace with what it takes to measure on it.

    Args:
        workspace: the data.
        runner: threads or a cluster.
        as_of: day that counts as today.
    """

    workspace: Workspace
    runner: Runner
    as_of: date

    def known(self) -> Known:
        """What a question can be about."""
        scenes = self.scenes()
        zones: dict[str, list[str]] = {}
        for file in self.zone_files().values():
            for kind, names in file["names"].items():
                zones.setdefault(kind, []).extend(name for name in names if name not in zones.get(kind, []))
        return Known(
            dates=tuple(sorted({scene.record.date for scene in scenes})),
            zones={kind: tuple(names) for kind, names in sorted(zones.items())},
            county=self.workspace.name,
            uncalibrated=bool(scenes) and all(scene.record.quantity == "dn" for scene in scenes) and not self.labelled,
        )

    @property
    def labelled(self) -> bool:
        """Whether there are labels to learn land cover from."""
        return any((self.workspace.root / "labels").glob("*.json"))

    def scenes(self) -> tuple[Scene, ...]:
        """Scenes up to the day that counts as today, by date."""
        return tuple(scene for scene in self.workspace.scenes() if scene.record.date <= self.as_of.isoformat())

    def zone_files(self) -> dict[str, dict[str, Any]]:
        """By file name: "sha256", and "names" of the zones by kind."""
        return {name: _stamped(path, self.workspace.cache) for name, path in self.workspace.zones().items()}

    def zones(self) -> dict[str, gpd.GeoDataFrame]:
        """All zones by kind, as ``read_zone`` gives them."""
        key = digest({name: file["sha256"] for name, file in self.zone_files().items()})
        return _layers(self.workspace.root, key)

    def county_outline(self) -> gpd.GeoDataFrame | None:
        """The county layer, where there is one."""
        return self.zones().get("county")

    def place(self, ref: ZoneRef | None, query: Query | None = None) -> Place:
        """The zone that a query means.

        Args:
            ref: None means the county: its layer, else all that the scenes show.
            query: gives longitude, latitude and radius of a point.

        Raises:
            CannotTell: NO_ZONE_LAYER, there is no layer of that kind, or NOT_IN_TOWN, the town has none of its ground;
                the detail is the kind.
            UnknownZone: no zone of that kind has the name, or no town.
        """
        files = self.zone_files()
        zones_key = [file["sha256"] for file in files.values()]
        if ref is not None and ref.type == "point":
            return _around(query)
        if ref is None or ref.type == "county":
            outline = self.county_outline()
            return Place("county", "", outline, digest(["county", zones_key if outline is not None else None]))
        layer = self.zones().get(ref.type)
        if layer is None:
            raise CannotTell("NO_ZONE_LAYER", ref.type)
        chosen = _named(layer, ref)
        name = ref.type if ref.name is None else str(chosen["name"].iloc[0])
        key = digest([ref.type, ref.name, ref.part, ref.inside, ref.town, zones_key])
        if ref.town is not None:
            town = self._town(ref.town)
            clipped = _clipped(chosen, town)
            if clipped.empty:
                raise CannotTell("NOT_IN_TOWN", ref.type)
            own = name if ref.name is not None else ZONE_TYPES[ref.type].zh
            return Place(ref.type, f"{town['name'].iloc[0]}{own}", clipped, key)
        if ref.inside:
            return Place(ref.type, name, chosen, key)
        return Place(ref.type, name, self._outside(chosen), key)

    def parts(self, kind: str, within: Place | None = None) -> list[Place]:
        """The zones of a kind one by one, united by name; with ``within``, only their ground inside it.

        Raises:
            CannotTell: NO_ZONE_LAYER, there is no layer of that kind.
        """
        layer = self.zones().get(kind)
        if layer is None:
            raise CannotTell("NO_ZONE_LAYER", kind)
        key = [file["sha256"] for file in self.zone_files().values()]
        outline = None if within is None or within.kind == "county" else within.outline
        if outline is not None and within is not None:
            key = [*key, within.key]
            layer = _clipped(layer, outline)
        return [
            Place(kind, str(name), rows, digest([kind, str(name), key]))
            for name, rows in layer.groupby("name", sort=True)
        ]

    def inputs(self) -> str:
        """Digest of all that decides figures: scenes, zones, labels, sample sheets, today's date and the methods."""
        workspace = self.workspace
        zones = {name: file["sha256"] for name, file in self.zone_files().items()}
        sheets = [
            _file_sha(file, workspace.cache)
            for path in workspace.samples().values()
            for file in (path, path.with_suffix(".design.json"))
            if file.is_file()
        ]
        scenes = [scene.record.to_json() for scene in self.scenes()]
        labels = [record.to_json() for record in workspace.labels()]
        place = [workspace.name, workspace.code]
        return digest([scenes, zones, labels, sheets, place, self.as_of.isoformat(), METHOD_VERSION, ASSISTANT_VERSION])

    def _town(self, name: str) -> gpd.GeoDataFrame:
        """The town or village of a name."""
        known = self.zones()
        for kind in ("town", "village"):
            if kind in known and (known[kind]["name"] == name).any():
                return known[kind][known[kind]["name"] == name]
        raise UnknownZone(name, tuple(dict.fromkeys(map(str, known["town"]["name"]))) if "town" in known else ())

    def _outside(self, zone: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
        """The county without a zone; without a county layer, the ground of the scenes without it."""
        county = self.county_outline()
        if county is None:
            boxes = [shapely.box(*scene.grid.bounds()) for scene in self.scenes()]
            crs = [scene.grid.crs for scene in self.scenes()]
            ground = [
                gpd.GeoSeries([shape], crs=one).to_crs(CGCS2000).iloc[0] for shape, one in zip(boxes, crs, strict=True)
            ]
            whole = shapely.union_all(ground)
        else:
            whole = county.geometry.union_all()
        rest = shapely.difference(whole, zone.geometry.union_all())
        return gpd.GeoDataFrame(
            {"zone_type": ["county"], "name": [""], "part": [""], "code": [""]}, geometry=[rest], crs=CGCS2000
        )


def _named(layer: gpd.GeoDataFrame, ref: ZoneRef) -> gpd.GeoDataFrame:
    """Zones of the name, or whose name holds it, and of the part."""
    chosen = layer
    if ref.name is not None:
        chosen = layer[layer["name"] == ref.name]
        if chosen.empty:
            chosen = layer[layer["name"].str.contains(ref.name, regex=False)]
    if ref.part is not None:
        chosen = chosen[chosen["part"] == ref.part]
    if chosen.empty:
        raise UnknownZone(ref.name or ref.part or "", tuple(dict.fromkeys(map(str, layer["name"]))))
    return chosen.reset_index(drop=True)


def _clipped(layer: gpd.GeoDataFrame, outline: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """The ground of some zones inside others; zones without any are left out."""
    shared = shapely.intersection(layer.geometry.to_numpy(), outline.geometry.union_all())
    layer = layer.set_geometry(gpd.GeoSeries(map(polygons_only, shared), index=layer.index, crs=layer.crs))
    return layer[~layer.geometry.is_empty].reset_index(drop=True)


def _around(query: Query | None) -> Place:
    """A disc around the point of a query."""
    if query is None or query.lon is None or query.lat is None or query.radius_m is None:
        raise CannotTell("NO_ZONE_LAYER", "point")
    local = f"+proj=aeqd +lat_0={query.lat} +lon_0={query.lon} +ellps=GRS80 +units=m"
    disc = shapely.Point(0, 0).buffer(query.radius_m, quad_segs=_POINT_SIDES)
    shape = gpd.GeoSeries([disc], crs=local).to_crs(CGCS2000).iloc[0]
    name = f"{query.lon:.4f}, {query.lat:.4f}"
    frame = gpd.GeoDataFrame(
        {"zone_type": ["aoi"], "name": [name], "part": [""], "code": [""]}, geometry=[shape], crs=CGCS2000
    )
    return Place("point", name, frame, digest(["point", query.lon, query.lat, query.radius_m]))


@lru_cache(maxsize=4)
def _layers(root: Path, key: str) -> dict[str, gpd.GeoDataFrame]:
    """Zones of a workspace whose zone files have this digest."""
    return load_zones(Workspace(root))


def _stamped(path: Path, cache: Path) -> dict[str, Any]:
    """What is known of a zone file, read anew only when the file's size or time changed."""
    note = cache / "known" / f"{path.name}.json"
    stamp = _stamp(path)
    known = _read_note(note)
    if known is None or known.get("stamp") != stamp or "names" not in known:
        layer = read_zone(path)
        names = {
            str(kind): list(dict.fromkeys(map(str, rows["name"])))
            for kind, rows in layer.groupby("zone_type", sort=True)
        }
        known = {"stamp": stamp, "sha256": file_digest(path), "names": names}
        _write_note(note, known)
    return known


def _file_sha(path: Path, cache: Path) -> str:
    note = cache / "known" / f"{path.name}.json"
    known = _read_note(note)
    if known is None or known.get("stamp") != _stamp(path):
        known = {"stamp": _stamp(path), "sha256": file_digest(path)}
        _write_note(note, known)
    return str(known["sha256"])


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns]


def _read_note(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write_note(path: Path, content: dict[str, Any]) -> None:
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
