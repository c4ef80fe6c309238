"""What a workspace holds and where it is blind: scenes, clear shares by zone, months without a clear image."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import geopandas as gpd
import numpy as np

from src.errors import GridError
from src.geo.caveats import CAVEATS
from src.geo.raster import read_raster
from src.geo.scene import CLEAR, Scene, SceneRecord
from src.geo.scenes.product import note_in
from src.geo.vector import rasterize, read_vector
from src.geo.workspace import Workspace

# A month counts as seen when some scene of it is clear over at least this share of what it measured.
SEEN_SHARE = 0.5
# Months before the end of the period that are looked at for gaps.
_MONTHS = 36
# Longest side of the thinned mask from which the share of a zone is taken; exact shares belong to an analysis.
_THIN_PX = 2000

TEXT = {
    "title": {"zh": "工作区 {name} {code}", "en": "Workspace {name} {code}"},
    "scenes": {"zh": "影像 {n} 景", "en": "{n} scenes"},
    "scene": {
        "zh": "  {date}  {sensor}  {level}  {quantity}  清晰 {clear:.1%}  掩膜 {mask}  {id}",
        "en": "  {date}  {sensor}  {level}  {quantity}  clear {clear:.1%}  mask {mask}  {id}",
    },
    "cloud": {"zh": "    元数据云量 {percent:g}%", "en": "    cloud by its metadata {percent:g}%"},
    "baseline": {"zh": "    处理基线 {baseline}", "en": "    processing baseline {baseline}"},
    "zone": {"zh": "    {zone}：清晰 {share:.1%}", "en": "    {zone}: clear {share:.1%}"},
    "note": {"zh": "    说明：{text}", "en": "    note: {text}"},
    "caveat": {"zh": "    注意 {code}：{text}", "en": "    caveat {code}: {text}"},
    "gaps": {"zh": "无清晰影像的月份：{text}", "en": "months without a clear image: {text}"},
    "zones": {"zh": "边界图层：{text}", "en": "zone layers: {text}"},
    "labels": {"zh": "标注 {name}：{classes}（{date}）", "en": "labels {name}: {classes} ({date})"},
    "samples": {"zh": "参考样本：{text}", "en": "reference samples: {text}"},
    "none": {"zh": "无", "en": "none"},
    "no_date": {"zh": "日期未注明", "en": "no date given"},
}


@dataclass(frozen=True)
class SceneStatus:
    """One scene: its record, and the clear share (0..1) of every zone layer; what it does not reach is not clear."""

    record: SceneRecord
    zones: dict[str, float]


@dataclass(frozen=True)
class Status:
    """All that ``status`` reports.

    Args:
        workspace: name, code and day that counts as today.
        scenes: by date.
        gaps: months ("2024-03") between the first scene and the end of the period without a clear image.
        zones: layer names.
        labels: records as stored.
        samples: sheet names.
    """

    workspace: dict[str, str | None]
    scenes: tuple[SceneStatus, ...]
    gaps: tuple[str, ...]
    zones: tuple[str, ...]
    labels: tuple[dict[str, Any], ...]
    samples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for --json."""
        return asdict(self)


def measure_status(workspace: Workspace) -> Status:
    """Look at everything in a workspace; masks are read thinned, so this takes seconds."""
    layers = {name: read_vector(path) for name, path in workspace.zones().items()}
    scenes = workspace.scenes()
    return Status(
        workspace={"name": workspace.name, "code": workspace.code, "as_of": workspace.as_of},
        scenes=tuple(SceneStatus(scene.record, _zone_shares(scene, layers)) for scene in scenes),
        gaps=tuple(_gaps([scene.record for scene in scenes], workspace.as_of)),
        zones=tuple(layers),
        labels=tuple(record.to_json() for record in workspace.labels()),
        samples=tuple(workspace.samples()),
    )


def describe(status: Status, lang: str) -> str:
    """The status in words, Chinese ("zh") or English ("en")."""

    def say(key: str, **values: object) -> str:
        return TEXT[key][lang].format(**values)

    none = TEXT["none"][lang]
    lines = [say("title", name=status.workspace["name"] or "", code=status.workspace["code"] or "").rstrip()]
    lines.append(say("scenes", n=len(status.scenes)))
    for scene in status.scenes:
        record = scene.record
        lines.append(
            say(
                "scene",
                **{key: getattr(record, key) for key in ("date", "sensor", "level", "quantity", "id")},
                clear=record.clear_share,
                mask=record.mask_source,
            )
        )
        if record.cloud_percent is not None:
            lines.append(say("cloud", percent=record.cloud_percent))
        if record.baseline is not None:
            lines.append(say("baseline", baseline=record.baseline))
        lines += [say("zone", zone=zone, share=share) for zone, share in scene.zones.items()]
        lines += [say("caveat", code=code, text=CAVEATS[code][lang]) for code in record.caveats]
        lines += [say("note", text=note_in(text, lang)) for text in record.notes]
    lines.append(say("gaps", text=", ".join(_ranges(status.gaps)) or none))
    lines.append(say("zones", text=", ".join(status.zones) or none))
    for label in status.labels:
        classes = ", ".join(f"{name} {count}" for name, count in label["classes"].items())
        lines.append(say("labels", name=label["name"], classes=classes, date=label["date"] or TEXT["no_date"][lang]))
    lines.append(say("samples", text=", ".join(status.samples) or none))
    return "\n".join(lines)


def _zone_shares(scene: Scene, layers: dict[str, gpd.GeoDataFrame]) -> dict[str, float]:
    thin = read_raster(scene.folder / "mask.tif", max_side=_THIN_PX)
    clear, pixel_area = thin.data[0] == CLEAR, abs(thin.grid.transform.determinant)
    shares = {}
    for name, features in layers.items():
        union = features.geometry.to_crs(thin.grid.crs).union_all()
        zone = gpd.GeoDataFrame(geometry=[union], crs=thin.grid.crs)
        try:
            inside = rasterize(zone, thin.grid, values=[1]) == 1
        except GridError:
            # The layer lies wholly outside this scene.
            shares[name] = 0.0
            continue
        seen, reached = int((clear & inside).sum()), int(inside.sum())
        # Pixel centres sample the zone; its own area says how much of it lies beyond the scene.
        share = seen / max(1.0, max(reached, union.area / pixel_area)) if reached else 0.0
        shares[name] = round(float(share), 4)
    return shares


def _gaps(records: Sequence[SceneRecord], as_of: str | None) -> list[str]:
    """Months without a clear image, from the first scene on, in the last _MONTHS up to as_of or the last scene."""
    if not records:
        return []
    seen = {record.date[:7] for record in records if record.clear_share >= SEEN_SHARE}
    last = _month_number(max(as_of or "", records[-1].date))
    first = max(_month_number(records[0].date), last - _MONTHS + 1)
    months = [f"{number // 12:04d}-{number % 12 + 1:02d}" for number in range(first, last + 1)]
    return [month for month in months if month not in seen]


def _month_number(day: str) -> int:
    parsed = date.fromisoformat(day)
    return parsed.year * 12 + parsed.month - 1


def _ranges(months: Sequence[str]) -> list[str]:
    """Runs of months as "2024-01..2024-04"."""
    if not months:
        return []
    numbers = np.array([_month_number(f"{month}-01") for month in months])
    runs = np.split(np.arange(len(months)), np.flatnonzero(np.diff(numbers) > 1) + 1)
    return [months[run[0]] if len(run) == 1 else f"{months[run[0]]}..{months[run[-1]]}" for run in runs]
