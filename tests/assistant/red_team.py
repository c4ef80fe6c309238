"""Statements about evidence for trying the checker: parts that both languages share.

A statement is a template with slots: numbers, classes, places, directions, dates, patch numbers. Its slots are filled
from the record, so it is true; a lie changes one slot, or swaps two, and is kept only where ``Record`` finds nothing
that would make it true after all.
"""

import math
import random
from dataclasses import dataclass, field

UNIT_M2 = {"mu": 2000 / 3, "ha": 1e4, "km2": 1e6, "m2": 1.0, "wan": 2e7 / 3}
UNIT_WORDS = {
    "zh": {"mu": ("亩",), "ha": ("公顷",), "km2": ("平方公里", "平方千米"), "m2": ("平方米",), "wan": ("万亩",)},
    "en": {"mu": ("mu",), "ha": ("ha", "hectares"), "km2": ("km²", "square kilometres"), "m2": ("m²", "square metres")},
}
CLASSES = {
    "zh": {
        "cropland": ("耕地",),
        "garden": ("园地",),
        "forest": ("林地",),
        "grassland": ("草地",),
        "water": ("水域",),
        "built": ("建设用地",),
        "unused": ("未利用地",),
    },
    "en": {
        "cropland": ("cropland", "farmland"),
        "garden": ("garden land",),
        "forest": ("forest",),
        "grassland": ("grassland",),
        "water": ("water",),
        "built": ("built-up land",),
        "unused": ("unused land",),
    },
}
FLOWS = {
    "zh": {
        "gain": ("流入", "新增", "转入"),
        "loss": ("流出", "转出", "流失"),
        "up": ("净增加", "净增"),
        "down": ("净减少", "净减"),
    },
    "en": {
        "gain": ("gained",),
        "loss": ("lost",),
        "up": ("had a net gain of",),
        "down": ("had a net loss of", "saw a net decrease of"),
    },
}
KINDS = {
    "zh": {"20": "建(构)筑物", "DT": "动土/推填土", "SM": "水面增减", "ZB": "植被变化"},
    "en": {"20": "building or structure", "DT": "earthwork", "SM": "water surface", "ZB": "vegetation"},
}
ZONES = {
    "zh": {"reserve": "自然保护地", "basic_farmland": "永久基本农田"},
    "en": {"reserve": "the nature reserve", "basic_farmland": "the permanent basic farmland"},
}
PARTS = {
    "zh": {"core": "核心区", "buffer": "缓冲区", "experimental": "实验区"},
    "en": {"core": "the core zone", "buffer": "the buffer zone", "experimental": "the experimental zone"},
}
_MONTHS = "January February March April May June July August September October November December".split()
_DIGITS = "零一二三四五六七八九"
# Hundredths that a spoken share may be off.
_SPOKEN = {
    "zh": (
        (10, "一成"),
        (20, "两成"),
        (25, "四分之一"),
        (30, "三成"),
        (100 / 3, "三分之一"),
        (40, "四成"),
        (50, "一半"),
        (80, "八成"),
    ),
    "en": (
        (10, "a tenth"),
        (20, "a fifth"),
        (25, "a quarter"),
        (100 / 3, "a third"),
        (40, "two fifths"),
        (50, "half"),
        (80, "four fifths"),
    ),
}
_SPOKEN_OFF = 1.5


@dataclass(frozen=True)
class Number:
    """A number as it is written.

    Args:
        value: SI, share 0..1 or count, never negative.
        dimension: of the figure.
        unit: key of UNIT_M2, "" for others.
        places: decimals written.
        finest: decimals that the record is worth in this unit.
        style: "digits", "chinese" or "spoken".
    """

    value: float
    dimension: str
    unit: str = ""
    places: int = 0
    finest: int = 0
    style: str = "digits"
    word: int = 0
    signed: str = ""

    @property
    def scale(self) -> float:
        """SI in one of what is written."""
        return {"area": UNIT_M2.get(self.unit, 1.0), "area_per_year": UNIT_M2.get(self.unit, 1.0), "share": 0.01}.get(
            self.dimension, 1.0
        )

    @property
    def shown(self) -> float:
        """What is written, in the written unit."""
        return round(self.value / self.scale, self.places)

    @property
    def half_place(self) -> float:
        """Half of the last written place, SI."""
        return 0.5 * 10.0**-self.places * self.scale


@dataclass(frozen=True)
class Word:
    """A word with a meaning: kind "cls", "from", "to", "place", "flow", "date", "patch", "grade"."""

    kind: str
    key: str
    form: int = 0


Slot = Number | Word


@dataclass(frozen=True)
class Statement:
    """One true sentence: ``facts`` are the figures behind its numbers, by slot."""

    template: str
    slots: dict[str, Slot]
    facts: dict[str, dict] = field(default_factory=dict)

    def text(self, lang: str) -> str:
        """As it is read."""
        return self.template.format(**{name: shown(slot, lang) for name, slot in self.slots.items()})


def shown(slot: Slot, lang: str) -> str:
    """A slot in words."""
    return _number(slot, lang) if isinstance(slot, Number) else _word(slot, lang)


def _word(slot: Word, lang: str) -> str:
    if slot.kind in ("cls", "from", "to"):
        forms = CLASSES[lang][slot.key]
        return forms[slot.form % len(forms)]
    if slot.kind == "flow":
        forms = FLOWS[lang][slot.key]
        return forms[slot.form % len(forms)]
    if slot.kind == "place":
        return (
            slot.key
            or {"zh": ("全县", "全县", "县域"), "en": ("the county", "the whole county", "the county")}[lang][
                slot.form % 3
            ]
        )
    if slot.kind == "date":
        return day(slot.key, lang, slot.form)
    if slot.kind == "kind":
        return KINDS[lang][slot.key]
    return slot.key


def day(iso: str, lang: str, form: int) -> str:
    """A date in one of the ways it is written."""
    year, month, date = (int(part) for part in iso.split("-"))
    if lang == "zh":
        digits = "".join(_DIGITS[int(digit)] for digit in str(year)).replace("零", "〇")
        spelled = f"{digits}年{chinese(month)}月{chinese(date)}日"
        return (
            f"{year}年{month}月{date}日",
            iso,
            f"{year}年{month:02}月{date:02}日",
            f"{year}/{month}/{date}",
            f"{year}.{month:02}.{date:02}",
            spelled,
        )[form % 6]
    name = _MONTHS[month - 1]
    return (
        f"{date} {name[:3]} {year}",
        iso,
        f"{name} {date}, {year}",
        f"{date} {name} {year}",
        f"{name[:3]}. {date}, {year}",
    )[form % 5]


def chinese(number: float, places: int = 0) -> str:
    """A number below 100,000 in Chinese numerals."""
    text = f"{number:.{places}f}"
    whole, _, rest = text.partition(".")
    tail = f"点{''.join(_DIGITS[int(one)] for one in rest)}" if rest else ""
    return _whole(int(whole)) + tail


def _whole(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    units = ((10000, "万"), (1000, "千"), (100, "百"), (10, "十"))
    size, name = next(one for one in units if number >= one[0])
    head, rest = divmod(number, size)
    start = "" if (name, head) == ("十", 1) else _whole(head)
    if not rest:
        return f"{start}{name}"
    gap = "零" if rest < size / 10 else ""
    inner = f"一{_whole(rest)}" if 10 <= rest < 20 else _whole(rest)
    return f"{start}{name}{gap}{inner}"


def _number(slot: Number, lang: str) -> str:
    value = slot.shown
    if slot.style == "spoken":
        return next(word for at, word in _SPOKEN[lang] if abs(at - value) <= _SPOKEN_OFF)
    if slot.dimension == "share":
        if slot.style == "chinese":
            return f"百分之{chinese(value, slot.places)}"
        mark = ("%", "%", " per cent" if lang == "en" else "%")[slot.word % 3]
        return f"{value:.{slot.places}f}{mark}"
    if slot.dimension == "index":
        return f"{value:.{slot.places}f}"
    if slot.dimension == "count":
        return (
            chinese(value).replace("二", "两")
            if slot.style == "chinese" and value == 2
            else chinese(value)
            if slot.style == "chinese"
            else f"{value:.0f}"
        )
    words = UNIT_WORDS[lang][slot.unit]
    digits = f"{value:,.{slot.places}f}" if slot.word % 2 and value >= 1000 else f"{value:.{slot.places}f}"
    digits = chinese(value, slot.places) if slot.style == "chinese" else digits
    return f"{slot.signed}{digits}{'' if lang == 'zh' else ' '}{words[slot.word % len(words)]}"


def worth(figure: dict, unit: str) -> int:
    """Decimals that the bounds of a figure justify in a unit: three digits of half their width."""
    bounds = figure.get("bounds")
    if figure["dimension"] == "share":
        return 1
    if figure["dimension"] in ("count", "index"):
        return figure.get("decimals") or 0
    if not bounds or bounds[0] == bounds[1]:
        return {"mu": 2, "ha": 2, "km2": 4, "m2": 0, "wan": 4}[unit]
    half = (bounds[1] - bounds[0]) / 2 / UNIT_M2[unit]
    return 2 - math.floor(math.log10(half))


def write(figure: dict, lang: str, rng: random.Random, value: float | None = None, plain: bool = False) -> Number:
    """A figure as a number with a fair rounding: at least two digits, no more than it is worth."""
    amount = abs(figure["value"] if value is None else value)
    dimension = figure["dimension"]
    if dimension == "count":
        style = "chinese" if lang == "zh" and rng.random() < 0.3 and not plain else "digits"
        return Number(amount, dimension, style=style)
    if dimension == "index":
        return Number(amount, dimension, places=2, finest=2)
    if dimension == "share":
        percent = amount * 100
        places = 1 if percent < 10 or plain else rng.choice((0, 1, 1))
        near = [word for at, word in _SPOKEN[lang] if abs(at - percent) <= _SPOKEN_OFF * 0.6]
        style = rng.choice(
            ("digits", "digits", "chinese" if lang == "zh" else "digits", "spoken" if near else "digits")
        )
        style = "digits" if plain else style
        return Number(
            amount, dimension, places=1 if style == "spoken" else places, finest=1, style=style, word=rng.randrange(3)
        )
    unit = _unit(amount, lang, rng, plain)
    finest = worth(figure, unit)
    size = amount / UNIT_M2[unit]
    least = 1 - math.floor(math.log10(size)) if size > 0 else 0
    places = max(rng.choice((finest, finest, min(finest, least))), least if finest < least else -9)
    places = 0 if places < 0 else places
    places = min(places, max(finest, least, 0))
    style = "chinese" if lang == "zh" and not plain and unit in ("mu", "ha") and rng.random() < 0.2 else "digits"
    return Number(amount, dimension, unit, places, max(finest, 0), style, rng.randrange(4))


def _unit(amount: float, lang: str, rng: random.Random, plain: bool) -> str:
    if plain:
        return "mu" if lang == "zh" else "ha"
    units = ["mu", "mu", "ha"] if lang == "zh" else ["ha", "ha", "mu"]
    units += ["km2"] if amount >= 1e5 else []
    units += ["m2"] if amount < 5e4 else []
    units += ["wan"] if lang == "zh" and amount >= 1e6 else []
    return rng.choice(units)


class Record:
    """What the evidence holds, looked at without the checker: every value with what it is of."""

    def __init__(self, evidence: dict) -> None:
        self.rows: list[tuple[str, float, dict]] = []
        for figure in evidence["figures"]:
            for value in (figure["value"], *(figure["bounds"] or ())):
                self.rows.append((figure["dimension"], abs(value), figure))
        for patch in evidence["patches"]:
            of_patch = {
                "quantity": "patch",
                "cls": None,
                "from_cls": patch["from_cls"],
                "to_cls": patch["to_cls"],
                "place": patch["town"],
                "kind": patch["kind"],
                "patch_id": patch["id"],
            }
            for value in (patch["area_m2"], *patch["bounds"], patch["overlap_m2"] or 0.0):
                self.rows.append(("area", value, of_patch))
        self.days = {scene["date"] for scene in evidence["scenes"]} | {evidence["t1"], evidence["t2"]}
        self.days |= {figure[end] for figure in evidence["figures"] for end in ("t1", "t2")}
        self.patch_ids = {patch["id"] for patch in evidence["patches"]}
        self.places = sorted({figure["place"] for figure in evidence["figures"] if figure["place"]})

    def holds(self, number: Number, **wanted: object) -> bool:
        """Whether any value with these properties reads as this number."""
        written = number.shown * number.scale
        off = number.half_place * 1.1 + 1e-9
        off = max(off, 0.016) if number.style == "spoken" else off
        return any(
            dimension == number.dimension
            and abs(value - written) <= off
            and all(_is(row, key, value_) for key, value_ in wanted.items())
            for dimension, value, row in self.rows
        )


def _is(row: dict, key: str, value: object) -> bool:
    if key == "any_cls":
        return value in (row.get("cls"), row.get("from_cls"), row.get("to_cls"))
    if key == "flow":
        sign = "up" if row.get("value", 0) > 0 else "down"
        quantity = row["quantity"]
        return quantity == value or quantity == "transition" or (quantity in ("net", "difference") and sign == value)
    return row.get(key) == value


def joined(statements: list[Statement], lang: str, rng: random.Random) -> str:
    """Statements as one text: a paragraph, lines, bullets or a numbered list."""
    texts = [one.text(lang) for one in statements]
    texts = texts if lang == "zh" else [text[0].upper() + text[1:] for text in texts]
    how = rng.randrange(5)
    if how <= 1 or any("\n" in text for text in texts):
        return ("\n" if any("\n" in text for text in texts) else "" if lang == "zh" else " ").join(texts)
    mark = ("", "- ", "* ")[how - 2] if rng.random() < 0.7 else None
    return "\n".join(f"{mark if mark is not None else f'{number}. '}{text}" for number, text in enumerate(texts, 1))
