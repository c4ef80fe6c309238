"""Numbers, units, classes, places and dates of the honest paraphrases, each in several ways of writing."""

import math
import random
from dataclasses import dataclass
from datetime import date

from src.assistant.record import Evidence, Figure

_ZH_CLASS = {
    "cropland": ("耕地", "农田"),
    "garden": ("园地",),
    "forest": ("林地", "森林"),
    "grassland": ("草地",),
    "water": ("水域", "水体"),
    "built": ("建设用地", "建筑用地"),
    "unused": ("未利用地",),
}
_EN_CLASS = {
    "cropland": ("cropland", "farmland"),
    "garden": ("garden land",),
    "forest": ("forest", "woodland"),
    "grassland": ("grassland",),
    "water": ("water",),
    "built": ("built-up land", "construction land"),
    "unused": ("unused land",),
}
_UNITS = {"mu": 2000 / 3, "ha": 1e4, "km2": 1e6, "m2": 1.0}
_ZH_UNIT = {"mu": ("亩",), "ha": ("公顷",), "km2": ("平方公里", "平方千米"), "m2": ("平方米",)}
_EN_UNIT = {
    "mu": (" mu",),
    "ha": (" ha", " hectares"),
    "km2": (" km2", " square kilometres"),
    "m2": (" m2", " square metres"),
}
_MONTHS = "January February March April May June July August September October November December".split()
_DIGITS = "零一二三四五六七八九"


# --- Numbers, units, dates


def rounded(value: float, digits: int) -> str:
    """A positive number to so many significant digits, without an exponent or trailing zeros after the point."""
    places = digits - 1 - math.floor(math.log10(value)) if value else 0
    text = f"{round(value, places):.{max(places, 0)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def han(number: str) -> str:
    """A decimal number below 10**8 in Chinese numerals: 3544 is 三千五百四十四, 12.5 is 十二点五."""
    whole, _, fraction = number.partition(".")
    text = _han_whole(int(whole))
    return f"{text}点{''.join(_DIGITS[int(one)] for one in fraction)}" if fraction else text


def _han_whole(number: int) -> str:
    if number >= 10_000:
        rest = number % 10_000
        gap = "零" if rest and rest < 1000 else ""
        return f"{_han_whole(number // 10_000)}万{gap}{_han_whole(rest) if rest else ''}"
    text, zero = "", False
    for place, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // place % 10
        if digit:
            text += ("零" if zero and text else "") + _DIGITS[digit] + name
        zero = digit == 0
        if digit and name == "":
            zero = False
    text = text or "零"
    return text.removeprefix("一") if text.startswith("一十") else text


@dataclass
class Teller:
    """Says single things of one evidence, each time in another way."""

    evidence: Evidence
    rng: random.Random

    @property
    def zh(self) -> bool:
        return self.evidence.query.lang == "zh"

    @property
    def pair_of_dates(self) -> bool:
        """Whether the evidence rests on two scenes."""
        return sum(scene.used for scene in self.evidence.scenes) == 2

    @property
    def has_towns(self) -> bool:
        """Whether a sentence without a place could be taken for one about the town before it."""
        return any(figure.place for figure in self.evidence.figures)

    @property
    def sides(self) -> list[str]:
        """The two places of a comparison."""
        return [figure.place for figure in self.evidence.figures if figure.place][:2]

    def one(self, *options: str) -> str:
        return self.rng.choice(options)

    def cls(self, name: str | None) -> str:
        return self.one(*(_ZH_CLASS if self.zh else _EN_CLASS)[name or "cropland"])

    def place(self, figure: Figure | None) -> str:
        name = (figure.place if figure is not None else None) or self.evidence.place
        return name or (
            self.one("全县", "全县", "全县范围内") if self.zh else self.one("the county", "the whole county")
        )

    def day(self, iso: str) -> str:
        when = date.fromisoformat(iso)
        month = _MONTHS[when.month - 1]
        if self.zh:
            formal = "".join("〇一二三四五六七八九"[int(one)] for one in str(when.year))
            return self.one(
                f"{when.year}年{when.month}月{when.day}日",
                f"{when.year}年{when.month}月{when.day}日",
                iso,
                iso.replace("-", "/"),
                f"{when.year}.{when.month}.{when.day}",
                f"{formal}年{_han_whole(when.month)}月{_han_whole(when.day)}日",
            )
        return self.one(
            iso,
            f"{when.day} {month[:3]} {when.year}",
            f"{month[:3]} {when.day}, {when.year}",
            f"{month} {when.day}, {when.year}",
            f"{when.day} {month} {when.year}",
        )

    def number(self, value: float, unit_names: tuple[str, ...], *, exact: int = 4, wan: bool = False) -> str:
        """A rounded number with its unit: at two digits it is said to be about."""
        digits = self.rng.choice((2, 3, 3, 4, exact))
        text, name = rounded(value, digits), self.rng.choice(unit_names)
        about = ""
        if digits == 2:
            about = self.one("约", "大约", "大概") if self.zh else self.one("about ", "roughly ", "some ")
        if not self.zh:
            with_commas = f"{float(text):,.0f}" if "." not in text and self.rng.random() < 0.4 else text
            return f"{about}{with_commas}{name}"
        if wan and value >= 1000 and self.rng.random() < 0.3:
            return f"{about}{rounded(value / 1e4, max(digits, 3))}万{name}"
        if self.rng.random() < 0.15 and value < 1e7 and value >= 1 and len(text) < 9:
            return f"{about}{han(text)}{name}"
        return f"{about}{text}{name}"

    def area(self, value_m2: float, unit: str | None = None) -> str:
        unit = unit or self.rng.choice(("mu", "mu", "ha", "ha", "km2" if abs(value_m2) > 1e5 else "mu", "m2"))
        names = (_ZH_UNIT if self.zh else _EN_UNIT)[unit]
        return self.number(abs(value_m2) / _UNITS[unit], names, wan=unit in ("mu", "m2"))

    def exact_mu(self, value_m2: float) -> str:
        """A size in mu as it is: "below about 1.4 mu" is nothing that people say."""
        return f"{rounded(value_m2 / _UNITS['mu'], 4)}亩"

    def share(self, value: float) -> str:
        per_cent = 100 * abs(value)
        text = rounded(per_cent, self.rng.choice((3, 3, 4)))
        if not self.zh:
            return f"{text}{self.one('%', ' percent', ' per cent')}"
        tenths = round(per_cent / 10)
        if 1 <= tenths <= 9 and abs(per_cent - 10 * tenths) <= 1 and self.rng.random() < 0.3:
            return f"约{_DIGITS[tenths]}成"
        if self.rng.random() < 0.3:
            return f"百分之{han(text)}"
        return f"{text}%"

    def count(self, n: float, noun_zh: str = "个") -> str:
        if not self.zh:
            return f"{n:.0f}"
        text = (
            f"{n:.0f}"
            if self.rng.random() < 0.75
            else han(f"{n:.0f}").replace("二", "两", 1)
            if n == 2
            else han(f"{n:.0f}")
        )
        return f"{text}{self.one(noun_zh, '处') if noun_zh == '个' else noun_zh}"

    def bounds(self, figure: Figure) -> str:
        """Its bounds, as a clause; "" for half of the figures and where the sign is open."""
        if figure.bounds is None or figure.bounds[0] * figure.bounds[1] <= 0 or self.rng.random() < 0.5:
            return ""
        low, high = sorted(abs(end) for end in figure.bounds)
        if figure.dimension == "share":
            ends = [rounded(100 * end, 4) for end in (low, high)]
            name = "%"
        elif figure.dimension == "area":
            unit = self.rng.choice(("mu", "ha"))
            ends = [rounded(end / _UNITS[unit], 4) for end in (low, high)]
            name = (_ZH_UNIT if self.zh else _EN_UNIT)[unit][0]
        else:
            return ""
        first, last = ends
        if self.zh:
            sample = figure.bounds_kind == "ci95"
            span = self.one(
                f"介于{first}{name}和{last}{name}之间",
                f"在{first}到{last}{name}之间",
                f"为{first}～{last}{name}",
                f"为{first}{name}至{last}{name}",
                f"{first}-{last}{name}",
            )
            kind = self.one("95%置信区间", "置信区间（95%）") if sample else self.one("范围", "可能的范围")
            return f"，{kind}{span}"
        kind = "95% confidence interval" if figure.bounds_kind == "ci95" else "range"
        span = self.one(f"{first}{name.rstrip() if name == '%' else name} to {last}{name}", f"{first}–{last}{name}")
        return self.one(f", {kind} {span}", f" ({kind} {span})")

    def pair(self, figure: Figure) -> str:
        """Its two dates as a clause that goes before; "" for half of the figures."""
        if not figure.t1 or not figure.t2 or self.rng.random() < 0.5:
            return ""
        first, last = self.day(figure.t1), self.day(figure.t2)
        if self.zh:
            return self.one(
                f"{first}至{last}，", f"从{first}到{last}，", f"{first}到{last}期间，", f"对比{first}和{last}两期影像，"
            )
        return self.one(f"From {first} to {last}, ", f"Between {first} and {last}, ")
