"""Turns of a dialogue: parts, comparisons, sums, corrections, and what stands behind an answer.

Each line says what a question becomes after the one before it; a wrong reading gave a number about something else.
"""

import pytest

from src.assistant.parse import parse
from src.assistant.query import Query
from tests.assistant.questions import AS_OF, KNOWN, PATCHES, line, same

SHOWN = KNOWN.model_copy(update={"patch_ids": PATCHES})
Y24, Y23, Y22 = (f"t1={year - 1}-12-31 t2={year}-12-31" for year in (2024, 2023, 2022))
S23, S24 = (one.replace(" ", ",") for one in (Y23, Y24))
BUILT, LOST = "2024年新增建设用地有多少亩？", "2024年耕地减少了多少？"
TAKEN = f"transition from_cls=cropland to_cls=built {Y24}"


def after(first: str | Query, *said: str) -> Query:
    """What the last of some questions becomes; what is only asked back leaves the one before in place."""
    previous = parse(first, as_of=AS_OF, known=SHOWN) if isinstance(first, str) else first
    found = previous
    for one in said:
        found = parse(one, as_of=AS_OF, known=SHOWN, previous=previous)
        if found.metric != "clarify" or found.wanted is not None:
            previous = found
    return found


PARTS = [
    (BUILT, "其中占了耕地多少", f"{TAKEN} unit=mu"),
    (BUILT, "里面原来是耕地的呢", f"{TAKEN} unit=mu"),
    (BUILT, "从耕地变来的有多少亩", f"{TAKEN} unit=mu"),
    (BUILT, "占用耕地面积多大", f"{TAKEN} unit=mu"),
    (BUILT, "这里面占了多少耕地", f"{TAKEN} unit=mu"),
    (BUILT, "耕地占了多少", f"{TAKEN} unit=mu"),
    (BUILT, "耕地占多少", f"{TAKEN} unit=mu"),
    (BUILT, "其中耕地多少亩", f"{TAKEN} unit=mu"),
    (BUILT, "云溪镇占耕地的呢".replace("云溪镇", "双口镇"), f"{TAKEN} unit=mu zone=town:双口镇"),
    (BUILT, "占林地的图斑有几个", f"count from_cls=forest to_cls=built {Y24} unit=mu"),
    (BUILT, "其中双口镇多少", f"gain cls=built {Y24} unit=mu zone=town:双口镇"),
    (BUILT, "双口镇有多少", f"gain cls=built {Y24} unit=mu zone=town:双口镇"),
    (LOST, "其中变成建设用地的", TAKEN),
    (LOST, "里面建设用地占了多少", TAKEN),
    (LOST, "转为水域的呢", f"transition from_cls=cropland to_cls=water {Y24}"),
    ("2024年耕地净变化多少", "转为建设用地的呢", TAKEN),
    ("今年有哪些疑似违建图斑", "占耕地的有几个", f"patches from_cls=cropland to_cls=built {Y24}"),
    ("2024年哪个镇新增建设用地最多", "其中来自耕地的呢", f"{TAKEN} group_by=town"),
    ("How much new built-up land in 2024?", "of which from cropland?", TAKEN),
    ("How much new built-up land in 2024?", "how much of that was cropland?", TAKEN),
    ("How much cropland was lost in 2024?", "how much of it became built-up land?", TAKEN),
]
AGAINST = [
    ("双口镇2024年新增耕地多少", "跟松河镇比呢", "zones", "zone=town:松河镇"),
    ("双口镇2024年新增耕地多少", "compared with 松河镇?", "zones", "zone=town:松河镇"),
    (BUILT, "比去年多吗", "periods", S23),
    (BUILT, "和2023年相比怎么样", "periods", S23),
    (BUILT, "同比呢", "periods", S23),
    ("2023年建设用地增加多少", "跟今年比哪个大", "periods", S24),
    ("How much new built-up land in 2024?", "more than in 2023?", "periods", S23),
    ("2024年第三季度新增建设用地多少", "跟去年同期比呢", "periods", "t1=2023-06-30,t2=2023-09-30"),
    ("现在耕地面积多少", "和去年比呢", "periods", "t2=2023-12-31"),
    (LOST, "跟林地比呢", "classes", "cls=forest"),
]
ASKED_BACK = [
    (LOST, "其中来自林地的呢", "which_part"),
    (BUILT, "转为耕地的呢", "which_part"),
    ("2024年耕地净变化多少", "其中建设用地多少", "which_part"),
    ("2024年哪个镇新增建设用地最多", "和去年相比呢", "compare_what"),
    (BUILT, "跟双口镇比呢", "compare_what"),
    ("2024年第三季度新增建设用地多少", "和去年比呢", "compare_what"),
    (BUILT, "其中来自耕地和林地的呢", "which_part"),
    (LOST, "三年合起来一共少了多少", "need_period"),
    (LOST, "几类地一起算呢", "sum_what"),
    ("2024年耕地净变化多少", "只看3亩以上的", "which_patches"),
    ("现在耕地面积多少", "只看3亩以上的", "which_patches"),
    ("今年保护区被占多少", "具体位置在哪", "need_patch"),
    ("今年有哪些疑似违建图斑", "第九个呢", "need_patch"),
]
TURNS = [
    ("今年基本农田被占多少", "双口镇的呢", f"overlap from_cls=cropland {Y24} zone=basic_farmland@双口镇"),
    ("今年双口镇基本农田被占多少", "松河镇的呢", f"overlap from_cls=cropland {Y24} zone=basic_farmland@松河镇"),
    ("今年双口镇基本农田被占多少", "全县的呢", f"overlap from_cls=cropland {Y24} zone=basic_farmland"),
    ("双口镇2024年新增建设用地多少", "保护区里的呢", f"gain cls=built {Y24} zone=reserve@双口镇"),
    ("双口镇基本农田2024年新增建设用地多少", "保护区里的呢", f"gain cls=built {Y24} zone=reserve@双口镇"),
    ("双口镇2024年新增建设用地多少", "换成保护区", f"gain cls=built {Y24} zone=reserve"),
    (BUILT, "只看3亩以上的", f"patches to_cls=built {Y24} unit=mu min_area_m2=2000"),
    (LOST, "只看3亩以上的", f"patches from_cls=cropland {Y24} min_area_m2=2000"),
    (LOST, "具体是哪些图斑", f"patches from_cls=cropland {Y24}"),
    (LOST, "Which patches are these?", f"patches from_cls=cropland {Y24}"),
    (BUILT, "哪块图斑最大", f"rank to_cls=built {Y24} rank=1desc unit=mu"),
    (BUILT, "保护区里的有几个", f"count to_cls=built {Y24} zone=reserve unit=mu"),
    ("2024年哪个镇耕地减少最多", "有哪些图斑", f"patches from_cls=cropland {Y24}"),
    ("2024年哪个镇耕地减少最多", "第二呢", f"rank cls=cropland from_cls=cropland {Y24} group_by=town rank=2desc"),
    ("2024年哪个镇耕地减少最多", "排第三的是谁", f"rank cls=cropland from_cls=cropland {Y24} group_by=town rank=3desc"),
    ("今年有哪些疑似违建图斑", "分别在哪", f"patches to_cls=built {Y24} group_by=town"),
    ("今年有哪些疑似违建图斑", "where are they?", f"patches to_cls=built {Y24} group_by=town"),
    ("今年有哪些疑似违建图斑", "第二呢", f"patch_detail patch_id={PATCHES[1]}"),
    ("今年有哪些疑似违建图斑", "最大的那块什么情况", f"patch_detail patch_id={PATCHES[0]}"),
    ("今年有哪些疑似违建图斑", "where is the biggest one?", f"patch_detail patch_id={PATCHES[0]}"),
    ("今年有哪些疑似违建图斑", "最小的那个呢", f"rank to_cls=built {Y24} rank=1asc"),
    ("今年有哪些疑似违建图斑", "面积加起来多少", f"patches to_cls=built {Y24}"),
    ("今年保护区被占多少", "总面积是多少", f"overlap {Y24} zone=reserve"),
    ("2024年净变化多少，耕地", "不是问净变化，是问新增", f"gain cls=cropland {Y24}"),
    (LOST, "不是问减少，是问新增", f"gain cls=cropland {Y24}"),
    (LOST, "不要全县，只要双口镇", f"loss cls=cropland {Y24} zone=town:双口镇"),
    ("双口镇2024年耕地减少多少", "不要双口镇，看松河镇", f"loss cls=cropland {Y24} zone=town:松河镇"),
    (LOST, "我问的不是耕地，是林地", f"loss cls=forest {Y24}"),
    ("How much cropland was lost in 2024?", "not the loss, the gain", f"gain cls=cropland {Y24}"),
    (LOST, "去年和今年加起来呢", "loss cls=cropland t1=2022-12-31 t2=2024-12-31"),
    (LOST, "近三年加起来呢", "loss cls=cropland t1=2021-12-31 t2=2024-12-31"),
    (BUILT, "主要占了哪些地", f"gain cls=built {Y24} group_by=class unit=mu"),
    ("今年有哪些疑似违建图斑", "占的是什么地", f"patches to_cls=built {Y24}"),
    ("今年有哪些疑似违建图斑", "5亩以上的有几个", f"count to_cls=built {Y24} min_area_m2=3333.333333"),
    (LOST, "哪年最多", "extreme_interval cls=cropland rank=1asc"),
    ("撂荒耕地有多少", "哪个镇最多", "abandoned cls=cropland group_by=town"),
    ("今年基本农田被占多少", "换成双口镇", f"overlap from_cls=cropland {Y24} zone=town:双口镇"),
]


def test_number_of_cases():
    assert tuple(map(len, (PARTS, AGAINST, ASKED_BACK, TURNS))) == (21, 10, 13, 37)


@pytest.mark.parametrize(("first", "said", "want"), [*PARTS, *TURNS])
def test_turn(first, said, want):
    found = after(first, said)
    assert same(found, want), line(found)


@pytest.mark.parametrize(("first", "said", "compare", "differs"), AGAINST)
def test_the_query_before_is_the_first_side(first, said, compare, differs):
    before, found = after(first), after(first, said)
    assert (found.metric, found.compare) == ("compare", compare), line(found)
    assert found.others[0].metric == before.metric
    assert line(found).endswith(f"others={before.metric},{differs}"), line(found)
    kept = found.changed(metric=before.metric, compare=None, others=(), lang=before.lang)
    assert kept == before


@pytest.mark.parametrize(("first", "said", "reason"), ASKED_BACK)
def test_what_cannot_be_held_is_asked_back(first, said, reason):
    found = after(first, said)
    assert (found.metric, found.reason) == ("clarify", reason), line(found)


def test_the_turns_after_a_part_keep_it():
    """The class was swapped, and the next turns inherited the error."""
    assert same(after(BUILT, "其中占耕地的呢", "去年呢"), f"transition from_cls=cropland to_cls=built {Y23} unit=mu")
    assert same(after(BUILT, "其中占耕地的呢", "占林地的呢"), f"transition from_cls=forest to_cls=built {Y24} unit=mu")
    year = after(BUILT, "其中占耕地的呢", "双口镇呢", "前年同期呢")
    assert same(year, f"transition from_cls=cropland to_cls=built {Y22} zone=town:双口镇 unit=mu")


def test_years_one_by_one_are_a_comparison():
    """The figure of both years together was given."""
    two = after("2024年耕地净变化多少", "这两年分别多少")
    assert same(two, f"compare cls=cropland {Y23} compare=periods others=net,{S24}")
    three = after(BUILT, "近三年分别是多少")
    assert (three.t1, [one.t2 for one in three.others]) == ("2021-12-31", ["2023-12-31", "2024-12-31"])
    for said in ("去年和今年哪个多", "去年和今年呢"):
        assert after(LOST, said).compare == "periods"
    towns = after(BUILT, "双口镇和松河镇分别多少")
    assert (towns.compare, towns.cls, towns.others[0].zone.name) == ("zones", "built", "松河镇")


def test_a_period_is_chosen_after_a_sum_was_asked_back():
    asked = after(LOST, "三年加起来一共减少多少")
    assert same(after(asked, "近三年"), "loss cls=cropland t1=2021-12-31 t2=2024-12-31")


@pytest.mark.parametrize(
    "said",
    [
        "全县有哪些变化图斑",
        "2023年有哪些疑似图斑",
        "有没有违规建设的图斑",
        "占比最大的地类是哪个",
        "Is there any illegal building?",
        "有没有违法占用耕地",
        "河道管理范围内有无乱占乱建",
        "面积最大的10个变化图斑",
        "小于5亩的疑似图斑有几个",
        "list patches larger than 5 mu in the reserve",
        "Has anyone been digging in the protected area lately?",
    ],
)
def test_a_question_of_its_own_is_not_drawn_into_the_dialogue(said):
    assert after(BUILT, said) == parse(said, as_of=AS_OF, known=SHOWN)


def test_one_patch_takes_no_other_place():
    detail = parse("第一个图斑的情况", as_of=AS_OF, known=SHOWN)
    assert after(detail, "双口镇呢").reason == "unknown"
    assert same(after(detail, "面积多少"), f"patch_detail patch_id={PATCHES[0]}")


def test_an_upper_limit_of_size_is_not_dropped():
    """ "Only those below 5 mu" gave the same total again, in mu."""
    found = after(LOST, "只看小于5亩的")
    assert (found.metric, found.reason) == ("clarify", "unknown")
