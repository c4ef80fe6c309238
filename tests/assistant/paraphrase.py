"""Honest rewordings of an evidence, made from its figures alone.

Shares nothing with the answers or the checker: own words, own numbers, own
dates. Each clause states one figure truly: its value in some unit, rounded to
two digits or more, with its class, place, dates, direction, bounds. A
paraphrase is a random choice of clauses in a random order. Deterministic.
"""

import random
from collections.abc import Iterator

from src.assistant.record import Evidence, Figure, PatchRow
from tests.assistant.paraphrase_en import EN
from tests.assistant.paraphrase_words import Teller
from tests.assistant.paraphrase_zh import ZH

# Figures of a further kind that the clauses tell apart; any other kind would be told as the whole.
_KINDS = {
    ("patches", "count"): ("A", "B", "C"),
    ("overlap", "area"): ("core", "buffer", "experimental"),
    ("accuracy", "share"): ("overall", "user"),
    ("accuracy", "index"): ("kappa",),
}


def clause(tell: Teller, figure: Figure) -> str:
    """One true sentence on a figure, without its stop; "" for figures that are not worth one."""
    makers = ZH if tell.zh else EN
    maker = makers.get((figure.quantity, figure.dimension))
    if figure.kind and figure.kind not in _KINDS.get((figure.quantity, figure.dimension), ()):
        return ""
    if figure.quantity == "difference" and len(tell.sides) < 2:
        return ""
    if maker is None or (figure.value == 0 and figure.quantity != "patches"):
        return ""
    text = maker(tell, figure)
    if text and figure.place and figure.place not in text:
        return f"{figure.place}{text}" if tell.zh else f"in {figure.place}, {text}"
    return text


def _row(tell: Teller, row: PatchRow) -> str:
    value, change = tell.area(row.area_m2, tell.one("mu", "ha", "m2")), (tell.cls(row.from_cls), tell.cls(row.to_cls))
    if tell.zh:
        return tell.one(
            f"图斑{row.id}位于{row.town}，面积{value}",
            f"编号{row.id}的图斑疑似由{change[0]}变为{change[1]}，{value}",
        )
    return tell.one(
        f"patch {row.id} in {row.town} measures {value}",
        f"patch {row.id}, {value}, suspected change from {change[0]} to {change[1]}",
    )


_EXTRA = {
    "zh": (
        "以上为遥感线索，须实地核查",
        "数据为像元统计，未经样本校正",
        "影像来自Sentinel-2",
        "不能作为处罚依据",
        "仅有两期影像，趋势无法判断",
    ),
    "en": (
        "these are suspected clues to check in the field",
        "the figures are pixel counts, not corrected by samples",
        "the images are from Sentinel-2",
        "this is no basis for a penalty",
    ),
}


def paraphrases(evidence: Evidence, n: int, seed: int) -> Iterator[str]:
    """So many honest paraphrases of an evidence."""
    rng = random.Random(f"{seed}-{evidence.id}")
    tell = Teller(evidence, rng)
    for _ in range(n):
        clauses: list[str] = []
        while not clauses:
            some = rng.sample(evidence.figures, min(len(evidence.figures), rng.randint(2, 6)))
            shown = [one for one in evidence.figures if one.key in evidence.cards[: rng.randint(0, 2)]]
            clauses = [text for one in dict.fromkeys([*shown, *some]) if (text := clause(tell, one))]
        if evidence.patches and rng.random() < 0.5:
            clauses.append(_row(tell, rng.choice(evidence.patches)))
        if rng.random() < 0.5:
            extra = rng.choice(_EXTRA["zh" if tell.zh else "en"])
            # True of a pair only.
            clauses += [extra] if tell.pair_of_dates or "两期" not in extra else []
        if rng.random() < 0.5:
            rng.shuffle(clauses)
        if tell.zh:
            yield "。".join(clauses) + "。"
        else:
            yield ". ".join(text[:1].upper() + text[1:] for text in clauses) + "."
