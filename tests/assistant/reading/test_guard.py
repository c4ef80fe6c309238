"""What a question names is held by its query, or asked back: places, periods, classes, and what is left out."""

import pytest

from src.assistant.parse import parse
from src.assistant.query import Known, Query
from src.assistant.reading.choose import choose
from src.assistant.reading.guard import guarded, unheld
from src.assistant.reading.slots import read_slots
from tests.assistant.questions import AS_OF, line

KNOWN = Known(
    dates=("2022-12-20", "2023-12-24", "2024-12-26"),
    zones={
        "town": ("柳湾镇", "石桥镇"),
        "basic_farmland": ("柳湾镇永久基本农田", "石桥镇永久基本农田"),
        "reserve": ("白鹭自然保护区",),
        "river": ("青河河道管理范围",),
        "red_line": ("生态保护红线",),
    },
    county="东山县",
)


def ask(text, known=KNOWN, previous=None):
    return parse(text, as_of=AS_OF, known=known, previous=previous)


def slots(text):
    return read_slots(text, AS_OF, KNOWN)


@pytest.mark.parametrize(
    "text",
    [
        "柳湾镇的基本农田今年被占了多少亩",
        "柳湾基本农田里头今年有没有盖房的",
        "2024年柳湾镇的永久基本农田内新增建设用地多少",
        "How much permanent basic farmland in 柳湾镇 was lost in 2024?",
    ],
)
def test_a_town_and_its_zone_are_the_zone_of_this_town(text):
    zone = ask(text).zone
    assert (zone.type, zone.name, zone.inside) == ("basic_farmland", "柳湾镇永久基本农田", True)


def test_a_zone_is_known_by_its_own_name_and_its_kind():
    """青河河道 is 青河河道管理范围, and its name no water."""
    assert ask("青河河道里今年有没有违建").zone.name == "青河河道管理范围"
    assert ask("白鹭保护区今年林地减少多少").zone.name == "白鹭自然保护区"


def test_two_towns_and_a_zone_are_compared_zone_by_zone():
    query = ask("柳湾镇和石桥镇的基本农田今年哪个新增建设用地多")
    assert query.compare == "zones"
    assert [one.zone.name for one in (query, *query.others)] == ["柳湾镇永久基本农田", "石桥镇永久基本农田"]


@pytest.mark.parametrize(
    ("text", "metric", "kind"),
    [
        ("石桥镇保护区里今年有没有新建的房子", "patches", "reserve"),
        ("2024年石桥镇河道内减少了多少草地", "loss", "river"),
        ("生态红线里石桥镇那部分耕地有多少", "area_at", "red_line"),
        ("Is there any built-up land in the river corridor in 石桥镇?", "presence", "river"),
        ("How much of the reserve in 石桥镇 was taken in 2024?", "overlap", "reserve"),
    ],
)
def test_a_zone_of_all_in_a_town_is_its_ground_there(text, metric, kind):
    query = ask(text)
    assert (query.metric, query.zone.type, query.zone.name, query.zone.town) == (metric, kind, None, "石桥镇")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("石桥镇和全县今年林地各减少多少", "loss"),
        ("石桥镇保护区以外今年林地减少多少", "loss"),
        ("石桥镇和保护区今年林地减少多少", "loss"),
    ],
)
def test_two_places_that_make_none_are_asked_back(text, wanted):
    query = ask(text)
    assert (query.metric, query.reason, query.wanted, query.zone) == ("clarify", "which_zone", wanted, None)
    told = ask("石桥镇", previous=query)
    assert (told.metric, told.zone.name) == (wanted, "石桥镇")


def test_the_zone_of_one_town_is_not_kept_for_another():
    known = KNOWN.model_copy(
        update={"zones": {"town": ("柳湾镇", "石桥镇"), "basic_farmland": ("柳湾镇永久基本农田",)}}
    )
    before = ask("柳湾镇的基本农田今年被占了多少", known)
    zone = ask("石桥镇的呢", known, previous=before).zone
    assert (before.zone.name, zone.name, zone.town) == ("柳湾镇永久基本农田", None, "石桥镇")


def test_a_town_and_two_zones_are_two_places():
    query = ask("石桥镇河道和保护区今年林地减少哪个多")
    assert query.compare == "zones"
    assert [(one.zone.type, one.zone.town) for one in (query, *query.others)] == [
        ("river", "石桥镇"),
        ("reserve", "石桥镇"),
    ]


def test_two_zones_of_a_town_are_the_ground_of_both_there():
    known = KNOWN.model_copy(update={"zones": {"town": ("柳湾镇",), "basic_farmland": ("柳湾一片", "柳湾二片")}})
    zone = ask("柳湾镇的基本农田被占了多少", known).zone
    assert (zone.type, zone.name, zone.town) == ("basic_farmland", None, "柳湾镇")


@pytest.mark.parametrize("text", ["石桥镇耕地占全县耕地的几成", "柳湾镇林地面积占全县林地的比例"])
def test_the_share_of_a_town_in_the_county_is_no_share_of_the_town(text):
    assert ask(text).reason == "which_zone"


@pytest.mark.parametrize(
    ("text", "metric", "spans"),
    [
        ("林地前年少了多少，去年又少了多少", "loss", ["2021-12-31 2022-12-31", "2022-12-31 2023-12-31"]),
        ("2021年和2023年建设用地各增加多少", "gain", ["2020-12-31 2021-12-31", "2022-12-31 2023-12-31"]),
        ("2023年、2024年分别新增多少耕地", "gain", ["2022-12-31 2023-12-31", "2023-12-31 2024-12-31"]),
        ("Forest lost in 2022 and in 2024?", "loss", ["2021-12-31 2022-12-31", "2023-12-31 2024-12-31"]),
    ],
)
def test_two_years_with_a_flow_are_two_periods(text, metric, spans):
    query = ask(text)
    assert (query.metric, query.compare, query.others[0].metric) == ("compare", "periods", metric)
    assert [f"{one.t1} {one.t2}" for one in (query, *query.others)] == spans


@pytest.mark.parametrize(
    ("text", "t1", "t2"),
    [
        ("2024年比2022年林地减少了多少", "2022-12-31", "2024-12-31"),
        ("2022年到2024年林地减少了多少", "2022-12-31", "2024-12-31"),
    ],
)
def test_years_set_against_each_other_are_the_ends_of_one_period(text, t1, t2):
    query = ask(text)
    assert (query.metric, query.t1, query.t2) == ("loss", t1, t2)


@pytest.mark.parametrize(
    "text",
    [
        "林地减少和水域增加分别是多少",
        "今年草地转林地和林地转草地各有多少",
        "How much forest became cropland and how much cropland became forest in 2024?",
        "今年建设用地新增多少，其中占林地多少",
        "今年疑似图斑有几个，占林地的有几个",
        "今年石桥镇林地增加和草地减少各多少",
        "今年建设占用保护区和草地各多少",
        "各镇2022年和2023年林地各减少多少",
        "2022年和2023年哪个镇林地减少最多",
        "前年、去年的违建图斑清单",
    ],
)
def test_more_than_one_query_holds_is_asked_back(text):
    query = ask(text)
    assert (query.metric, query.reason, query.wanted) == ("clarify", "one_at_a_time", None)


@pytest.mark.parametrize(
    "text",
    [
        "2024年林地变成草地园地水域的各有多少亩",
        "今年有多少草地变成了林地或者园地",
        "2024年草地流向林地园地的各是多少",
        "2024年耕地变成林地和草地的一共多少",
        "How much cropland and forest was built on in total in 2024?",
    ],
)
def test_several_target_classes_are_never_one_or_all_others(text):
    assert ask(text).reason == "one_at_a_time"


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("2024年林地流向草地、园地、水域的各有多少亩", "forest>grassland forest>garden forest>water"),
        ("How much forest turned into grassland or orchards in 2024?", "forest>grassland forest>garden"),
        ("2024年有多少耕地和林地变成了建设用地", "cropland>built forest>built"),
        ("How much cropland and forest became built-up land in 2024?", "cropland>built forest>built"),
        ("How much cropland and forest was built on in 2024?", "cropland>built forest>built"),
    ],
)
def test_several_classes_of_one_side_stand_side_by_side(text, pairs):
    """All that became built-up land was told, whatever it had been."""
    query = ask(text)
    assert (query.metric, query.compare, query.others[0].metric) == ("compare", "classes", "transition")
    assert " ".join(f"{one.from_cls}>{one.to_cls}" for one in (query, *query.others)) == pairs


@pytest.mark.parametrize(
    "text",
    [
        "2024年林地减少多少，扣除变成草地的",
        "除去修路占的，今年草地还少了多少亩",
        "不是林地的变化图斑列一下",
        "今年没变的林地有多少亩",
        "一直保持不变的草地面积",
        "How much forest was lost in 2024, excluding conversion to grassland?",
        "Apart from new roads, how much grassland was lost this year?",
        "How much forest stayed the same in 2024?",
        "Forest loss other than to built-up land",
        "今年没有被占用的林地有多少",
        "未转为建设用地的草地面积",
        "forest not converted to cropland in 2024",
    ],
)
def test_what_is_left_out_or_unchanged_is_never_the_whole(text):
    query = ask(text)
    assert (query.metric, query.reason) == ("clarify", "exclusion")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("2024年非林地变成林地的有多少", "gain cls=forest t1=2023-12-31 t2=2024-12-31"),
        ("2024年林地转为非林地多少", "loss cls=forest t1=2023-12-31 t2=2024-12-31"),
        ("今年林地有没有变化", "net cls=forest t1=2023-12-31 t2=2024-12-31"),
        ("保护区以外今年新增耕地多少", "gain cls=cropland t1=2023-12-31 t2=2024-12-31 zone=-reserve"),
        ("不包括石桥镇，今年林地减少多少", "loss cls=forest t1=2023-12-31 t2=2024-12-31 zone=-town:石桥镇"),
        ("除了石桥镇，今年林地减少多少", "loss cls=forest t1=2023-12-31 t2=2024-12-31 zone=-town:石桥镇"),
        ("除林地外，各地类现在面积多少", "area_at t2=2024-12-31 group_by=class"),
        ("撂荒地现在有多少亩", "abandoned cls=cropland unit=mu"),
    ],
)
def test_what_a_query_can_leave_out_is_measured(text, want):
    assert line(ask(text)) == want


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("How much less forest was there in 2024 than in 2022?", "area_at"),
        ("Was there less forest in 2024 than in 2022?", "area_at"),
        ("Is there more cropland in 2024 than in 2022?", "area_at"),
        ("Was there more new built-up land in 2024 than in 2022?", "gain"),
        ("Was more forest lost in 2024 than in 2022?", "loss"),
    ],
)
def test_less_land_is_a_state_and_less_loss_a_flow(text, metric):
    query = ask(text)
    assert (query.compare, query.t2, query.others[0].metric) == ("periods", "2024-12-31", metric)
    assert query.others[0].t2 == "2022-12-31"


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("图斑000000-20241226-20-71826去年就有了吗", "first_seen"),
        ("Was patch 000000-20241226-20-71826 there in 2023?", "first_seen"),
        ("图斑000000-20241226-20-71826在2024年多大面积", "patch_detail"),
        ("图斑000000-20241226-20-71826的情况", "patch_detail"),
    ],
)
def test_a_patch_at_some_time_is_that_patch(text, metric):
    """All patches of the year were listed."""
    query = ask(text)
    assert (query.metric, query.patch_id) == (metric, "000000-20241226-20-71826")
    # Every date is looked at, not those of the year alone.
    assert metric != "first_seen" or (query.t1, query.t2) == (None, None)


def test_what_is_asked_back_for_its_period_must_hold_the_rest_as_well():
    """ "Not counting" was forgotten once the period had been told, and the inverted number measured."""
    assert ask("How much forest was lost, not counting conversion to grassland?").reason == "exclusion"
    assert ask("林地减少了多少").reason == "need_period"


def test_a_follow_up_is_held_to_the_same():
    before = ask("2024年石桥镇林地减少多少")
    assert ask("柳湾镇和河道里呢", previous=before).reason == "which_zone"
    assert ask("柳湾镇河道里呢", previous=before).zone.town == "柳湾镇"
    assert ask("柳湾镇呢", previous=before).zone.name == "柳湾镇"


def test_what_a_model_chooses_is_held_to_the_same():
    class Sure:
        def score(self, messages, choices):
            return [float(choice == "某类土地减少面积") for choice in choices]

    query = choose("2024年石桥镇和河道那边的草地，嗯", Sure(), as_of=AS_OF, known=KNOWN)
    assert (query.reason, query.wanted) == ("which_zone", "loss")


@pytest.mark.parametrize(
    ("text", "fields", "reason"),
    [
        ("2024年石桥镇林地减少多少", {"metric": "loss", "cls": "forest"}, "which_zone"),
        ("2024年林地减少多少", {"metric": "loss", "cls": "forest", "t1": "2022-12-31", "t2": "2023-12-31"},
         "one_at_a_time"),
        ("2024年林地减少多少", {"metric": "loss", "cls": "cropland", "t1": "2023-12-31", "t2": "2024-12-31"},
         "one_at_a_time"),
        ("2024年林地减少多少", {"metric": "loss", "cls": "forest", "t1": "2023-12-31", "t2": "2024-12-31"}, None),
        ("林地用的哪天的影像", {"metric": "provenance"}, None),
        ("石桥镇的林地为什么减少", {"metric": "unsupported", "reason": "causal"}, None),
    ],
)  # fmt: skip
def test_the_guard_alone(text, fields, reason):
    assert unheld(slots(text), Query.of(fields)) == reason


def test_the_guard_changes_nothing_that_holds():
    query = Query.of({"metric": "area_at", "cls": "forest", "t2": "2024-12-31"})
    assert guarded(slots("2024年底林地面积"), query) is query


@pytest.mark.parametrize(
    "text",
    [
        "2021年、2022年、2023年林地各减少多少",
        "草地2022、2023、2024年分别新增多少",
        "How much forest was lost in 2021, 2022 and 2023?",
        "今年4月、5月、6月分别有多少处违建",
    ],
)
def test_three_periods_are_three_sides(text):
    query = ask(text)
    assert (query.metric, query.compare, len(query.others)) == ("compare", "periods", 2)
    assert len({query.t2, *(one.t2 for one in query.others)}) == 3
