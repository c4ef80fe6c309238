"""Composed answers: exact wording, rounding, signs, what is left out, cards, trace; evidence made by hand."""

import random
import re
from datetime import date

import pytest

from src.assistant.answer import Answer, cards, caveat_lines, compose, impression, trace
from src.assistant.forms import FORMS
from src.assistant.forms.cannot import _USUAL_STEP, NEXT_STEPS, REASONS
from src.assistant.forms.words import REASONS as ASK_REASONS
from src.assistant.parse import parse
from src.assistant.query import METRICS, Query
from src.assistant.record import Evidence, Figure
from src.assistant.text import Say, area_places, day, plain
from src.geo.caveats import CAVEATS
from tests.assistant import cases
from tests.assistant.attack_truths import numbers, truths
from tests.assistant.cases import SCENES, UNIT, evidence, figure, measured

MEASURED = sorted(
    set(METRICS) - {"convert", "explain_diff", "export", "review", "describe", "clarify", "refuse", "unsupported"}
)


def simple_gain(**query) -> Evidence:
    """Gain 1 km2 (1500 mu, 100 ha) +- 0.1, loss 1.2 km2 +- 0.2, net -0.2 +- 0.1; 0.75 of it from forest."""
    pair = {"from_cls": "forest", "to_cls": "cropland"}
    figures = [
        figure("gain", "gain", 1e6, half=1e5, cls="cropland"),
        figure("loss", "loss", 1.2e6, half=2e5, cls="cropland"),
        figure("net", "net", -2e5, half=1e5, cls="cropland"),
        figure("from.forest", "transition", 7.5e5, half=1e5, **pair),
        figure("from.forest.share", "transition", 0.75, "share", **pair),
        figure("town", "gain", 4e5, half=4e4, cls="cropland", place="青禾乡"),
    ]
    return evidence("gain", figures, {"cls": "cropland"} | query)


def test_gain_in_chinese_word_for_word():
    assert compose(simple_gain()).split("\n") == [
        "全县新增耕地（流入）1500亩（100公顷，1平方公里），范围1350–1650亩，未经样本校正；"
        "依据2023年11月2日和2024年10月28日Sentinel-2影像，清晰覆盖93%。",
        "同期耕地流出1800亩，净减少300亩（范围150–450亩）。",
        "耕地流入来源：林地1125亩（75%）。",
        "分乡镇：青禾乡600亩。",
        "口径：前期非耕地、后期为耕地的土地，不等于占补平衡或验收认定的新增耕地。",
        "说明：所问时段按2023年12月31日至2024年12月31日计，采用时间和季节最相近的清晰影像；"
        "可识别的最小图斑为1.35亩；仅两期对比，无后续影像印证。",
        "以上为遥感疑似线索，不能作为处罚依据，建议实地核查。",
    ]


def test_gain_in_english_word_for_word():
    assert compose(simple_gain(lang="en", unit="km2")).split("\n") == [
        "New cropland (gain) in the whole county: 1 km2 (1500 mu, 100 ha), range 0.9–1.1 km2, not corrected by "
        "samples; from Sentinel-2 images of 2 Nov 2023 and 28 Oct 2024, 93% seen clearly.",
        "Over the same period 1.2 km2 of cropland was lost: a net loss of 0.2 km2 (range 0.1–0.3 km2).",
        "New cropland came from: forest 0.75 km2 (75%).",
        "By town: 青禾乡 0.4 km2.",
        "Gain means land that is cropland at the later date only; it is not certified new cropland.",
        "Note: the period asked about is 31 Dec 2023 to 31 Dec 2024; clear images nearest in time and season were "
        "used; the smallest patch that can be seen is 0.09 ha; two dates only; no later image confirms the change.",
        "These are suspected clues from satellite images, no basis for a penalty; check them on site.",
    ]


def test_an_estimate_from_samples_is_called_a_confidence_interval():
    rng = random.Random(4)
    first = compose(cases.gain(rng, sampled=True)).split("\n")[0]
    assert re.search(r"，95%置信区间\d+–\d+亩（n=\d+），像元统计值[\d.]+亩；", first)
    assert "未经样本校正" not in first
    first = compose(cases.gain(rng, sampled=True, lang="en")).split("\n")[0]
    assert re.search(r", 95% confidence interval [\d.]+–[\d.]+ ha \(n=\d+\), pixel count [\d.]+ ha; ", first)


@pytest.mark.parametrize(
    ("value", "half", "expected"),
    [
        (-2e5, 1e5, "净减少300亩（20公顷，0.2平方公里），范围150–450亩，未经样本校正；"),
        (2e5, 1e5, "净增加300亩（20公顷，0.2平方公里），范围150–450亩，未经样本校正；"),
        (
            2e5,
            3e5,
            "净增加300亩（20公顷，0.2平方公里），范围净减少150亩至净增加750亩，未经样本校正，增减方向不能确定；",
        ),
        (
            -2e5,
            3e5,
            "净减少300亩（20公顷，0.2平方公里），范围净减少750亩至净增加150亩，未经样本校正，增减方向不能确定；",
        ),
        (0.0, 3e5, "净变化为0亩，范围净减少450亩至净增加450亩，未经样本校正，增减方向不能确定；"),
    ],
)
def test_net_is_said_in_words_with_its_sign(value, half, expected):
    made = evidence("net", [figure("net", "net", value, half=half, cls="cropland")], {"cls": "cropland"})
    assert compose(made).startswith(f"全县耕地{expected}")


@pytest.mark.parametrize(
    ("value", "half", "unit", "places"),
    [
        # Half widths 150 mu, 1.5 mu, 15 000 mu, 0.1 ha: three digits of them.
        (1e6, 1e5, "mu", 0),
        (1e6, 1e3, "mu", 2),
        (1e9, 1e7, "mu", -2),
        (1e6, 1e3, "ha", 2),
        (1e6, 1e5, "ha", 1),
        (1e6, 1e5, "km2", 3),
        (1e6, 1e5, "m2", -3),
    ],
)
def test_no_figure_is_finer_than_its_bounds_justify(value, half, unit, places):
    assert area_places(figure("a", "gain", value, half=half, cls="cropland"), unit) == places


def test_bounds_and_value_are_printed_alike():
    say = Say(evidence("area_at", [], {"unit": "mu"}))
    county = figure("a", "state", 694_412_345.0, half=41_666_666.0, cls="cropland")
    # 1 041 618.5 mu, half width 62 500 mu: hundreds.
    assert (say.short(county), say.span(county)) == ("104.16万亩", "97.91–110.41万亩")
    small = figure("b", "state", 0.4, "area", cls="water")
    assert say.short(small) == "0.0006亩"
    share = figure("c", "state", 0.00034, "share", cls="water")
    assert say.short(share) == "0.034%"
    share = figure("d", "state", 0.43812, "share", half=0.0265, cls="water")
    assert (say.short(share), say.span(share)) == ("43.8%", "41.2–46.5%")


def test_every_metric_has_a_form_with_titles_and_examples():
    assert tuple(FORMS) == METRICS and len(METRICS) == 34
    for metric, form in FORMS.items():
        assert set(form.title) == {"zh", "en"} and all(form.title.values())
        expected = 0 if metric in ("clarify", "refuse", "unsupported") else 1
        assert all(len(form.examples[lang]) >= expected for lang in ("zh", "en"))


def test_every_example_is_read_as_its_metric():
    found = [(metric, text) for metric, form in FORMS.items() for lang in ("zh", "en") for text in form.examples[lang]]
    read = [(metric, text, parse(text, as_of=date(2024, 12, 31)).metric) for metric, text in found]
    assert len(found) == 76 and [row for row in read if row[0] != row[2]] == []


def all_measured() -> list[Evidence]:
    return [*measured(1, 2), *measured(2, 1)]


def test_answers_are_short_and_clean():
    found = all_measured()
    assert len(found) == 78
    for one in found:
        text = compose(one)
        assert 2 <= len(text.split("\n")) <= 8, text
        assert not re.search(r"None|nan|[{}]|违法|\billegal\b|  |，，|；；|。。", text), text
        other = re.search(r"[\u4e00-\u9fff，。；]", re.sub(r"[\u4e00-\u9fff]{2}[乡镇]", "", text))
        assert one.query.lang == "zh" or other is None, text
        assert (
            ("疑似" if one.query.lang == "zh" else "suspected") in text
            or "NEEDS_FIELD_CHECK" not in one.caveats
            or (one.query.metric == "accuracy")
        )


def test_every_number_is_a_figure():
    """Read with the attack generator's own pattern, which shares nothing with what prints them."""
    count = 0
    for one in all_measured():
        for found in numbers(compose(one)):
            count += 1
            # Half a unit of the last place, or of three digits of the half width.
            errors = [
                abs(truth - found.value) / max(0.501 * found.step, _half_width(figure) / 199)
                for truth, figure in truths(one, "share" if found.unit == "%" else "area")
            ]
            assert min(errors) <= 1, (found, compose(one))
    assert count > 900


def _half_width(found: Figure | None) -> float:
    return 0.0 if found is None or found.bounds is None else (found.bounds[1] - found.bounds[0]) / 2


@pytest.mark.parametrize("build", cases.BUILDERS, ids=lambda build: build.__name__)
def test_an_optional_figure_that_is_missing_leaves_its_clause_out(build):
    whole = build(random.Random(3))
    for gone in range(len(whole.figures)):
        rest = whole.figures[:gone] + whole.figures[gone + 1 :]
        kept = tuple(key for key in whole.cards if key in {one.key for one in rest})
        text = compose(whole.model_copy(update={"figures": rest, "cards": kept}))
        assert text and "None" not in text
        cards(whole), trace(whole)
    bare = compose(whole.model_copy(update={"figures": (), "cards": (), "patches": (), "scenes": ()}))
    assert "None" not in bare


@pytest.mark.parametrize("metric", MEASURED)
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_no_form_fails_on_evidence_without_figures(metric, lang):
    bare = Evidence(query=Query.of({"metric": metric, "lang": lang, "lon": 105.0, "lat": 31.0}), scenes=SCENES)
    assert compose(bare)


def test_dates_asked_about_are_said_only_where_they_differ():
    text = compose(simple_gain())
    assert "所问时段按2023年12月31日至2024年12月31日计" in text
    same = simple_gain().model_copy(update={"t1": cases.T1, "t2": cases.T2})
    assert "所问时段" not in compose(same)


def test_nothing_found_names_what_could_have_been_seen():
    text = compose(cases.overlap(random.Random(1), n=0))
    assert text.startswith("未发现与盘山自然保护区相交的疑似变化图斑（单个不小于1.35亩）；")
    assert "未发现不等于没有" in text and "线索" not in text
    text = compose(cases.patches(random.Random(1), lang="en", n=0, min_area_m2=5 * cases.MU))
    # 5 mu asked, 0.3333 ha; larger than the 900 m2 that can be seen.
    assert text.startswith("No suspected construction patch (each of 0.33 ha or more) was found in the whole county;")


def test_patches_listed_and_counted():
    lines = compose(cases.patches(random.Random(1), n=7)).split("\n")
    assert lines[0].startswith("全县发现疑似建设活动图斑7个（单个不小于1.35亩），合计")
    assert lines[1].count("510723-20241028-20-") == 3 and lines[1].endswith("；其余4个见图斑清单。")
    assert re.fullmatch(
        r"按类型：建\(构\)筑物7个；按可信度：(?:[ABC]级\d个、?)+；面积按方位：.*；分乡镇：(?:..[乡镇]\d个、?)+。",
        lines[2],
    )
    assert "其余" not in compose(cases.patches(random.Random(1), n=3))


def test_one_asked_for_is_named_first_with_its_range():
    made = cases.rank(random.Random(1), rank={"n": 1, "order": "asc"})
    first = made.figures[0]
    text = compose(made).split("\n")[0]
    assert text.startswith(f"全县耕地净变化排名第一的是{first.place}，净减少") and "，范围" in text


def test_place_part_and_outside():
    zone = {"type": "reserve", "name": "盘山", "part": "core"}
    made = simple_gain().model_copy(update={"place": "盘山自然保护区"})
    inside = made.model_copy(update={"query": made.query.changed(zone=zone)})
    assert compose(inside).startswith("盘山自然保护区核心区新增耕地")
    outside = made.model_copy(
        update={
            "query": made.query.changed(zone={"type": "urban_boundary", "inside": False}),
            "place": "urban_boundary",
        }
    )
    assert compose(outside).startswith("城镇开发边界以外新增耕地")


@pytest.mark.parametrize("reason", [*REASONS, *CAVEATS])
def test_cannot_tell_gives_the_reason_and_the_next_step(reason):
    for lang in ("zh", "en"):
        made = Evidence(
            query=Query.of({"metric": "gain", "cls": "cropland", "lang": lang}),
            status="cannot_tell",
            reason=reason,
            t1="2024-09-28",
            t2="2024-10-28",
            scenes=(cases.scene("2024-10-08", used=False, why="cloudy", clear_share=0.12),),
        )
        text = compose(made)
        assert text.startswith("无法判断：" if lang == "zh" else "Cannot tell: ")
        assert ("2024年9月28日至2024年10月28日" if lang == "zh" else "28 Sep 2024 to 28 Oct 2024") in text
        assert "12%" in text
        step = _USUAL_STEP.get(reason)
        assert step is None or NEXT_STEPS[step][lang] in text
    assert set(_USUAL_STEP) <= set(REASONS) | set(CAVEATS)


def test_dates_that_are_offered_stand_nearest_first():
    """Eight dates, the oldest first, cut off the latest."""
    days = tuple(f"{year}-06-{day:02d}" for year in (2022, 2023, 2024) for day in (10, 20, 30))
    scenes = tuple(cases.scene(one, used=False, why="cloudy") for one in days)
    made = Evidence(
        query=Query.of({"metric": "gain", "cls": "cropland"}),
        status="cannot_tell",
        reason="no_scene",
        t2="2024-12-31",
        scenes=scenes,
        choices=days,
    )
    looked_at, have = compose(made).split("\n")[2:4]
    assert looked_at.startswith("查看过的影像：2024年6月30日")
    assert have.startswith("现有：2024年6月30日、2024年6月20日") and "2022年" not in have


def test_a_comparison_of_three_years_and_of_a_transition():
    years = [("2021-12-24", "2022-12-22"), ("2022-12-22", "2023-12-24"), ("2023-12-24", "2024-12-26")]
    figures = tuple(
        Figure(
            key=f"side{n}",
            quantity="transition",
            value=1000.0 * n,
            dimension="area",
            t1=t1,
            t2=t2,
            from_cls="cropland",
            to_cls="built",
        )
        for n, (t1, t2) in enumerate(years, start=1)
    )
    query = Query.of({"metric": "compare", "compare": "periods", "from_cls": "cropland", "to_cls": "built"})
    made = Evidence(query=query, status="measured", figures=figures, cards=("side1", "side2", "side3"))
    text = compose(made)
    assert text.count("耕地→建设用地") == 3 and "前者" not in text
    assert all(words in text for words in ("1.5亩", "3亩", "4.5亩"))
    classes = query.changed(compare="classes", lang="en")
    figures = (figures[0], figures[0].model_copy(update={"key": "side2", "from_cls": "forest"}))
    text = compose(Evidence(query=classes, status="measured", figures=figures, cards=("side1", "side2")))
    assert text.startswith("The whole county, cropland → built-up land")


def test_a_missing_layer_is_named():
    query = Query.of({"metric": "overlap", "zone": {"type": "basic_farmland"}})
    made = Evidence(query=query, status="cannot_tell", reason="NO_ZONE_LAYER", detail=("basic_farmland",))
    assert compose(made) == "无法判断：缺少永久基本农田图层，无法叠加。\n下一步：请上传所需的边界图层。"


@pytest.mark.parametrize("reason", [*ASK_REASONS])
def test_asking_back_and_declining(reason):
    for lang in ("zh", "en"):
        query = Query.of({"metric": "clarify", "reason": reason, "lang": lang})
        made = Evidence(query=query, status="words", choices=("2023-10-20", "forest"))
        text = compose(made)
        assert text.startswith(ASK_REASONS[reason][lang])
        assert ("2023年10月20日" if lang == "zh" else "20 Oct 2023") in text
        assert ("林地" if lang == "zh" else "forest") in text
    assert {"need_period", "need_class", "need_t1", "unknown_zone", "future", "empty", "unknown"} <= set(ASK_REASONS)


def test_legal_questions_are_declined_with_a_clue():
    text = compose(Evidence(query=Query.of({"metric": "refuse", "reason": "legal"}), status="words"))
    assert "须由主管部门依法依规认定" in text and "疑似图斑清单" in text


def test_conversion_is_exact():
    def convert(lang: str, to_unit: str | None) -> str:
        query = Query.of({"metric": "convert", "value": 7.5, "unit": "mu", "to_unit": to_unit, "lang": lang})
        found = Figure(key="converted", quantity="converted", value=5000.0, dimension="area")
        return compose(Evidence(query=query, status="words", figures=(found,), cards=("converted",)))

    assert convert("zh", "ha") == "7.5亩等于0.5公顷。"
    assert convert("en", None) == "7.5 mu is 0.5 ha, 0.005 km2, 5000 m2."


def test_review_and_export_say_what_was_done():
    row = cases.patch(3, random.Random(1)).model_copy(update={"status": "伪变化"})
    query = Query.of({"metric": "review", "patch_id": row.id, "status": "伪变化"})
    text = compose(Evidence(query=query, status="words", patches=(row,), detail=(row.id, "伪变化")))
    assert text.startswith(f"图斑{row.id}的核查状态已改为“伪变化”")
    asked = Evidence(query=Query.of({"metric": "review"}), status="words", reason="need_patch", choices=(row.id,))
    assert row.id in compose(asked)
    made = cases.patches(random.Random(1), n=7)
    text = compose(made.model_copy(update={"query": made.query.changed(metric="export", formats=("xlsx",))}))
    assert text.startswith("可导出疑似图斑7个，格式：xlsx。")


def test_cards_are_the_named_figures():
    made = cards(simple_gain())
    assert [(one.label, one.value, one.note) for one in made] == [
        ("耕地流入", "1500亩", "范围1350–1650亩，未经样本校正"),
        ("耕地流出", "1800亩", "范围1500–2100亩，未经样本校正"),
        ("耕地净变化", "净减少300亩", "范围150–450亩，未经样本校正"),
    ]
    assert cards(simple_gain(lang="en"))[2].value == "a net loss of 20 ha"


def test_trace_holds_everything_in_order():
    made = simple_gain()
    found = trace(made)
    assert [name for name, _ in found] == [
        *("问题理解", "时段", "采用影像", "未用影像", "方法", "数据", "校验", "局限", "证据编号", "输入校验值"),
    ]
    parts = dict(found)
    assert parts["问题理解"] == "新增面积（流入）；范围：全县；地类：耕地"
    assert parts["时段"] == "所问2023年12月31日至2024年12月31日\n影像日期2023年11月2日、2024年10月28日"
    assert "2024年9月18日 Sentinel-2 L2A，清晰31%，云量过大" in parts["未用影像"]
    assert len(parts["数据"].split("\n")) == len(made.figures)
    assert "青禾乡耕地流入：600亩（范围540–660亩）" in parts["数据"]
    assert parts["校验"] == "流入减流出等于净变化：通过"
    assert parts["证据编号"] == made.id and len(made.id) == 64
    assert caveat_lines(made) == [CAVEATS[code]["zh"] for code in cases.CAVEATS]


def test_trace_says_when_a_check_failed_and_when_the_model_chose():
    made = simple_gain(lang="en", source="model").model_copy(update={"checks": {"sums_agree": False}})
    parts = dict(trace(made))
    assert parts["Checks"] == "sums of the matrix agree: failed"
    assert parts["Query"].endswith("chosen by the model among the known forms")


def test_an_impression_is_marked_and_cleaned():
    said = "这里有<b>湖</b>，约3亩![x](http://a/b.png)，见[链接](http://a)。<script>alert(1)</script>"
    text = impression(said, "zh")
    assert text.startswith("以下是模型看图后的印象，不是测量结果")
    assert text.endswith("\n\n这里有湖，约3亩，见链接。")
    assert Answer(question="描述", text=text, source="impression").evidence is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a<img src=x onerror=alert(1)>b", "ab"),
        ("<scr<b></b>ipt>x</script>y", ""),
        ("![a](b)c ![d][e] [f][g]", "c d f"),
        ("1 < 2 且 3 > 2", "1 < 2 且 3 > 2"),
        ("<iframe src='x'", ""),
        ("净减少 <3 亩", "净减少 <3 亩"),
    ],
)
def test_model_text_loses_html_images_and_links(text, expected):
    assert plain(text) == expected


def test_dates_in_words():
    assert (day("2024-02-05", "zh"), day("2024-02-05", "en")) == ("2024年2月5日", "5 Feb 2024")
    assert UNIT.value == 900
