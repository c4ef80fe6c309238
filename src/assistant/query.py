"""The typed query: what a question asks for, in one flat object.

A query is made by rules (``parse``), by the model among the same forms
(``choose``), or by hand; wherever it comes from, its fields are checked here.
"""

from datetime import date
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from src.constants import LAND_CLASS_IDS
from src.errors import InputError

Metric = Literal[
    "area_at",
    "share_at",
    "gain",
    "loss",
    "net",
    "transition",
    "matrix",
    "structure",
    "trend",
    "rate",
    "patches",
    "count",
    "rank",
    "patch_detail",
    "point",
    "first_seen",
    "verify",
    "overlap",
    "compare",
    "extreme_interval",
    "presence",
    "index_mean",
    "abandoned",
    "special",
    "accuracy",
    "provenance",
    "convert",
    "explain_diff",
    "export",
    "review",
    "describe",
    "clarify",
    "refuse",
    "unsupported",
]
METRICS: tuple[str, ...] = get_args(Metric)
ZoneKind = Literal[
    "county",
    "town",
    "village",
    "basic_farmland",
    "red_line",
    "reserve",
    "river",
    "urban_boundary",
    "mining",
    "point",
    "aoi",
]
Part = Literal["core", "buffer", "experimental"]
Unit = Literal["mu", "ha", "km2", "m2"]
Lang = Literal["zh", "en"]
# Metrics that measure nothing on imagery.
WORDS_ONLY = frozenset({"convert", "explain_diff", "describe", "clarify", "refuse", "unsupported"})


def _land_class(name: str) -> str:
    if name not in LAND_CLASS_IDS:
        raise ValueError(f"{name!r} is no land class; expected one of {', '.join(LAND_CLASS_IDS)}")
    return name


def _iso_day(day: str) -> str:
    return date.fromisoformat(day).isoformat()


LandClass = Annotated[str, AfterValidator(_land_class)]
Day = Annotated[str, AfterValidator(_iso_day)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ZoneRef(_Strict):
    """Where: a kind of zone, or one zone by name.

    Args:
        type: kind; "point" goes with ``lon``, ``lat`` and ``radius_m`` of the query, "aoi" is a user's own outline.
        name: of one zone; None means all of the kind.
        part: of a reserve.
        inside: False means outside of it.
        town: only its ground inside this town or village.
    """

    type: ZoneKind
    name: str | None = None
    part: Part | None = None
    inside: bool = True
    town: str | None = None


class Rank(_Strict):
    """Only the first ``n`` in this order; "size" puts the largest change first, whether more or less."""

    n: int = Field(ge=1)
    order: Literal["asc", "desc", "size"] = "desc"


class Query(_Strict):
    """What a question asks for; an absent field is None.

    Args:
        metric: what is measured, or "clarify", "refuse", "unsupported" with a ``reason``.
        cls: land class asked about.
        from_cls: class before, of a transition.
        to_cls: class after.
        t1: start of the period, ISO; the state of this day. With one date only (area_at, share_at, presence): None.
        t2: end of the period, or the day asked about.
        zone: where; None means the whole county.
        group_by: "town", "village", "class", "type", "year" or "part".
        rank: order and number of rows.
        compare: what two things are compared.
        others: the second side of a comparison: queries that differ from this one in class, zone or period.
        min_area_m2: smallest patch asked for, m2.
        min_confidence: least confidence of a patch, 0..1.
        patch_id: number (TBBH) of one patch.
        lon: degrees east, EPSG:4490.
        lat: degrees north.
        radius_m: around the point, metres.
        formats: of an export.
        status: of a review, one of ``review.STATES``.
        value: figure to convert, in ``unit``.
        to_unit: unit to convert to.
        unit: unit that the asker wants or gave.
        lang: language of the asker.
        reason: why it is asked back, refused or not supported; of "special": "solar" or "greenhouse"; of "review":
            the cause of a false change; "merged" where the class asked about is part of ``cls`` in the legend.
        wanted: metric that a "clarify" becomes once the missing thing is told.
        source: what made the query.
    """

    metric: Metric
    cls: LandClass | None = None
    from_cls: LandClass | None = None
    to_cls: LandClass | None = None
    t1: Day | None = None
    t2: Day | None = None
    zone: ZoneRef | None = None
    group_by: Literal["town", "village", "class", "type", "year", "part"] | None = None
    rank: Rank | None = None
    compare: Literal["zones", "periods", "classes"] | None = None
    others: tuple["Query", ...] = ()
    min_area_m2: float | None = Field(None, gt=0)
    min_confidence: float | None = Field(None, ge=0, le=1)
    patch_id: str | None = None
    lon: float | None = Field(None, ge=-180, le=180)
    lat: float | None = Field(None, ge=-90, le=90)
    radius_m: float | None = Field(None, gt=0)
    formats: tuple[str, ...] = ()
    status: str | None = None
    value: float | None = None
    to_unit: Unit | None = None
    unit: Unit | None = None
    lang: Lang = "zh"
    reason: str | None = None
    wanted: Metric | None = None
    source: Literal["rules", "model"] = "rules"

    @classmethod
    def of(cls, content: dict[str, Any]) -> Self:
        """A query from plain values.

        Raises:
            InputError: a field is unknown or holds what it must not; the first problem is told.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "query"
            raise InputError(f"query field {where}: {first['msg']} (got {first['input']!r})") from None

    def to_json(self) -> dict[str, Any]:
        """Plain values with every field, as ``python -m src.assistant.parse`` prints them."""
        return self.model_dump(mode="json")

    def changed(self, **fields: Any) -> "Query":
        """A checked copy with other values in some fields."""
        return Query.of(self.to_json() | fields)


class Known(_Strict):
    """What a workspace holds, so that a missing year, zone or class is asked for with choices that exist.

    Args:
        dates: of the scenes, ISO, ascending.
        zones: names of the zones by kind.
        county: name of the county, "" where unknown.
        patch_ids: numbers of patches shown before.
        uncalibrated: no scene allows land cover.
    """

    dates: tuple[Day, ...] = ()
    zones: dict[str, tuple[str, ...]] = {}
    county: str = ""
    patch_ids: tuple[str, ...] = ()
    uncalibrated: bool = False
