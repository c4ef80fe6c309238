"""Readings that a review found wrong: patches compared, the largest patch, building activity, words of the trade."""

import pytest

from src.assistant.parse import parse
from src.assistant.query import Known
from tests.assistant.questions import AS_OF, KNOWN, line


def ask(text, known=KNOWN):
    return parse(text, as_of=AS_OF, known=known)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("今年第三季度的违建比第二季度多吗", ["2024-06-30 2024-09-30", "2024-03-31 2024-06-30"]),
        ("疑似图斑是今年多还是前年多", ["2023-12-31 2024-12-31", "2021-12-31 2022-12-31"]),
        ("违章建筑同比多了还是少了，今年上半年", ["2023-12-31 2024-06-30", "2022-12-31 2023-06-30"]),
        ("2023年、2024年分别有多少违建", ["2022-12-31 2023-12-31", "2023-12-31 2024-12-31"]),
        ("乱占乱建的比去年多不多", ["2023-12-31 2024-12-31", "2022-12-31 2023-12-31"]),
        ("Were there more suspected patches in 2024 than in 2023?", ["2023-12-31 2024-12-31", "2022-12-31 2023-12-31"]),
    ],
)
def test_patches_of_two_periods_are_compared_as_patches(text, spans):
    """They were compared as the stock of built-up land."""
    query = ask(text)
    assert (query.metric, query.compare, query.others[0].metric) == ("compare", "periods", "patches")
    assert [f"{one.t1} {one.t2}" for one in (query, *query.others)] == spans


def test_building_without_approval_is_patches():
    assert ask("今年没有批准的建设有哪些").metric == "patches"
    assert ask("不满3亩的违建有哪些").reason == "unknown"  # no query holds a largest area


def test_places_are_compared_by_their_patches():
    query = ask("双口镇和松河镇今年哪个违建多")
    assert (query.compare, query.to_cls, query.others[0].metric) == ("zones", "built", "patches")


@pytest.mark.parametrize(
    "text", ["今年违建占地面积比去年多几亩", "Is the area of illegal buildings larger this year than in 2023?"]
)
def test_a_comparison_of_patches_tells_no_area(text):
    assert ask(text).reason == "one_at_a_time"


@pytest.mark.parametrize(
    ("text", "cls"), [("双口镇和松河镇谁占林地占得狠", "forest"), ("金塘镇跟松河镇今年哪个占用的农田多", "cropland")]
)
def test_taking_land_is_its_loss(text, cls):
    query = ask(text)
    assert (query.cls, query.compare, query.others[0].metric) == (cls, "zones", "loss")


@pytest.mark.parametrize(
    "text",
    [
        "2024年新增建设用地里面林地占了多少",
        "2024年新增的建设用地当中有多少是林地",
        "How much of the new built-up land was forest in 2024?",
        "2024年林地里新增建设用地多少",
    ],
)
def test_what_is_new_is_the_class_after(text):
    """Read as built-up land that became forest."""
    assert line(ask(text)) == "transition from_cls=forest to_cls=built t1=2023-12-31 t2=2024-12-31"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("最大的那块违建在什么地方", "rank to_cls=built"),
        ("占林地最大的一块图斑在哪儿", "rank from_cls=forest"),
        ("哪块违建面积最大", "rank to_cls=built"),
        ("双口镇最大的一处新增建设用地有多大", "rank to_cls=built zone=town:双口镇"),
        ("Which site of new building is the biggest, and where does it lie?", "rank to_cls=built"),
    ],
)
def test_the_largest_patch_is_no_ranking_of_towns(text, want):
    query = ask(text)
    metric, *fields = want.split()
    assert query.metric == metric and query.group_by is None and query.rank.n == 1, line(query)
    assert all(field in line(query) for field in fields if not field.startswith("rank")), line(query)


@pytest.mark.parametrize(
    "text",
    [
        "保护区里有谁在盖东西吗",
        "生态红线内是否有人偷偷搞建设",
        "Is somebody putting up houses inside the reserve?",
        "Has anyone been building within the ecological red line?",
        "Are there any buildings under construction in the reserve?",
    ],
)
def test_building_is_change_and_not_what_stands_there(text):
    query = ask(text)
    assert (query.metric, query.to_cls) == ("patches", "built"), line(query)


def test_buildings_that_stand_there_are_presence():
    assert ask("生态红线里有没有建设用地").metric == "presence"


@pytest.mark.parametrize(
    "text",
    [
        "城乡建设用地增减挂钩腾出了多少耕地",
        "今年有多少批而未供土地",
        "供而未用的建设用地有几宗",
        "全县闲置土地面积",
        "耕地的质量怎么样",
        "全县耕地质量等级是几等",
        "人均耕地面积是多少",
        "这片林地的权属归谁",
        "高标准农田建了多少亩",
        "耕地进出平衡做到了吗",
        "设施农用地占了多少",
        "How much cropland per capita do we have?",
        "Who owns the new built-up land?",
        "What is the soil quality of the cropland?",
    ],
)
def test_words_of_the_trade_that_no_image_tells(text):
    query = ask(text)
    assert (query.metric, query.reason) == ("unsupported", "no_data"), line(query)


@pytest.mark.parametrize(
    "text",
    [
        "闲置耕地有多少亩",
        "How much idle cropland is there?",
        "把第一个标为设施农用地",
        "自己家的宅基地增加多少，2024年",
    ],
)
def test_words_beside_them_are_read_as_before(text):
    assert ask(text).reason != "no_data"


@pytest.mark.parametrize(
    "text", ["各乡镇林地占比是多少，谁最高", "哪个镇建设用地的比例最高", "Which town has the highest share of forest?"]
)
def test_shares_of_towns_are_shares_and_no_areas(text):
    query = ask(text)
    assert (query.metric, query.group_by, query.rank) == ("share_at", "town", None), line(query)


@pytest.mark.parametrize("text", ["林地占比比去年低了多少", "耕地的比重和2023年相比增加了多少"])
def test_a_share_against_a_year_compares_shares(text):
    query = ask(text)
    assert (query.compare, query.others[0].metric) == ("periods", "share_at"), line(query)
    assert [one.t2 for one in (query, *query.others)] == ["2024-12-31", "2023-12-31"]


@pytest.mark.parametrize(
    "text", ["全县还剩多少林地，比2022年少了多少", "How much forest is there now, and how does that compare with 2022?"]
)
def test_what_there_is_now_against_a_year_compares_states(text):
    query = ask(text)
    assert (query.compare, query.cls, query.others[0].metric) == ("periods", "forest", "area_at"), line(query)
    assert [one.t2 for one in (query, *query.others)] == ["2024-12-31", "2022-12-31"]


@pytest.mark.parametrize("text", ["置信度较高的疑似图斑有多少个", "把握大的违建有几处", "可信度很高的违建图斑有几个"])
def test_a_high_confidence_is_no_question_of_accuracy(text):
    query = ask(text)
    assert (query.metric, query.min_confidence) == ("count", 0.8), line(query)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("How much forest is there in the core zone?", ["core"]),
        ("Has the experimental zone been touched?", ["experimental"]),
        ("Any cropland in the buffer area of the reserve?", ["buffer"]),
        ("核心区和缓冲区哪个林地多", ["core", "buffer"]),
        ("Is there more forest in the core zone or in the buffer zone?", ["core", "buffer"]),
    ],
)
def test_parts_of_a_reserve(text, parts):
    """In English the whole county stood for them; of two parts the second was lost."""
    query = ask(text)
    assert [(one.zone.type, one.zone.part) for one in (query, *query.others)] == [("reserve", one) for one in parts]


@pytest.mark.parametrize(
    "text",
    [
        "New building in Shuangkou this year?",
        "Cropland lost in 2024 in Songhe",
        "Jintang's forest area now?",
        "Shuangkou forest area",
        "How much Songhe cropland was lost in 2024?",
    ],
)
def test_an_unknown_name_is_never_the_whole_county(text):
    query = ask(text)
    assert (query.metric, query.reason, query.zone.type) == ("clarify", "unknown_zone", "town")


@pytest.mark.parametrize(
    "text",
    [
        "How Much Cropland Was Lost In 2024?",
        "Cropland loss in March 2024 in Hectares",
        "Export the patches for Excel and Word",
        "How much Cropland turned to Forest and Grassland or Water?",
        "New land in the Reserve and the Red Line",
        "Calculate forest area",
        "Did forest area shrink in 2024?",
    ],
)
def test_capitals_alone_make_no_name(text):
    assert ask(text).reason != "unknown_zone"


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("How much forest was lost in 双口镇 in 2024?", "en"),
        ("How much cropland is in 永久基本农田 now?", "en"),
        ("双口镇", "zh"),
        ("双口镇 NDVI", "zh"),
        ("2024年新增built-up land有多少亩", "zh"),
        ("导出shapefile和geojson", "zh"),
    ],
)
def test_the_language_is_that_of_the_words_around_the_names(text, lang):
    assert ask(text).lang == lang


def test_nothing_known_leaves_names_unchecked():
    assert ask("New building in Shuangkou this year?", Known()).zone.name == "Shuangkou"


@pytest.mark.parametrize(
    ("text", "metric", "order"),
    [
        ("今年哪个乡镇的林地变动最大", "rank", "size"),
        ("Which township's cropland changed the most in 2024?", "rank", "size"),
        ("今年哪个镇林地净减少最多", "rank", "asc"),
        ("今年哪个镇林地净增加最多", "rank", "desc"),
        ("近几年哪一年林地变化最大", "extreme_interval", "size"),
        ("近几年哪一年林地减少最多", "extreme_interval", "asc"),
    ],
)
def test_most_changed_is_neither_most_gained_nor_most_lost(text, metric, order):
    query = ask(text)
    assert (query.metric, query.rank.order) == (metric, order)


@pytest.mark.parametrize(
    ("text", "cls", "reason"),
    [
        ("全县有多少亩菜地", "cropland", "merged"),
        ("今年宅基地增加了多少", "built", "merged"),
        ("How much paddy was lost in 2024?", "cropland", "merged"),
        ("全县水田、旱地共有多少", "cropland", None),
        ("全县耕地有多少亩", "cropland", None),
    ],
)
def test_a_part_of_a_class_is_said_to_be_a_part(text, cls, reason):
    query = ask(text)
    assert (query.cls, query.reason) == (cls, reason)
