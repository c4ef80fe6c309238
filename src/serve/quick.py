"""The questions on the buttons: only those that the county's data can answer."""

from src.assistant.query import Known
from src.serve.texts import Lang

# (zh, en, needs): "pair" two dates, "three" three dates, a kind of zone, or a year YYYY with an image in it.
HEADLINE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("{year}年新增耕地面积是多少？", "How much new cropland was there in {year}?", ("pair",)),
    ("最近一个月是否存在疑似违规建设？", "Is there any suspected illegal construction in the last month?", ("pair",)),
    ("自然保护区边界是否被侵占？", "Has the boundary of the nature reserve been encroached on?", ("pair", "reserve")),
    (
        "{before}-{year}年土地利用结构变化趋势？",
        "How did the land-use structure change from {before} to {year}?",
        ("pair",),
    ),
)
QUICK: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("本季度耕地面积变化情况？", "How did cropland change this quarter?", ("pair",)),
    ("疑似违规建设的分布区域？", "Where are the suspected illegal constructions?", ("pair",)),
    ("保护区边界是否被占用？", "Is the boundary of the reserve occupied?", ("pair", "reserve")),
    ("近一年土地利用结构趋势？", "What is the land-use trend of the last year?", ("pair",)),
    (
        "{year}年第二季度新增耕地面积是多少？",
        "How much new cropland was there in the second quarter of {year}?",
        ("pair",),
    ),
    ("永久基本农田内有没有被占用？", "Is any permanent basic farmland occupied?", ("pair", "basic_farmland")),
    ("现在各地类占比是多少？", "What are the shares of the land classes now?", ()),
    ("用的哪天的影像、云多不多？", "Which images were used, and how cloudy were they?", ()),
)
MOST = len(HEADLINE) + len(QUICK)


def questions(known: Known, lang: Lang) -> list[str]:
    """Headline questions first, then the quick ones; none where there is no image.

    Args:
        known: what the county holds.
        lang: of the questions.
    """
    if not known.dates:
        return []
    year = int(known.dates[-1][:4])
    held = {kind for kind, names in known.zones.items() if names} | ({"pair"} if len(known.dates) > 1 else set())
    return [
        (zh if lang == "zh" else en).format(year=year, before=year - 1)
        for zh, en, needs in (*HEADLINE, *QUICK)
        if set(needs) <= held
    ]
