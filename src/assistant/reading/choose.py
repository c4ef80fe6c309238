"""What to do with a question that no rule matches: the model picks a form, or the nearest examples are offered.

The model only says which form a question has, by the probability of short
titles; classes, places, dates and numbers stay those that the rules read, and
the query is checked and guarded like any other. Below a margin nothing is chosen.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Protocol

from src.assistant.query import Known, Query
from src.assistant.reading.fill import build
from src.assistant.reading.guard import guarded
from src.assistant.reading.numerals import plain
from src.assistant.reading.slots import Slots, read_slots

# Natural logarithm of how much likelier the best title must be than the second.
MARGIN = 0.7
METRIC_TITLES: dict[str, dict[str, str]] = {
    "area_at": {"zh": "某类土地现有面积", "en": "area of a land class"},
    "share_at": {"zh": "各类土地占比", "en": "shares of land classes"},
    "gain": {"zh": "某类土地新增面积", "en": "land gained"},
    "loss": {"zh": "某类土地减少面积", "en": "land lost"},
    "net": {"zh": "某类土地净变化", "en": "net change of a class"},
    "transition": {"zh": "一类土地变成另一类", "en": "one class turned into another"},
    "matrix": {"zh": "土地转移矩阵", "en": "transition matrix"},
    "structure": {"zh": "土地结构变化", "en": "change of land structure"},
    "trend": {"zh": "多年变化趋势", "en": "trend over years"},
    "patches": {"zh": "疑似变化图斑清单", "en": "list of suspected patches"},
    "count": {"zh": "疑似图斑数量", "en": "number of patches"},
    "overlap": {"zh": "保护区域是否被侵占", "en": "encroachment on a protected zone"},
    "presence": {"zh": "有没有某类土地", "en": "presence of a class"},
    "index_mean": {"zh": "植被好坏", "en": "state of the vegetation"},
    "abandoned": {"zh": "撂荒耕地", "en": "abandoned farmland"},
    "accuracy": {"zh": "结果的精度", "en": "accuracy of the result"},
    "provenance": {"zh": "所用影像", "en": "images used"},
    "export": {"zh": "导出结果", "en": "export of results"},
    "off_topic": {"zh": "与土地无关", "en": "not about land"},
}
_PROMPT = {
    "zh": "把县自然资源局的问题归入一类，只答类名。类别：{titles}。\n问题：{question}\n类名：",
    "en": "Name the kind of this question of a county land office; answer with the kind only. Kinds: {titles}.\n"
    "Question: {question}\nKind:",
}
# {town} and {reserve} stand for places that the workspace has; without one the example is left out.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "zh": (
        "2024年新增耕地面积是多少？",
        "2024年耕地减少了多少，去向是哪些地类？",
        "2024年耕地净变化是多少？",
        "现在全县耕地总面积是多少？",
        "各乡镇耕地面积是多少？",
        "哪个乡镇耕地减少最多？",
        "2024年耕地转为建设用地多少？",
        "2024年新增建设用地分布在哪里？",
        "2023-2024年土地利用结构变化趋势？",
        "建设用地扩张趋势怎样？",
        "各地类占比是多少？",
        "最近一个月是否存在疑似违规建设？",
        "本季度新增疑似图斑有多少个？",
        "面积最大的10个变化图斑",
        "{reserve}边界是否被侵占？",
        "{basic_farmland}有没有被占用？",
        "{river}有没有乱占乱建？",
        "{red_line}内有哪些地类变化？",
        "{town}2024年新增建设用地多少？",
        "撂荒耕地有多少？",
        "植被覆盖变好还是变差？",
        "哪一年耕地减少最多？",
        "今年比去年新增建设更多吗？",
        "这个数准不准？",
        "用的哪天的影像？",
        "导出图斑清单",
        "150亩是多少公顷？",
    ),
    "en": (
        "How much new cropland in 2024?",
        "How much cropland was lost in 2024, and to what?",
        "What is the net change of cropland in 2024?",
        "How much cropland is there now?",
        "Cropland area by town",
        "Which town lost the most cropland?",
        "How much cropland was converted to built-up land in 2024?",
        "Where is the new built-up land of 2024?",
        "How did the land-use structure change in 2023-2024?",
        "What is the trend of built-up land?",
        "What are the shares of the land classes?",
        "Any suspected illegal construction in the last month?",
        "How many suspected patches this quarter?",
        "The 10 largest change patches",
        "Has the boundary of {reserve} been encroached?",
        "Has {basic_farmland} been occupied?",
        "Is there any building inside {river}?",
        "Which land classes changed inside {red_line}?",
        "How much new built-up land in {town} in 2024?",
        "How much farmland is abandoned?",
        "Is the vegetation getting better or worse?",
        "Which year lost the most cropland?",
        "Is there more new construction this year than last year?",
        "How accurate is this figure?",
        "Which images were used?",
        "Export the patch list",
        "How many hectares are 150 mu?",
    ),
}
_ZONE_NAMES = {
    "reserve": {"zh": "自然保护区", "en": "the reserve"},
    "basic_farmland": {"zh": "永久基本农田", "en": "permanent basic farmland"},
    "river": {"zh": "河道管理范围", "en": "the river scope"},
    "red_line": {"zh": "生态保护红线", "en": "the ecological red line"},
}


class Scorer(Protocol):
    """What is needed of a model here."""

    def score(self, messages: Sequence[dict[str, Any]], choices: Sequence[str]) -> list[float]:
        """Natural logarithm of the probability of each choice as the whole answer."""
        ...


def choose(question: str, model: Scorer, *, as_of: date, known: Known, previous: Query | None = None) -> Query | None:
    """The query of the form that the model finds most likely; None where it is not sure or cannot score.

    Args:
        question: that no rule matched.
        model: gives log-probabilities of the titles, in one call.
        as_of: the day that counts as today.
        known: what the workspace holds.
        previous: not shown to the model; a period that the question lacks is taken from it.
    """
    slots = read_slots(question, as_of, known)
    titles = {metric: texts[slots.lang] for metric, texts in METRIC_TITLES.items()}
    prompt = _PROMPT[slots.lang].format(titles="、".join(titles.values()), question=slots.text)
    try:
        scores = model.score([{"role": "user", "content": prompt}], list(titles.values()))
    except (NotImplementedError, RuntimeError, ValueError):
        # A backend that cannot score says so; the nearest forms are offered instead.
        return None
    ranked = sorted(zip(scores, titles, strict=True), reverse=True)
    if not ranked[0][0] - ranked[1][0] >= MARGIN:
        return None
    return _chosen(ranked[0][1], slots, previous)


def _chosen(metric: str, slots: Slots, previous: Query | None) -> Query:
    if metric == "off_topic":
        return Query.of({"metric": "refuse", "reason": "off_topic", "lang": slots.lang, "source": "model"})
    query = build(metric, slots, source="model")
    if query.reason == "need_period" and previous is not None and previous.t2 is not None:
        query = build(metric, slots, source="model", t1=previous.t1, t2=previous.t2)
    return guarded(slots, query)


def nearest_forms(question: str, lang: str, known: Known, n: int = 4) -> list[str]:
    """The example questions most like a text, by shared pairs of characters, the best first.

    Args:
        question: any text.
        lang: of the examples, zh or en.
        known: examples about places that the workspace lacks are left out.
        n: at most so many.
    """
    examples = [text for example in EXAMPLES[lang] if (text := _filled(example, lang, known)) is not None]
    asked = _pairs(question)
    return sorted(examples, key=lambda text: -_likeness(asked, _pairs(text)))[:n]


def _filled(example: str, lang: str, known: Known) -> str | None:
    kinds = re.findall(r"{(\w+)}", example)
    names: dict[str, str] = {}
    for kind in kinds:
        if not known.zones.get(kind):
            return None
        names[kind] = _ZONE_NAMES[kind][lang] if kind in _ZONE_NAMES else known.zones[kind][0]
    return example.format(**names)


def _pairs(text: str) -> frozenset[str]:
    bare = re.sub(r"[^\w]", "", plain(text))
    return frozenset(bare[index : index + 2] for index in range(len(bare) - 1))


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Dice coefficient of two sets of character pairs."""
    return 2 * len(one & other) / ((len(one) + len(other)) or 1)
