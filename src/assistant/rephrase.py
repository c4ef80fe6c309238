"""Let a model say a measured answer in other words, and show that only if every statement stands in the evidence.

The model gets the template as its only facts. What it writes loses HTML, images
and links, goes through ``check``, and must still hold the headline figure, the
acquisition dates and the words that say how certain it is; else the template
is shown.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from src.assistant.check import Problem, check
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, day, plain
from src.constants import AREA_UNITS_M2, escape_special

_PROMPT = {
    "zh": (
        "你是县自然资源部门的文字助手。请把下面的监测结果改写成通顺、简短的一段话，供工作人员阅读。"
        "只能使用其中的事实：数字、单位、日期、地类、地名一律照抄，不得换算、四舍五入、增加或推断；"
        "保留“疑似”“范围”“置信区间”“未经样本校正”等字样；不下合法与否的结论；不用表格、链接和HTML。"
        "只输出改写后的文字。"
    ),
    "en": (
        "You help a county land office with its wording. Rewrite the result below as one short, plain paragraph. Use "
        "only its facts: copy every number, unit, date, class and place name as it is; do not convert, round, add or "
        'infer; keep the words "suspected", "range", "confidence interval" and "not corrected by samples"; no verdict '
        "on legality; no tables, links or HTML. Write the new text only."
    ),
}
# Words of the template that its rephrasing must keep: any one of each row.
_LABELS: dict[str, tuple[tuple[str, ...], ...]] = {
    "zh": (("疑似",), ("范围",), ("置信区间",), ("未经样本校正",), ("不能确定",)),
    "en": (("suspected",), ("range",), ("confidence interval",), ("not corrected",), ("not certain",)),
}


class Generator(Protocol):
    """What rephrasing needs of a model."""

    def generate(self, messages: Sequence[dict[str, Any]], **options: Any) -> str:
        """The answer to a conversation."""
        ...


def rephrase(evidence: Evidence, template: str, model: Generator) -> tuple[str, tuple[Problem, ...]]:
    """The answer in the model's words, or the template with the problems that speak against them.

    Args:
        evidence: behind the answer.
        template: what ``compose`` made of it; the model is told no other facts.
        model: writes.
    """
    messages = [
        {"role": "system", "content": _PROMPT[evidence.query.lang]},
        {"role": "user", "content": escape_special(template)},
    ]
    said = plain(model.generate(messages))
    problems = (*check(said, evidence), *missing(said, template, evidence))
    return (template, problems) if problems else (said, ())


def missing(said: str, template: str, evidence: Evidence) -> tuple[Problem, ...]:
    """What a rephrasing must keep of its template and does not: headline figure, dates, words of certainty."""
    say = Say(evidence)
    problems = []
    headline = _headline(say, template)
    if headline is not None and not any(_holds(said, text) for text in _printed(say, headline)):
        problems.append(Problem("number", "", (say.short(headline),)))
    used = sorted({scene.date for scene in evidence.scenes if scene.used})
    for when in {used[0], used[-1]} if used else set():
        if day(when, say.lang) in template and not any(form in said for form in _dates(when)):
            problems.append(Problem("date", "", (day(when, say.lang),)))
    for words in _LABELS[say.lang]:
        if any(word in template.lower() for word in words) and not any(word in said.lower() for word in words):
            problems.append(Problem("interval" if words[0] != _LABELS[say.lang][0][0] else "verdict", "", words))
    return tuple(problems)


def _headline(say: Say, template: str) -> Figure | None:
    """The first figure to show that the template's first line holds."""
    first_line = template.partition("\n")[0]
    keyed = {figure.key: figure for figure in say.evidence.figures}
    shown = [keyed[key] for key in say.evidence.cards if key in keyed]
    return next((one for one in shown if _holds(first_line, say.short(one))), None)


def _printed(say: Say, figure: Figure) -> Iterator[str]:
    """The figure as an answer may print it: in each unit."""
    yield say.short(figure)
    for unit in AREA_UNITS_M2 if figure.dimension == "area" else ():
        asked = say.evidence.query.model_copy(update={"unit": unit})
        yield Say(say.evidence.model_copy(update={"query": asked})).short(figure)


def _holds(text: str, printed: str) -> bool:
    """Whether a printed figure stands in a text, not as a part of a longer number; spaces do not count."""
    bare = re.escape(re.sub(r"\s", "", printed))
    return re.search(rf"(?<![\d.]){bare}(?!\d|\.\d)", re.sub(r"(?<=\d),(?=\d{3})|\s", "", text)) is not None


def _dates(when: str) -> tuple[str, ...]:
    """A date in the ways that a rephrasing may write it."""
    number, month, year = day(when, "en").split()
    return when, day(when, "zh"), day(when, "en"), f"{month} {number}, {year}"
