"""Rankings: of towns, villages or classes by a quantity, or of patches by area."""

from src.assistant.forms.base import Form, breakdown, headline, patch_area, patch_words
from src.assistant.forms.patches import patches
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, Words, class_name, listed

_LISTED = 5
_LISTED_PATCHES = 4
# Bounds stand beside so many; more would bury the order.
_WITH_BOUNDS = 3
_RANKED = ("gain", "loss", "net", "state", "patches")

_TEXT: Words = {
    "places": {"zh": "{place}{what}排名：{parts}", "en": "Ranking in {place}, {what}: {parts}"},
    "first": {"zh": "{place}{what}排名第一的是{name}，{value}", "en": "First in {place}, {what}: {name}, {value}"},
    "item": {"zh": "{name}{value}{spread}", "en": "{name} {value}{spread}"},
    "largest": {
        "zh": "{place}面积最大的疑似图斑为{id}，{value}",
        "en": "The largest suspected patch in {place} is {id}, {value}",
    },
    "smallest": {
        "zh": "{place}面积最小的疑似图斑为{id}，{value}",
        "en": "The smallest suspected patch in {place} is {id}, {value}",
    },
    "then": {"zh": "其后", "en": "Next"},
    "rest": {"zh": "其余见图斑清单。", "en": "The others are in the patch list."},
    "unsure": {
        "zh": "相邻名次的范围有重叠，名次仅供参考。",
        "en": "Ranges of neighbours overlap, so the order is not certain.",
    },
    "gain": {"zh": "{}流入", "en": "gain of {}"},
    "loss": {"zh": "{}流出", "en": "loss of {}"},
    "net": {"zh": "{}净变化", "en": "net change of {}"},
    "state": {"zh": "{}面积", "en": "area of {}"},
    "patches": {"zh": "疑似图斑", "en": "suspected patches"},
    "classes": {"zh": "各地类", "en": "classes"},
}


def rank(evidence: Evidence) -> list[str]:
    """A ranking of towns, villages or classes, or of patches.

    Looks for: one figure of one quantity (gain, loss, net, state, patches) for each town (place) or class, in the
    order of the evidence, the first of them the first card; else the rows, in their order.
    """
    ranked = _ranked(evidence)
    if ranked and not (evidence.patches and evidence.query.group_by is None):
        return _figures(Say(evidence), ranked)
    return _rows(Say(evidence)) if evidence.patches else patches(evidence)


def _ranked(evidence: Evidence) -> list[Figure]:
    found = [one for one in evidence.figures if one.quantity in _RANKED and (one.place or one.cls)]
    first = next((one for one in found if one.key in evidence.cards[:1]), found[0] if found else None)
    if first is None:
        return []

    def alike(one: Figure) -> tuple[object, ...]:
        return one.quantity, one.dimension, one.kind, bool(one.place)

    return [one for one in found if alike(one) == alike(first)]


def _figures(say: Say, ranked: list[Figure]) -> list[str]:
    rank_asked, first = say.evidence.query.rank, ranked[0]
    shown = ranked[: min(rank_asked.n, 2 * _LISTED) if rank_asked else _LISTED]
    bounds = len(shown) <= _WITH_BOUNDS
    name = class_name(first.cls or "", say.lang) if first.place else _TEXT["classes"][say.lang]
    what = _TEXT[first.quantity][say.lang].format(name)
    if len(shown) == 1:
        name, value = _item(say, first)
        lines = [headline(say, say.text(_TEXT, "first", place=say.place, what=what, name=name, value=value), first)]
    else:
        parts = [
            say.text(_TEXT, "item", name=name, value=value, spread=say.bracketed(one) if bounds else "")
            for one in shown
            for name, value in (_item(say, one),)
        ]
        words = say.text(_TEXT, "places", place=say.place, what=what, parts=listed(parts, say.lang))
        lines = [headline(say, words, first.model_copy(update={"bounds": None}))]
    return lines + ([_TEXT["unsure"][say.lang]] if _overlapping(ranked[: len(shown) + 1]) else [])


def _item(say: Say, figure: Figure) -> tuple[str, str]:
    name = figure.place or class_name(figure.cls or "", say.lang)
    return name, say.signed(figure) if figure.quantity == "net" else say.short(figure)


def _rows(say: Say) -> list[str]:
    rows, asked = say.evidence.patches, say.evidence.query.rank
    main = patch_area(rows[0])
    key = "smallest" if asked is not None and asked.order == "asc" else "largest"
    words = say.text(_TEXT, key, place=say.place, id=rows[0].id, value=say.full(main))
    rest = [patch_words(say, row) for row in rows[1 : 1 + _LISTED_PATCHES]]
    lines = [headline(say, words, main), *breakdown(say, _TEXT["then"][say.lang], rest, _LISTED_PATCHES)]
    return lines + ([_TEXT["rest"][say.lang]] if len(rows) > 1 + _LISTED_PATCHES else [])


def _overlapping(found: list[Figure]) -> bool:
    """Whether the bounds of any two neighbours meet."""
    bounds = [one.bounds for one in found if one.bounds is not None]
    return any(
        first[0] <= second[1] and second[0] <= first[1] for first, second in zip(bounds, bounds[1:], strict=False)
    )


FORMS: dict[str, Form] = {
    "rank": Form(
        {"zh": "排名", "en": "Ranking"},
        {
            "zh": ("变化图斑里面积排前五的是哪几个？", "哪个乡镇耕地净减少最多？"),
            "en": ("Which five patches are the largest?", "Which town lost most cropland, net?"),
        },
        rank,
    ),
}
