"""The evidence behind an answer: flat, typed figures, each with what it is a figure of.

Every number that an answer shows is the value of a ``Figure``, one of its
bounds, a count of rows, or a date or name in this record. ``check`` relies on
it, so nothing is left for the reader of the text to guess: class, place, dates
and kind of a figure stand in its fields, never in its key alone.
"""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

from src.assistant.query import Query
from src.geo.evidence import digest

Dimension = Literal[
    "area",  # m2
    "share",  # 0..1
    "count",  # whole number
    "area_per_year",  # m2 a year
    "share_per_year",  # 1 a year
    "index",  # no unit, such as NDVI or R2
    "length",  # m
    "degrees",
    "days",
    "year",
]
Quantity = Literal[
    "gain",
    "loss",
    "net",
    "state",
    "transition",
    "patch",
    "patches",
    "overlap",
    "zone",
    "seen",
    "unit",
    "slope",
    "rate",
    "index",
    "accuracy",
    "samples",
    "series",
    "difference",
    "place",
    "period",
    "converted",
    "towns",
]
QUANTITIES: tuple[str, ...] = get_args(Quantity)


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Figure(_Strict):
    """One number with everything it is a number of.

    Args:
        key: unique in its evidence, such as "gain" or "town.青禾乡.net".
        quantity: what it says. "gain" is inflow (class after, not before), "loss" outflow, "net" gain minus loss
            (signed), "state" a class on one date, "transition" from one class to another, "patch" one patch, "patches"
            all patches of the answer, "overlap" patch ground inside a zone, "zone" the zone itself, "seen" clear
            share, "unit" minimum mapping unit, "difference" of two compared figures (signed).
        value: in the unit of the dimension, SI; signed where the quantity is.
        dimension: see ``Dimension``.
        bounds: lower and upper bound, same unit; None where there is none.
        bounds_kind: "ci95" a 95 % confidence interval, "range" a range that is no interval.
        n_samples: reference samples behind an interval.
        cls: class it is about.
        from_cls: class before.
        to_cls: class after.
        place: name of the zone or town as an answer says it; None for the whole area of the query.
        t1: first acquisition date it rests on, ISO.
        t2: second or only acquisition date.
        patch_id: patch it describes.
        kind: further distinction, such as a patch type code, a grade, "user" or "producer" accuracy, or a month.
        decimals: places that the dimension's display unit is worth; None means the default of the unit.
    """

    key: str
    quantity: Quantity
    value: float
    dimension: Dimension
    bounds: tuple[float, float] | None = None
    bounds_kind: Literal["ci95", "range"] | None = None
    n_samples: int | None = None
    cls: str | None = None
    from_cls: str | None = None
    to_cls: str | None = None
    place: str | None = None
    t1: str | None = None
    t2: str | None = None
    patch_id: str | None = None
    kind: str | None = None
    decimals: int | None = None


class SceneUse(_Strict):
    """A scene that the answer rests on, or that was looked at and left out.

    Args:
        id: of the scene.
        date: acquisition, ISO.
        sensor: key of SENSORS.
        level: of processing.
        clear_share: of the asked area, 0..1.
        cloud_percent: of the product's metadata.
        used: False for a scene that was left out.
        why: code of SCENE_REASONS: why it was taken or left out.
    """

    id: str
    date: str
    sensor: str
    level: str
    clear_share: float
    cloud_percent: float | None = None
    used: bool = True
    why: str = "nearest"


# Why a scene was taken or left out, as an answer or trace says it.
SCENE_REASONS: dict[str, dict[str, str]] = {
    "nearest": {"zh": "离所问日期最近且季节相近", "en": "nearest to the day asked about, in a like season"},
    "only": {"zh": "时段内唯一可用", "en": "the only one that can be used"},
    "window": {"zh": "在所问时段内", "en": "inside the period asked about"},
    "before_window": {"zh": "时段开始前最近的清晰影像", "en": "last clear one before the period"},
    "series": {"zh": "时间序列中的一期", "en": "one date of the series"},
    "cloudy": {"zh": "云量过大", "en": "too cloudy"},
    "season": {"zh": "季节不同", "en": "another season"},
    "farther": {"zh": "离所问日期更远", "en": "farther from the day asked about"},
}


class Table(_Strict):
    """A table of figures: each cell is the key of a figure, a plain name, or "" for nothing."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class PatchRow(_Strict):
    """One suspected change as an answer lists it; the full record is in the survey's patches.gpkg.

    Args:
        id: TBBH.
        area_m2: geodesic.
        bounds: less and plus half a pixel, m2.
        lon: of a point inside, EPSG:4490.
        lat: likewise.
        t1: first date.
        t2: second date.
        from_cls: class before, "" where unknown.
        to_cls: class after.
        kind: type code (CHANGE_TYPES).
        grade: A, B or C.
        confidence: 0..1.
        town: "" where no layer tells it.
        sector: one of N NE E SE S SW W NW C, seen from the centre of the asked area.
        zones: kinds of zones it meets.
        overlap_m2: ground inside the asked zone; None where none was asked.
        status: of the review.
    """

    id: str
    area_m2: float
    bounds: tuple[float, float]
    lon: float
    lat: float
    t1: str
    t2: str
    from_cls: str = ""
    to_cls: str = ""
    kind: str = "QT"
    grade: str = "C"
    confidence: float = 0.0
    town: str = ""
    sector: str = "C"
    zones: tuple[str, ...] = ()
    overlap_m2: float | None = None
    status: str = "待核查"


class Evidence(_Strict):
    """All that an answer may say.

    Args:
        query: what was asked.
        status: "measured"; "cannot_tell" with ``reason``; "words" for answers that rest on no imagery.
        reason: key of CAVEATS or of the answer texts: why it cannot be told, or what is asked back or refused.
        next_step: key of the answer texts: what would help.
        detail: short facts for the reason, such as the name of a missing layer; shown as they are.
        choices: what the asker can choose from, as they may say it.
        t1: start of the period asked about, ISO.
        t2: its end, or the day asked about.
        place: name of the asked area as an answer says it, "" for the county.
        scenes: taken and left out.
        figures: every number.
        cards: keys of the figures to show first, at most six.
        tables: matrices, series, breakdowns.
        patches: listed, in the order of the answer.
        caveats: codes.
        method: mask, change, classifier, threshold, norm: names and settings.
        checks: sums that were verified.
        survey: folder of the measured pair below the workspace's outputs, "" where none; for maps and exports.
        inputs: digest of everything that decides the figures.
    """

    query: Query
    status: Literal["measured", "cannot_tell", "words"] = "measured"
    reason: str | None = None
    next_step: str | None = None
    detail: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    t1: str | None = None
    t2: str | None = None
    place: str = ""
    scenes: tuple[SceneUse, ...] = ()
    figures: tuple[Figure, ...] = ()
    cards: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    patches: tuple[PatchRow, ...] = ()
    caveats: tuple[str, ...] = ()
    method: dict[str, Any] = {}
    checks: dict[str, bool] = {}
    survey: str = ""
    inputs: str = ""

    def figure(self, key: str) -> Figure:
        """The figure of a key; raises KeyError."""
        return next(one for one in self.figures if one.key == key)

    def find(self, **fields: Any) -> tuple[Figure, ...]:
        """Figures whose fields have these values, such as ``find(quantity="gain", cls="forest")``."""
        return tuple(one for one in self.figures if all(getattr(one, name) == value for name, value in fields.items()))

    @property
    def id(self) -> str:
        """SHA-256 of the record: the same evidence has the same id."""
        return digest(self.model_dump(mode="json"))
