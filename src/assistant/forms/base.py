"""What a question form is, and the sentences that several forms share."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from src.assistant.record import Evidence, Figure, PatchRow
from src.assistant.text import SECTORS, Say, Words, class_name, day, listed, pick, place_name, type_name
from src.geo.patches.fields import CHANGE_TYPES
from src.geo.zones import ZONE_TYPES

GRADES = ("A", "B", "C")
# Shown in one line of an answer; the page and the exports have all.
_LISTED = 4
_LISTED_PATCHES = 3

_TEXT: Words = {
    "headline": {"zh": "{words}；{basis}。", "en": "{words}; {basis}."},
    "bare": {"zh": "{words}。", "en": "{words}."},
    "line": {"zh": "{label}：{parts}{more}。", "en": "{label}: {parts}{more}."},
    "more": {"zh": "等", "en": " and others"},
    "in_towns": {"zh": "分乡镇", "en": "by town"},
    "towns": {"zh": "分乡镇", "en": "By town"},
    "villages": {"zh": "分村", "en": "By village"},
    "types": {"zh": "按类型", "en": "by kind"},
    "count": {"zh": "{name}{n}个", "en": "{name} {n}"},
    "grades": {"zh": "按可信度", "en": "by grade"},
    "grade_count": {"zh": "{name}级{n}个", "en": "{name}: {n}"},
    "sectors": {"zh": "面积按方位", "en": "area by direction"},
    "group": {"zh": "{label}：{parts}", "en": "{label}: {parts}"},
    "arrow": {"zh": "{}→{}", "en": "{} → {}"},
    "unknown": {"zh": "未知地类", "en": "unknown class"},
    "first_rows": {"zh": "主要图斑", "en": "First in the list"},
    "patch": {"zh": "{id}（{parts}）", "en": "{id} ({parts})"},
    "rest": {"zh": "；其余{n}个见图斑清单", "en": "; the other {n} patches are in the list"},
    "rest_one": {"zh": "；其余{n}个见图斑清单", "en": "; the other {n} patch is in the list"},
    "grade": {"zh": "可信度{}级", "en": "grade {}"},
    "inside": {"zh": "区内{}", "en": "{} inside the zone"},
    "meets": {"zh": "涉{}", "en": "meets {}"},
}


@dataclass(frozen=True)
class Form:
    """One kind of question.

    Args:
        title: its name by language.
        examples: questions as people ask them, by language.
        sentences: the lines of the answer that are particular to it, headline first, from measured evidence; each
            form's function tells which figures it looks for, and leaves out what is not there.
    """

    title: dict[str, str]
    examples: dict[str, tuple[str, ...]]
    sentences: Callable[[Evidence], list[str]]


def headline(say: Say, words: str, figure: Figure | None = None) -> str:
    """The first sentence: the words, what is known of the figure's error, and what it rests on."""
    spread = say.spread(figure) if figure is not None else ""
    words = joined(say, (words, spread))
    basis = say.basis()
    return say.text(_TEXT, "headline" if basis else "bare", words=words, basis=basis)


def joined(say: Say, parts: Iterable[str]) -> str:
    """Clauses of one sentence; empty ones are left out."""
    return ("，" if say.lang == "zh" else ", ").join(part for part in parts if part)


def ended(say: Say, text: str) -> str:
    """A sentence with its full stop."""
    return say.text(_TEXT, "bare", words=text)


def capital(text: str) -> str:
    """With a large first letter."""
    return text[:1].upper() + text[1:]


def breakdown(say: Say, label: str, parts: Sequence[str], shown: int = _LISTED) -> list[str]:
    """A line "label: a, b, c and others", or none where there is nothing to list."""
    if not parts:
        return []
    more = _TEXT["more"][say.lang] if len(parts) > shown else ""
    return [say.text(_TEXT, "line", label=label, parts=listed(list(parts)[:shown], say.lang), more=more)]


def with_share(say: Say, name: str, figure: Figure) -> str:
    """A part of a breakdown: name, figure, and its share of the whole where the evidence has one."""
    share = say.first(
        dimension="share",
        **{field: getattr(figure, field) for field in ("quantity", "cls", "from_cls", "to_cls", "place", "kind")},
    )
    gap = "" if say.lang == "zh" else " "
    tail = "" if share is None else f"（{say.short(share)}）" if say.lang == "zh" else f" ({say.short(share)})"
    return f"{name}{gap}{say.short(figure)}{tail}"


def flows(say: Say, label: str, *, into: str | None = None, out_of: str | None = None) -> list[str]:
    """Where a class came from (``into``) or went to (``out_of``), largest first."""
    fields: dict[str, object] = {"quantity": "transition", "dimension": "area", "place": None, "kind": None}
    fields |= {"to_cls": into} if into else {"from_cls": out_of}
    parts = []
    for figure in say.all(**fields):
        other = figure.from_cls if into else figure.to_cls
        if other and other != (into or out_of) and figure.value > 0:
            parts.append(with_share(say, class_name(other, say.lang), figure))
    return breakdown(say, label, parts)


def latest_states(say: Say, **fields: object) -> list[Figure]:
    """State figures of the latest date, one for each class, largest first."""
    found = say.all(**({"quantity": "state", "place": None, "kind": None} | fields))
    last = max((one.t2 or "" for one in found), default="")
    return [one for one in found if (one.t2 or "") == last and one.cls]


def arrow(say: Say, before: str | None, after: str | None) -> str:
    """A change from one class to another; "" where neither is known."""
    if not before and not after:
        return ""
    names = [class_name(cls, say.lang) if cls else _TEXT["unknown"][say.lang] for cls in (before, after)]
    return _TEXT["arrow"][say.lang].format(*names)


def by_place(say: Say, *, signed: bool = False, label: str | None = None, **fields: object) -> list[str]:
    """Figures of the towns (villages), largest first."""
    found = [one for one in say.all(**({"kind": None} | fields)) if one.place and one.value]
    gap = "" if say.lang == "zh" else " "
    parts = [f"{one.place}{gap}{say.signed(one) if signed else say.short(one)}" for one in found]
    kind = "villages" if say.evidence.query.group_by == "village" else "towns"
    return breakdown(say, label or _TEXT[kind][say.lang], parts)


def patch_groups(say: Say) -> list[str]:
    """How the patches are spread: by kind of change, grade, direction and town, in one line."""
    found = say.all(quantity="patches", dimension="count", place=None)
    kinds = [(type_name(one.kind, say.lang), one) for one in found if one.kind in CHANGE_TYPES and one.value]
    grades = [
        (one.kind, one) for one in sorted(found, key=lambda one: one.kind or "") if one.kind in GRADES and one.value
    ]
    sectors = [one for one in say.all(quantity="patches", dimension="share", place=None) if one.kind in SECTORS]
    gap = "" if say.lang == "zh" else " "
    groups = [
        ("types", [say.text(_TEXT, "count", name=name, n=say.short(one)) for name, one in kinds]),
        ("grades", [say.text(_TEXT, "grade_count", name=name, n=say.short(one)) for name, one in grades]),
        ("sectors", [f"{SECTORS[one.kind or ''][say.lang]}{gap}{say.short(one)}" for one in sectors[:_LISTED]]),
        ("in_towns", _patch_towns(say)),
    ]
    parts = [
        say.text(_TEXT, "group", label=_TEXT[key][say.lang], parts=listed(some, say.lang))
        for key, some in groups
        if some
    ]
    return [ended(say, capital(("；" if say.lang == "zh" else "; ").join(parts)))] if parts else []


def _patch_towns(say: Say) -> list[str]:
    """Numbers of patches by town: the figures, else counted where all patches are listed."""
    figures = [one for one in say.all(quantity="patches", dimension="count", kind=None) if one.place and one.value]
    counts = [(one.place or "", say.short(one)) for one in figures]
    if not counts:
        total = say.first(quantity="patches", dimension="count")
        rows = [row.town for row in say.evidence.patches if row.town]
        if total is not None and total.value == len(say.evidence.patches):
            counts = [(town, str(n)) for town, n in Counter(rows).most_common()]
    return [say.text(_TEXT, "count", name=name, n=n) for name, n in counts[:_LISTED]]


def patch_area(row: PatchRow) -> Figure:
    """The area of a listed patch as a figure."""
    return Figure(
        key=row.id,
        quantity="patch",
        value=row.area_m2,
        dimension="area",
        bounds=row.bounds,
        bounds_kind="range",
        patch_id=row.id,
    )


def patch_words(say: Say, row: PatchRow) -> str:
    """One patch in brief: number, place, area, change, grade."""
    where = row.town or pick(SECTORS, row.sector, say.lang)
    inside = ""
    if row.overlap_m2 is not None:
        overlap = patch_area(row).model_copy(update={"value": row.overlap_m2, "bounds": None})
        inside = say.text(_TEXT, "inside").format(say.short(overlap))
    change = arrow(say, row.from_cls, row.to_cls) or type_name(row.kind, say.lang)
    grade = _TEXT["grade"][say.lang].format(row.grade)
    parts = joined(say, (where, say.short(patch_area(row)), inside, change, grade))
    return say.text(_TEXT, "patch", id=row.id, parts=parts)


def patch_list(say: Say, shown: int = _LISTED_PATCHES) -> list[str]:
    """The first patches of the answer in one line, the rest counted."""
    rows = say.evidence.patches
    if not rows:
        return []
    total = say.first(quantity="patches", dimension="count")
    rest = max(len(rows), int(total.value) if total else 0) - min(shown, len(rows))
    more = _TEXT["rest_one" if rest == 1 else "rest"][say.lang].format(n=rest) if rest > 0 else ""
    words = ("；" if say.lang == "zh" else "; ").join(patch_words(say, row) for row in rows[:shown])
    return [say.text(_TEXT, "line", label=_TEXT["first_rows"][say.lang], parts=words, more=more)]


def choice(name: str, lang: str) -> str:
    """What an asker can choose, as it is said: days, classes and kinds of zones in words, the rest as it stands."""
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", name):
        return day(name, lang)
    return place_name(name, lang) if name in ZONE_TYPES else class_name(name, lang)


def zones_met(row: PatchRow, lang: str) -> list[str]:
    """Kinds of zones that a patch reaches into, by name."""
    return [place_name(kind, lang) for kind in row.zones if kind in ZONE_TYPES]


def between(say: Say) -> str:
    """The span of the acquisition dates: "2023年11月2日至2024年10月28日"; "" without scenes."""
    used = sorted({scene.date for scene in say.evidence.scenes if scene.used})
    if not used:
        return ""
    first, last = day(used[0], say.lang), day(used[-1], say.lang)
    if first == last:
        return first
    return f"{first}至{last}" if say.lang == "zh" else f"{first} to {last}"
