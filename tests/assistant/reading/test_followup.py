"""Dialogues: each line changes what it names and keeps the rest; a full question starts afresh."""

import pytest

from src.assistant.parse import parse
from src.assistant.query import Query
from tests.assistant.questions import AS_OF, KNOWN, PATCHES, line, same

SHOWN = KNOWN.model_copy(update={"patch_ids": PATCHES})
Y24, Y23 = "t1=2023-12-31 t2=2024-12-31", "t1=2022-12-31 t2=2023-12-31"
# Each dialogue: (said, wanted); about-answer queries do not become the previous one, as in the pipeline.
DIALOGUES = [
    [
        ("2024年新增耕地面积是多少？", f"gain cls=cropland {Y24}"),
        ("那林地呢？", f"gain cls=forest {Y24}"),
        ("换成公顷", f"gain cls=forest {Y24} unit=ha"),
        ("and in 2023?", f"gain cls=forest {Y23} unit=ha"),
        ("去年呢", f"gain cls=forest {Y23} unit=ha"),
        ("青禾乡呢", f"gain cls=forest {Y23} zone=town:青禾乡 unit=ha"),
        ("哪个乡最多", f"rank cls=forest to_cls=forest {Y23} group_by=town rank=1desc unit=ha"),
        ("精度怎么样", f"accuracy cls=forest to_cls=forest {Y23} group_by=town rank=1desc unit=ha"),
        ("反过来呢", f"rank cls=forest to_cls=forest {Y23} group_by=town rank=1asc unit=ha"),
        ("去向呢", f"loss cls=forest {Y23} group_by=class unit=ha"),
        ("净变化呢", f"net cls=forest {Y23} unit=ha"),
        ("占比呢", "share_at cls=forest t2=2023-12-31 unit=ha"),
        ("趋势呢", "trend cls=forest unit=ha"),
    ],
    [
        ("自然保护区边界是否被侵占？", "overlap zone=reserve"),
        ("这些图斑导出来", "export zone=reserve"),
        ("第二个图斑什么情况", f"patch_detail patch_id={PATCHES[1]}"),
        ("只看核心区", "overlap zone=reserve/core"),
        ("只看大于5亩的图斑", "overlap zone=reserve/core min_area_m2=3333.333333"),
        ("去年呢", f"overlap zone=reserve/core min_area_m2=3333.333333 {Y23}"),
        ("用的什么影像", f"provenance zone=reserve/core min_area_m2=3333.333333 {Y23}"),
        ("2024年新增建设用地多少亩", f"gain cls=built {Y24} unit=mu"),
    ],
    [
        ("2024年耕地转建设用地多少", f"transition from_cls=cropland to_cls=built {Y24}"),
        ("反过来呢", f"transition from_cls=built to_cls=cropland {Y24}"),
        ("再反过来", f"transition from_cls=cropland to_cls=built {Y24}"),
        ("那林地呢", f"transition from_cls=forest to_cls=built {Y24}"),
        ("只看保护区", f"transition from_cls=forest to_cls=built {Y24} zone=reserve"),
        ("全县呢", f"transition from_cls=forest to_cls=built {Y24}"),
        ("那总共减少了多少", f"loss cls=forest {Y24}"),
    ],
    [
        ("新增耕地有多少", "clarify cls=cropland reason=need_period wanted=gain"),
        ("2024年", f"gain cls=cropland {Y24}"),
        ("那2023呢", f"gain cls=cropland {Y23}"),
    ],
    [
        ("2024年新增多少", f"clarify {Y24} reason=need_class wanted=gain"),
        ("耕地", f"gain cls=cropland {Y24}"),
        ("青禾乡的呢", f"gain cls=cropland {Y24} zone=town:青禾乡"),
    ],
    [
        ("张家镇2024年新增耕地多少", f"clarify cls=cropland {Y24} zone=town:张家镇 reason=unknown_zone wanted=gain"),
        ("双口镇", f"gain cls=cropland {Y24} zone=town:双口镇"),
    ],
    [
        ("How much new built-up land in 2024?", f"gain cls=built {Y24}"),
        ("what about forest?", f"gain cls=forest {Y24}"),
        ("in hectares", f"gain cls=forest {Y24} unit=ha"),
        ("only in the reserve", f"gain cls=forest {Y24} unit=ha zone=reserve"),
        ("and in 2023?", f"gain cls=forest {Y23} unit=ha zone=reserve"),
        (
            "which town has the most?",
            f"rank cls=forest to_cls=forest {Y23} unit=ha zone=reserve group_by=town rank=1desc",
        ),
        (
            "export it as excel",
            f"export cls=forest to_cls=forest {Y23} unit=ha zone=reserve group_by=town rank=1desc formats=xlsx",
        ),
    ],
    [
        ("2023-2024年土地利用结构变化趋势？", f"structure {Y24}"),
        ("那林地呢", f"net cls=forest {Y24}"),
        ("2022年呢", "net cls=forest t1=2021-12-31 t2=2022-12-31"),
    ],
    [
        ("哪个乡镇耕地净减少最多，前10", "rank cls=cropland group_by=town rank=10asc"),
        ("只看前3", "rank cls=cropland group_by=town rank=3asc"),
        ("双口镇呢", "net cls=cropland zone=town:双口镇"),
    ],
    [
        ("今年比去年新增建设更多吗", f"compare cls=built compare=periods {Y24} others=gain,{Y23.replace(' ', ',')}"),
        ("耕地呢", f"compare cls=cropland compare=periods {Y24} others=gain,{Y23.replace(' ', ',')}"),
        ("2022年呢", "gain cls=cropland t1=2021-12-31 t2=2022-12-31"),
    ],
    [
        ("现在全县耕地总面积？", "area_at cls=cropland t2=2024-12-31"),
        ("2023年底呢", "area_at cls=cropland t2=2023-12-31"),
        ("草地呢", "area_at cls=grassland t2=2023-12-31"),
        ("换成平方公里", "area_at cls=grassland t2=2023-12-31 unit=km2"),
        ("明年呢", "clarify cls=grassland t2=2024-12-31 unit=km2 reason=future wanted=area_at"),
    ],
    [
        ("本季度有多少疑似违建", "count to_cls=built t1=2024-09-30 t2=2024-12-31"),
        ("上季度呢", "count to_cls=built t1=2024-06-30 t2=2024-09-30"),
        ("分乡镇看", "count to_cls=built t1=2024-06-30 t2=2024-09-30 group_by=town"),
        ("开发边界外的呢", "count to_cls=built t1=2024-06-30 t2=2024-09-30 group_by=town zone=-urban_boundary"),
    ],
    [
        ("150亩是多少公顷", "convert value=150 unit=mu to_unit=ha"),
        ("换成平方米", "convert value=150 unit=mu to_unit=m2"),
    ],
]
_ABOUT = ("accuracy", "provenance", "export", "refuse", "unsupported", "describe", "patch_detail")


def test_number_of_lines():
    assert (len(DIALOGUES), sum(map(len, DIALOGUES))) == (13, 63)


@pytest.mark.parametrize("dialogue", DIALOGUES, ids=[one[0][0] for one in DIALOGUES])
def test_dialogue(dialogue):
    previous: Query | None = None
    for said, want in dialogue:
        found = parse(said, as_of=AS_OF, known=SHOWN, previous=previous)
        assert same(found, want), (said, line(found))
        if found.metric not in _ABOUT:
            previous = found


def ask(said, previous):
    return parse(said, as_of=AS_OF, known=SHOWN, previous=previous)


GAIN = parse("2024年保护区新增耕地多少亩", as_of=AS_OF, known=SHOWN)


@pytest.mark.parametrize(
    "said",
    [
        "2023年减少了多少林地？",
        "最近一个月是否存在疑似违规建设？",
        "永农有没有被占用",
        "描述这张影像",
        "该罚多少",
        "用2020年以来的数据看建设用地扩张趋势",
    ],
)
def test_a_full_question_starts_afresh(said):
    assert ask(said, GAIN) == ask(said, None)


def test_the_language_is_that_of_the_last_question():
    assert [ask(said, GAIN).lang for said in ("那林地呢", "what about forest?")] == ["zh", "en"]


def test_nothing_named_is_not_understood():
    for said in ("嗯", "ok", "然后呢", "and?"):
        assert (ask(said, GAIN).metric, ask(said, GAIN).reason) == ("clarify", "unknown")


def test_this_patch_is_the_one_before():
    detail = ask("第一个图斑的情况", GAIN)
    assert ask("它是什么时候开始动土的", detail).patch_id == PATCHES[0]
    assert ask("这块地是不是季节性变化", detail).patch_id == PATCHES[0]
    assert ask("标记为伪变化", detail).patch_id == PATCHES[0]


def test_what_was_not_measured_is_no_ground_to_go_on_from():
    refused = ask("该罚多少", None)
    assert ask("那林地呢", refused).reason == "unknown"


def test_the_other_side_of_a_border_and_of_a_flow():
    outside = ask("开发边界外有没有新建的房子", None)
    assert ask("反过来呢", outside).from_cls == "built"
    inside = Query.of({"metric": "matrix", "zone": {"type": "reserve"}})
    assert ask("反过来呢", inside).zone.inside is False
    assert ask("反过来呢", GAIN).metric == "loss"
    assert ask("反过来呢", Query.of({"metric": "net", "cls": "forest"})).reason == "unknown"
