"""Rewrites of composed answers that change what they say; each is proved to be false before it is given out.

Every rewrite carries its kind. A changed number is told apart from every
figure, bound and patch of the evidence by more than rounding (of that place,
class or unit, where only those change), so no reading of it is true. Works on
the text and the figures; shares nothing with the checker.
"""

import math
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from src.assistant.record import Evidence, Figure
from tests.assistant.attack_truths import MARGIN, SI, Found, dimension_of, near, numbers, truths
from tests.assistant.paraphrase_words import han, rounded

_COUNT = re.compile(r"(?<![\d.\-–])(\d+)(?=个(?!月)| suspected)")
_NAMES = {
    "zh": {
        **{"cropland": "耕地", "garden": "园地", "forest": "林地", "grassland": "草地"},
        **{"water": "水域", "built": "建设用地", "unused": "未利用地"},
    },
    "en": {
        **{"cropland": "cropland", "garden": "garden land", "forest": "forest", "grassland": "grassland"},
        **{"water": "water", "built": "built-up land", "unused": "unused land"},
    },
}
_STRANGER = {"zh": "柳湾镇", "en": "Liuwan town"}
_DATE = re.compile(
    r"(\d{4})年(\d{1,2})月(\d{1,2})日|(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d{4})"
)
_MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()


@dataclass(frozen=True)
class Attack:
    """One false rewrite.

    Args:
        kind: what was changed.
        text: the whole answer.
        changed: the words before and after.
        evidence: that the answer was made of.
    """

    kind: str
    text: str
    changed: tuple[str, str]
    evidence: Evidence


def _replaced(text: str, start: int, end: int, new: str) -> str:
    return text[:start] + new + text[end:]


def _pick(text: str, rng: random.Random) -> Found | None:
    found = [one for one in numbers(text) if not (one.unit == "%" and one.digits == "95")]
    return rng.choice(found) if found else None


# --- Kinds: each gives the new text and what changed, or None where no false rewrite is certain


Change = tuple[str, tuple[str, str]]


def digit(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """One digit of a figure."""
    one = _pick(text, rng)
    if one is None:
        return None
    places = [i for i, char in enumerate(one.digits) if char.isdigit()]
    at = rng.choice(places)
    other = rng.choice([char for char in "123456789" if char != one.digits[at]])
    new = one.digits[:at] + other + one.digits[at + 1 :]
    if near(evidence, new, one.factor, dimension_of(one.unit)):
        return None
    return _replaced(text, one.start, one.end, new), (one.digits, new)


def count(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """A number of patches or samples."""
    found = list(_COUNT.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    new = int(match[1]) + rng.choice((-3, -2, 2, 3, 5, 10))
    listed = {len(evidence.patches) - n for n in range(4)}
    total = {int(value) - n for value, _ in truths(evidence, "count") for n in range(4)}
    if new <= 0 or new in listed | total:
        return None
    return _replaced(text, match.start(1), match.end(1), str(new)), (match[1], str(new))


def unit(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """The unit of a figure."""
    one = _pick(text, rng)
    if one is None or one.unit == "%":
        return None
    units = ("亩", "公顷", "平方公里") if evidence.query.lang == "zh" else ("mu", "ha", "km2")
    new = rng.choice([name for name in units if name != one.unit])
    factor = SI[new] * (1e4 if one.scale else 1.0)
    if near(evidence, one.digits, factor, "area"):
        return None
    at = text.index(one.unit, one.end)
    return _replaced(text, at, at + len(one.unit), new), (one.digits + one.unit, one.digits + new)


_SIGN_WORDS = {
    "zh": (
        ("净增加", "净减少"),
        ("净减少", "净增加"),
        ("年均增加", "年均减少"),
        ("年均减少", "年均增加"),
        ("流入", "流出"),
        ("流出", "流入"),
    ),
    "en": (
        ("net gain of", "net loss of"),
        ("net loss of", "net gain of"),
        ("was lost", "was gained"),
        ("was gained", "was lost"),
        ("Gained", "Lost"),
        (": a gain of", ": a loss of"),
        (": a loss of", ": a gain of"),
    ),
}
_OPPOSITE = {"gain": "loss", "loss": "gain"}


def sign(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """The direction of a figure: gain for loss, up for down."""
    old, new = rng.choice(_SIGN_WORDS[evidence.query.lang])
    gap = r"[^\d。，；.;]{0,6}" if evidence.query.lang == "zh" else " "
    found = [m for m in re.finditer(re.escape(old) + gap + r"(?=\d)", text)]
    if not found:
        return None
    match = rng.choice(found)
    after = next((one for one in numbers(text) if one.start >= match.end()), None)
    if after is None or after.start != match.end():
        return None
    meant = near(evidence, after.digits, after.factor, dimension_of(after.unit))
    signed = [one for one in meant if one is not None and one.quantity in ("net", "slope", "gain", "loss")]
    if not signed or len(signed) != len(meant) or len({one.quantity for one in signed}) > 1:
        return None
    if signed[0].quantity in ("net", "slope") and not _one_sign(signed, after):
        return None
    return _replaced(text, match.start(), match.start() + len(old), new), (old, new)


def _one_sign(figures: list[Figure], found: Found) -> bool:
    """Whether all values and bounds that the number could be have one sign."""
    near_by = [
        end
        for one in figures
        for end in (one.value, *(one.bounds or ()))
        if abs(abs(end) - found.value) <= MARGIN * found.step
    ]
    return all(end > 0 for end in near_by) or all(end < 0 for end in near_by)


def land_class(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """The class that a figure is said to be of."""
    names = _NAMES[evidence.query.lang]
    pattern = "|".join(sorted(names.values(), key=len, reverse=True))
    gap = r"[^\d。，；：.;:,、→]{0,12}" if evidence.query.lang == "zh" else r"[^\d。，；.;,→]{0,24}"
    found = list(re.finditer(rf"(?<![→非])({pattern})(?!→| →)(?={gap}\d)", text))
    if not found:
        return None
    match = rng.choice(found)
    after = next((one for one in numbers(text) if one.start > match.end()), None)
    if after is None or re.search(r"[\d。；]", text[match.end() : after.start]):
        return None
    meant = near(evidence, after.digits, after.factor, dimension_of(after.unit))
    old = next(key for key, name in names.items() if name == match[1])
    # The class must be one that the figure is of, so that naming another is false.
    if not meant or any(one is None or old not in (one.cls, one.from_cls, one.to_cls) for one in meant):
        return None
    new = rng.choice([key for key in names if key != old])
    if any(one is not None and new in (one.cls, one.from_cls, one.to_cls) for one in meant):
        return None
    return _replaced(text, match.start(1), match.end(1), names[new]), (match[1], names[new])


def zone(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """The place that a figure is said to be of."""
    lang = evidence.query.lang
    towns = sorted({figure.place for figure in evidence.figures if figure.place})
    whole = evidence.place or {"zh": "全县", "en": "the whole county"}[lang]
    places = [place for place in (*towns, whole) if place in text]
    if not places:
        return None
    old = rng.choice(places)
    starts = [m.start() for m in re.finditer(re.escape(old), text)]
    at = rng.choice(starts)
    new = rng.choice([place for place in (*towns, whole, _STRANGER[lang]) if place != old])
    after = next((one for one in numbers(text) if one.start >= at + len(old)), None)
    if after is None or re.search(r"[\d。；;、]|\. ", text[at + len(old) : after.start]):
        return None
    meant = near(evidence, after.digits, after.factor, dimension_of(after.unit))
    as_figure = None if new == whole else new
    was = None if old == whole else old
    if not meant or any(one is None or one.place == as_figure or one.place != was for one in meant):
        return None
    return _replaced(text, at, at + len(old), new), (old, new)


def day(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """A date."""
    found = list(_DATE.finditer(text))
    if not found:
        return None
    match = rng.choice(found)
    if match[1]:
        old = date(int(match[1]), int(match[2]), int(match[3]))
    else:
        old = date(int(match[6]), _MONTHS.index(match[5]) + 1, int(match[4]))
    new = old + timedelta(days=rng.choice((-366, -90, -31, -7, -1, 1, 7, 31, 90, 365)))
    known = {scene.date for scene in evidence.scenes} | {evidence.t1, evidence.t2}
    known |= {end for figure in evidence.figures for end in (figure.t1, figure.t2)}
    if new.isoformat() in known:
        return None
    shown = (
        f"{new.year}年{new.month}月{new.day}日"
        if evidence.query.lang == "zh"
        else f"{new.day} {_MONTHS[new.month - 1]} {new.year}"
    )
    return _replaced(text, match.start(), match.end(), shown), (match[0], shown)


def swap(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """Two figures of one unit change places, each then being false of what is said of it."""
    found = [one for one in numbers(text) if one.unit != "%" or one.digits != "95"]
    if len(found) < 2:
        return None
    first, second = sorted(rng.sample(found, 2), key=lambda one: one.start)
    if (first.unit, first.scale) != (second.unit, second.scale) or first.digits == second.digits:
        return None
    sides = [near(evidence, one.digits, one.factor, dimension_of(one.unit)) for one in (first, second)]
    if any(not side or None in side for side in sides):
        return None
    # Different in what they are of, not only in which bound of one figure they are.
    facts = [{_meaning(one) for one in side if one is not None} for side in sides]
    if facts[0] & facts[1] or abs(first.value - second.value) <= MARGIN * max(first.step, second.step):
        return None
    swapped = _replaced(text, second.start, second.end, first.digits)
    swapped = _replaced(swapped, first.start, first.end, second.digits)
    return swapped, (first.digits, second.digits)


def _meaning(figure: Figure) -> tuple[str | None, ...]:
    return (
        figure.quantity,
        figure.dimension,
        figure.cls,
        figure.from_cls,
        figure.to_cls,
        figure.place,
        figure.kind,
        figure.t2,
    )


def invented(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """A sentence with a figure that nothing measured."""
    lang = evidence.query.lang
    value, cls = rng.uniform(20, 9000), rng.choice(list(_NAMES[lang].values()))
    shown = rounded(value, 4)
    if near(evidence, shown, SI["亩"], "area"):
        return None
    n = rng.randint(200, 900)
    if any(abs(truth - n) < 5 for truth, _ in truths(evidence, "count")):
        return None
    per_cent = rounded(value / 100, 3)
    if near(evidence, per_cent, 0.01, "share"):
        return None
    line = {
        "zh": (
            f"另有{cls}净减少{shown}亩。",
            f"其中{cls}新增{shown}亩。",
            f"{cls}占{per_cent}%。",
            f"另发现疑似图斑{n}个。",
            "另有图斑510723-20241028-20-99999须重点核查。",
            f"预计明年{cls}还将减少{shown}亩。",
        ),
        "en": (
            f"A further {shown} mu of {cls} was lost.",
            f"New {cls} comes to {shown} mu.",
            f"{cls.capitalize()} makes up {per_cent}%.",
            f"Another {n} suspected patches were found.",
            "Patch 510723-20241028-20-99999 needs a close look.",
            f"Next year {shown} mu of {cls} will be lost.",
        ),
    }[lang]
    new = rng.choice(line)
    lines = text.split("\n")
    lines.insert(rng.randint(1, len(lines)), new)
    return "\n".join(lines), ("", new)


def verdict(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """A judgement that no image carries."""
    new = rng.choice(
        {
            "zh": ("以上图斑均属违法占地。", "经判定，上述建设属于违法用地，应予处罚。", "可以确认当事人违法建设。"),
            "en": (
                "These patches are illegal.",
                "This building is unlawful and must be fined.",
                "The land was illegally occupied.",
            ),
        }[evidence.query.lang]
    )
    return f"{text}\n{new}", ("", new)


def numeral(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """A figure in Chinese numerals that are wrong."""
    one = _pick(text, rng)
    if evidence.query.lang != "zh" or one is None or one.unit == "%" or float(one.digits) < 2:
        return None
    wrong = float(one.digits) * rng.choice((0.1, 0.9, 1.1, 1.3, 2, 10))
    new = rounded(wrong, 3)
    if float(new) >= 1e8 or near(evidence, new, one.factor, "area"):
        return None
    words = han(new)
    return _replaced(text, one.start, one.end, words), (one.digits, words)


def precision(text: str, evidence: Evidence, rng: random.Random) -> Change | None:
    """A figure rounded to a value that is not its rounding, or written finer than it is known and wrong there."""
    one = _pick(text, rng)
    if one is None:
        return None
    dimension = dimension_of(one.unit)
    if rng.random() < 0.5:
        tail = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 2)))
        new = f"{one.digits}{tail}" if "." in one.digits else f"{one.digits}.{tail}"
        if new.endswith("0"):
            return None
    else:
        digits = len(one.digits.replace(".", "").lstrip("0"))
        if digits < 3:
            return None
        kept = rng.randint(2, digits - 1)
        value = float(one.digits)
        place = 10.0 ** (math.floor(math.log10(value)) + 1 - kept)
        moved = float(rounded(value, kept)) + rng.choice((-1, 1)) * place
        new = rounded(moved, kept) if moved > 0 else ""
    if not new or near(evidence, new, one.factor, dimension):
        return None
    return _replaced(text, one.start, one.end, new), (one.digits, new)


KINDS: dict[str, Callable[[str, Evidence, random.Random], Change | None]] = {
    "digit": digit,
    "count": count,
    "unit": unit,
    "sign": sign,
    "class": land_class,
    "zone": zone,
    "date": day,
    "swap": swap,
    "invented": invented,
    "numeral": numeral,
    "precision": precision,
    "verdict": verdict,
}


def attacks(text: str, evidence: Evidence, each: int, seed: int) -> Iterator[Attack]:
    """Up to so many rewrites of each kind; kinds that fit nothing in the text give fewer."""
    for kind, change in KINDS.items():
        rng = random.Random(f"{seed}-{kind}-{evidence.id}")
        seen: set[str] = set()
        for _ in range(20 * each):
            if len(seen) == each:
                break
            if (made := change(text, evidence, rng)) is None or made[0] in seen or made[0] == text:
                continue
            seen.add(made[0])
            yield Attack(kind, made[0], made[1], evidence)
