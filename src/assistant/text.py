"""How an answer prints one thing: a number with its unit, a date, a class, a place, a span of bounds.

Every form uses these functions, so the same figure is always printed the same
way. Areas are m2 inside; the asker's unit comes first, others stand in
brackets. A figure is never printed finer than its bounds justify: three
significant digits of half their width.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from src.answers.numbers import format_number
from src.answers.units import AREA_UNIT_NAMES
from src.assistant.record import Evidence, Figure
from src.constants import AREA_UNITS_M2, LAND_CLASS_NAMES
from src.geo.patches.fields import CHANGE_TYPES
from src.geo.zones import PARTS, ZONE_TYPES

Words = dict[str, dict[str, str]]

# Decimals of a figure without bounds, as src.answers.units.format_area has them.
_AREA_DECIMALS = {"m2": 0, "mu": 2, "ha": 2, "km2": 4}
_SIGNIFICANT = 3
_LEAST_SIGNIFICANT = 2
# County totals in Chinese are written in units of ten thousand mu from here on.
_WAN_MU = 1e5
_WAN_DIGITS = 4
# Square kilometres beside smaller units say nothing below ten hectares.
_KM2_FROM_M2 = 1e5
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
# Dates listed one by one; more are a span with a count.
_LISTED_DATES = 3
_DECIMALS = {"share": 1, "share_per_year": 2, "index": 3, "length": 0, "degrees": 5, "days": 0, "count": 0, "year": 0}

SENSOR_NAMES: Words = {
    "sentinel2_l2a": {"zh": "Sentinel-2", "en": "Sentinel-2"},
    "sentinel2_l1c": {"zh": "Sentinel-2", "en": "Sentinel-2"},
    "landsat5": {"zh": "Landsat 5", "en": "Landsat 5"},
    "landsat7": {"zh": "Landsat 7", "en": "Landsat 7"},
    "landsat8": {"zh": "Landsat 8", "en": "Landsat 8"},
    "landsat9": {"zh": "Landsat 9", "en": "Landsat 9"},
    "hls_l30": {"zh": "HLS Landsat", "en": "HLS Landsat"},
    "hls_s30": {"zh": "HLS Sentinel-2", "en": "HLS Sentinel-2"},
    "generic": {"zh": "其他传感器", "en": "other sensor"},
}
SECTORS: Words = {
    "N": {"zh": "北部", "en": "north"},
    "NE": {"zh": "东北部", "en": "north-east"},
    "E": {"zh": "东部", "en": "east"},
    "SE": {"zh": "东南部", "en": "south-east"},
    "S": {"zh": "南部", "en": "south"},
    "SW": {"zh": "西南部", "en": "south-west"},
    "W": {"zh": "西部", "en": "west"},
    "NW": {"zh": "西北部", "en": "north-west"},
    "C": {"zh": "中部", "en": "centre"},
}
COUNTY = {"zh": "全县", "en": "the whole county"}
_TEXT: Words = {
    "ci95": {"zh": "95%置信区间{span}", "en": "95% confidence interval {span}"},
    "ci95_n": {"zh": "95%置信区间{span}（n={n}）", "en": "95% confidence interval {span} (n={n})"},
    "range": {"zh": "范围{span}，未经样本校正", "en": "range {span}, not corrected by samples"},
    "range_other": {"zh": "范围{span}", "en": "range {span}"},
    "pixel": {"zh": "像元统计，未经样本校正", "en": "pixel count, not corrected by samples"},
    "up": {"zh": "净增加{}", "en": "a net gain of {}"},
    "down": {"zh": "净减少{}", "en": "a net loss of {}"},
    "flat": {"zh": "净变化为{}", "en": "a net change of {}"},
    "more": {"zh": "多{}", "en": "{} more"},
    "less": {"zh": "少{}", "en": "{} less"},
    "equal": {"zh": "相差{}", "en": "{} apart"},
    "unsure": {"zh": "，增减方向不能确定", "en": "; whether it rose or fell is not certain"},
    "unsure_other": {"zh": "，孰多孰少不能确定", "en": "; which is larger is not certain"},
    "points": {"zh": "{}个百分点", "en": "{} percentage points"},
    "per_year": {"zh": "{}/年", "en": "{} a year"},
    "to": {"zh": "{}至{}", "en": "{} to {}"},
    "many_dates": {"zh": "{first}至{last}共{n}期", "en": "{n} dates from {first} to {last}"},
    "basis": {"zh": "依据{dates}{sensor}影像", "en": "from {sensor} images of {dates}"},
    "clear": {"zh": "清晰覆盖{}", "en": "{} seen clearly"},
    "days": {"zh": "{}天", "en": "{} days"},
    "year": {"zh": "{}年", "en": "{}"},
    "metres": {"zh": "{}米", "en": "{} m"},
    "around": {"zh": "（{lon}，{lat}）周边{radius}范围", "en": "the ground within {radius} of ({lon}, {lat})"},
    "outside": {"zh": "{}以外", "en": "the ground outside {}"},
    "degrees": {"zh": "{}°", "en": "{}°"},
}


# Areas that are no measurement of land cover: there is nothing to correct by samples.
_SIGNED = ("net", "difference", "slope", "rate")
_GIVEN = ("zone", "unit", "converted")
_IMAGE, _LINK = re.compile(r"!\[[^\]]*\]\([^)]*\)"), re.compile(r"\[([^\]]*)\]\([^)]*\)")
_REFERENCE = re.compile(r"!?\[([^\]]*)\]\[[^\]]*\]|^\s*\[[^\]]+\]:.*$", re.MULTILINE)
_TAG = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|$)|<!--.*?(?:-->|$)|</?[a-zA-Z!][^<>]*(?:>|$)", re.DOTALL | re.IGNORECASE
)


def plain(text: str) -> str:
    """A model's text without HTML, images and links (the words of a link stay)."""
    before = None
    # Taking one thing out can put another together.
    while text != before:
        before = text
        text = _LINK.sub(r"\1", _IMAGE.sub("", text))
        text = _TAG.sub("", _REFERENCE.sub(lambda found: found[1] or "", text))
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def pick(table: Words, key: str, lang: str) -> str:
    """A text of a table; a name the table lacks is returned as it is."""
    return table[key][lang] if key in table else key


def day(iso: str, lang: str) -> str:
    """2024-10-28 as "2024年10月28日" or "28 Oct 2024"."""
    when = date.fromisoformat(iso)
    if lang == "zh":
        return f"{when.year}年{when.month}月{when.day}日"
    return f"{when.day} {_MONTHS[when.month - 1]} {when.year}"


def class_name(cls: str, lang: str) -> str:
    """The land class in the language."""
    return pick(LAND_CLASS_NAMES, cls, lang)


def place_name(place: str | None, lang: str) -> str:
    """A place as an answer says it: "" and None are the whole county; a kind of zone gets its name."""
    if not place:
        return COUNTY[lang]
    known = ZONE_TYPES.get(place)
    return place if known is None else known.zh if lang == "zh" else f"the {known.en}"


def type_name(code: str, lang: str) -> str:
    """The kind of change of a code of CHANGE_TYPES."""
    return pick(CHANGE_TYPES, code, lang)


def listed(parts: Sequence[str], lang: str) -> str:
    """Parts as a list: "a、b、c" or "a, b, c"."""
    return ("、" if lang == "zh" else ", ").join(parts)


def area_places(figure: Figure, unit: str) -> int:
    """Decimals that a figure of dimension area (or area a year) is worth in a unit; negative means tens, hundreds."""
    default, scale = _AREA_DECIMALS[unit], AREA_UNITS_M2[unit]
    if figure.bounds is None:
        return _at_least_two_digits(figure.value / scale, default)
    return min(default, _places(figure.bounds, scale))


def area(value_m2: float, unit: str, lang: str, places: int) -> str:
    """An area with its unit: (5000, "mu", "zh", 2) is "7.5亩"; from 100 000 mu on "12.35万亩"."""
    number, name = _area_number(value_m2, unit, lang, places, value_m2)
    return f"{number}{name}"


def percent(figure: Figure) -> str:
    """A share as per cent, with the decimals that its bounds justify."""
    places = _DECIMALS["share"] if figure.decimals is None else figure.decimals
    return f"{format_number(100 * figure.value, _share_places(figure, places))}%"


@dataclass(frozen=True)
class Say:
    """Prints the figures of one evidence in its asker's language and unit."""

    evidence: Evidence

    @property
    def lang(self) -> str:
        """Language of the asker."""
        return self.evidence.query.lang

    @property
    def unit(self) -> str:
        """Unit asked for; mu in Chinese and hectares in English where none was."""
        return self.evidence.query.unit or self._small

    def unit_of(self, figure: Figure) -> str:
        """The unit of a figure: the one asked for, but no square kilometres for single patches."""
        return self._small if self.unit == "km2" and figure.quantity in ("unit", "patch") else self.unit

    @property
    def _small(self) -> str:
        return "mu" if self.lang == "zh" else "ha"

    @property
    def place(self) -> str:
        """The asked area: a zone, its part, the ground outside of it, or around a point."""
        query, zone = self.evidence.query, self.evidence.query.zone
        if zone is not None and zone.type == "point" and query.radius_m is not None:
            radius = _TEXT["metres"][self.lang].format(format_number(query.radius_m, 0))
            return _TEXT["around"][self.lang].format(lon=f"{query.lon:.4f}", lat=f"{query.lat:.4f}", radius=radius)
        name = place_name(self.evidence.place, self.lang)
        if zone is None or not self.evidence.place:
            return name
        part = PARTS[zone.part][self.lang] if zone.part else ""
        if part and part not in name:
            name = f"{name}{part}" if self.lang == "zh" else f"{part} of {name}"
        return name if zone.inside or name.endswith("以外") else _TEXT["outside"][self.lang].format(name)

    def text(self, table: Words, key: str, **values: object) -> str:
        """A text of a table with its values; without any, as it stands."""
        words = table[key][self.lang]
        return words.format(**values) if values else words

    def first(self, **fields: object) -> Figure | None:
        """The first figure with these fields; of the whole area and of no further kind unless said otherwise."""
        wanted = {"place": None, "kind": None} | fields
        return next(iter(self.evidence.find(**wanted)), None)

    def all(self, **fields: object) -> tuple[Figure, ...]:
        """All figures with exactly these fields, largest value first."""
        return tuple(sorted(self.evidence.find(**fields), key=lambda one: -abs(one.value)))

    def short(self, figure: Figure) -> str:
        """The figure with its unit, without sign: "1234亩", "12.5%", "12"."""
        name, unit = figure.dimension, self.unit_of(figure)
        if name == "area":
            return area(abs(figure.value), unit, self.lang, area_places(figure, unit))
        if name == "area_per_year":
            text = area(abs(figure.value), unit, self.lang, area_places(figure, unit))
            return _TEXT["per_year"][self.lang].format(text)
        if name == "share":
            text = percent(figure).removeprefix("-")
            if figure.quantity == "difference":
                return _TEXT["points"][self.lang].format(text.removesuffix("%"))
            return text
        places = _DECIMALS[name] if figure.decimals is None else figure.decimals
        if name == "share_per_year":
            places = _share_places(figure, places)
            text = f"{format_number(abs(100 * figure.value), places)}%"
            return _TEXT["per_year"][self.lang].format(text)
        number = format_number(figure.value, places)
        words = {"days": "days", "year": "year", "length": "metres", "degrees": "degrees"}
        return _TEXT[words[name]][self.lang].format(number) if name in words else number

    def full(self, figure: Figure) -> str:
        """An area in the asked unit with the others in brackets; anything else as ``short``."""
        if figure.dimension != "area" or figure.value == 0:
            return self.short(figure)
        others = [
            area(abs(figure.value), unit, self.lang, area_places(figure, unit))
            for unit in ("mu", "ha", "km2")
            if unit != self.unit_of(figure) and not (unit == "km2" and abs(figure.value) < _KM2_FROM_M2)
        ]
        inside = ("，" if self.lang == "zh" else ", ").join(others)
        return f"{self.short(figure)}（{inside}）" if self.lang == "zh" else f"{self.short(figure)} ({inside})"

    def span(self, figure: Figure) -> str:
        """Both bounds with one unit: "1100–1370亩"; of a net that may be either, "净减少16亩至净增加390亩"."""
        assert figure.bounds is not None
        low, high = figure.bounds
        if low < 0 < high and figure.quantity in _SIGNED:
            both = (self.signed(figure.model_copy(update={"value": end})) for end in (low, high))
            return _TEXT["to"][self.lang].format(*both)
        if high <= 0 and low < 0:
            low, high = -high, -low
        if figure.dimension in ("area", "area_per_year"):
            unit = self.unit_of(figure)
            places = area_places(figure, unit)
            (small, _), (large, name) = (
                _area_number(end, unit, self.lang, places, figure.value) for end in (low, high)
            )
            text = f"{small}–{large}{name}"
            return _TEXT["per_year"][self.lang].format(text) if figure.dimension == "area_per_year" else text
        ends = [self.short(figure.model_copy(update={"value": end})) for end in (low, high)]
        if figure.dimension in ("share", "share_per_year"):
            # "3–5%/年": the unit once.
            ends[0] = ends[0].partition("%")[0].removesuffix(_TEXT["points"][self.lang].format(""))
        return "–".join(ends)

    def spread(self, figure: Figure, *, brief: bool = False) -> str:
        """What is known of a figure's error: its interval, its range, or that it is a bare pixel count.

        Says where the bounds leave the sign open. ``brief`` leaves out what the headline has said for all figures.
        """
        if figure.bounds is None:
            counted = figure.dimension == "area" and figure.quantity not in _GIVEN
            return _TEXT["pixel"][self.lang] if counted and not brief else ""
        if figure.bounds_kind == "ci95":
            key = "ci95_n" if figure.n_samples and not brief else "ci95"
        else:
            counted = figure.dimension in ("area", "area_per_year", "share") and figure.quantity != "accuracy"
            key = "range" if counted and not brief else "range_other"
        return _TEXT[key][self.lang].format(span=self.span(figure), n=figure.n_samples) + self._unsure(figure)

    def bracketed(self, figure: Figure) -> str:
        """``spread`` in brief and in brackets, "" where there is none to tell."""
        text = self.spread(figure, brief=True)
        return "" if not text else f"（{text}）" if self.lang == "zh" else f" ({text})"

    def signed(self, figure: Figure, *, full: bool = False) -> str:
        """A signed figure in words: "净减少120亩", "a net loss of 8 ha"; of a difference "多120亩"."""
        words = ("more", "less", "equal") if figure.quantity == "difference" else ("up", "down", "flat")
        key = words[0] if figure.value > 0 else words[1] if figure.value < 0 else words[2]
        return _TEXT[key][self.lang].format(self.full(figure) if full else self.short(figure))

    def _unsure(self, figure: Figure) -> str:
        """Says that the sign of a figure is not certain, where its bounds lie on both sides of nothing."""
        if figure.quantity not in _SIGNED or figure.bounds is None or not figure.bounds[0] < 0 < figure.bounds[1]:
            return ""
        return _TEXT["unsure_other" if figure.quantity == "difference" else "unsure"][self.lang]

    def dates(self) -> str:
        """Acquisition dates of the scenes that the answer rests on."""
        found = sorted({scene.date for scene in self.evidence.scenes if scene.used})
        if not found:
            return ""
        if len(found) > _LISTED_DATES:
            words = _TEXT["many_dates"][self.lang]
            return words.format(first=day(found[0], self.lang), last=day(found[-1], self.lang), n=len(found))
        texts = [day(one, self.lang) for one in found]
        if len(texts) == 1:
            return texts[0]
        last = "和" if self.lang == "zh" else " and "
        return listed(texts[:-1], self.lang) + last + texts[-1]

    def basis(self) -> str:
        """Dates, sensor and clear share: "依据…Sentinel-2影像，清晰覆盖93%"; "" without scenes."""
        used = [scene for scene in self.evidence.scenes if scene.used]
        if not used:
            return ""
        sensors = listed(list(dict.fromkeys(pick(SENSOR_NAMES, one.sensor, self.lang) for one in used)), self.lang)
        parts = [_TEXT["basis"][self.lang].format(dates=self.dates(), sensor=sensors)]
        if seen := self.first(quantity="seen"):
            parts.append(_TEXT["clear"][self.lang].format(percent(seen)))
        return ("，" if self.lang == "zh" else ", ").join(parts)


def _area_number(value_m2: float, unit: str, lang: str, places: int, leading_m2: float) -> tuple[str, str]:
    """Digits and unit name; all of one figure follow its leading value, so bounds share its scale."""
    number, name = value_m2 / AREA_UNITS_M2[unit], AREA_UNIT_NAMES[unit][lang]
    if lang == "zh" and unit == "mu" and abs(leading_m2) / AREA_UNITS_M2["mu"] >= _WAN_MU:
        return format_number(number / 1e4, min(places + 4, _WAN_DIGITS)), f"万{name}"
    return format_number(round(number, places), max(places, 0)), name


def _places(bounds: tuple[float, float], scale: float) -> int:
    """Decimals that leave three significant digits of the half width."""
    half = (bounds[1] - bounds[0]) / 2 / scale
    return 99 if half <= 0 else _SIGNIFICANT - 1 - math.floor(math.log10(half))


def _share_places(figure: Figure, default: int) -> int:
    if figure.bounds is None:
        return _at_least_two_digits(100 * figure.value, default)
    return max(0, min(default, _places(figure.bounds, 0.01)))


def _at_least_two_digits(value: float, default: int) -> int:
    """The default, or more where it would print nothing of a small value."""
    if value == 0 or abs(value) >= 0.5 * 10.0**-default:
        return default
    return _LEAST_SIGNIFICANT - 1 - math.floor(math.log10(abs(value)))
