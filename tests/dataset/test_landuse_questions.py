"""Facts and answers of hand-made label chips, their wording in both languages, balance, dialogues."""

import re
from string import Formatter

import numpy as np
import pytest

from src.answers.compare import reward
from src.answers.kinds import question_kind
from src.constants import LAND_CLASS_IDS
from src.dataset.landuse_balance import answer_ceiling, cap_majority, choose_questions
from src.dataset.landuse_dialogues import describe, dialogue_turns, list_shares
from src.dataset.landuse_questions import (
    Question,
    answer_text,
    chip_facts,
    count_regions,
    pair_questions,
    percent_tens,
    question_text,
    single_questions,
    two_figures,
)
from src.dataset.landuse_text import IMAGE_NAMES, LANGUAGES, QUESTION_TYPES, TEMPLATES


def chip(**pixels):
    """10 x 10 labels filled row by row with the given number of pixels per class; the rest is unlabelled."""
    codes = [LAND_CLASS_IDS[name] for name, count in pixels.items() for _ in range(count)]
    return np.array(codes + [0] * (100 - len(codes)), dtype=np.uint8).reshape(10, 10)


def facts_of(labels, *, complete=True, pixel_m2=100.0):
    return chip_facts(labels, np.full(labels.shape, pixel_m2), complete)


def answers(questions, form):
    """{classes: answer} of one form, or {classes + unit: answer} where there is a unit."""
    return {(*q.classes, q.unit) if q.unit else q.classes: q.answer for q in questions if q.form == form}


MIXED = chip(forest=50, cropland=30, built=10, water=9, grassland=1)


def test_single_date_answers_by_hand():
    questions = single_questions(facts_of(MIXED))
    # Grassland fills 1 %: more than nothing, less than 2 %, so it is not asked.
    assert answers(questions, "presence") == {
        ("cropland",): "yes",
        ("garden",): "no",
        ("forest",): "yes",
        ("water",): "yes",
        ("built",): "yes",
        ("unused",): "no",
    }
    assert answers(questions, "dominant") == {(): "forest"}
    assert answers(questions, "rural_urban") == {(): "rural"}
    assert answers(questions, "share") == {
        ("cropland",): "30%",
        ("forest",): "50%",
        ("water",): "10%",
        ("built",): "10%",
    }
    more = answers(questions, "comp_more")
    assert more["forest", "cropland"] == "yes" and more["cropland", "forest"] == "no"
    # Built and water differ by one point only; grassland is too small to compare.
    assert ("built", "water") not in more and not any("grassland" in pair for pair in more)
    less = answers(questions, "comp_less")
    assert less == {pair: {"yes": "no", "no": "yes"}[answer] for pair, answer in more.items()}
    # 50 pixels of 100 m2 are 5000 m2: 7.5 mu, but only 0.5 ha and 0.005 km2, which are not asked.
    area = answers(questions, "area")
    assert area["forest", "mu"] == "7.5 mu" and area["cropland", "mu"] == "4.5 mu"
    assert {key[1] for key in area} == {"mu"}


def test_area_units_by_hand():
    """30 m pixels: 50 of 900 m2 are 45,000 m2 = 4.5 ha = 67.5 mu; the chip is 9 ha = 135 mu."""
    area = {q.unit: q for q in single_questions(facts_of(MIXED, pixel_m2=900.0)) if q.classes == ("forest",) and q.unit}
    assert area["ha"].answer == "4.5 ha" and area["mu"].answer in ("67 mu", "68 mu")
    assert "9公顷" in question_text(area["ha"], "zh", np.random.default_rng(0))
    assert answer_text(area["ha"], "zh") == "4.5公顷" and answer_text(area["ha"], "en") == "4.5 ha"
    assert answer_text(area["mu"], "zh").endswith("亩")


@pytest.mark.parametrize(
    ("built", "forest", "expected"), [(30, 70, "urban"), (29, 71, None), (11, 89, None), (10, 90, "rural")]
)
def test_rural_urban_thresholds(built, forest, expected):
    found = answers(single_questions(facts_of(chip(built=built, forest=forest))), "rural_urban")
    assert found.get(()) == expected


@pytest.mark.parametrize(("forest", "asked"), [(55, True), (54, False)])
def test_dominant_needs_ten_points(forest, asked):
    found = answers(single_questions(facts_of(chip(forest=forest, cropland=100 - forest))), "dominant")
    assert (found == {(): "forest"}) is asked


@pytest.mark.parametrize(("water", "asked"), [(47, True), (48, False)])
def test_comparison_needs_five_points(water, asked):
    found = answers(single_questions(facts_of(chip(water=water, built=100 - water))), "comp_more")
    assert (found == {("water", "built"): "no", ("built", "water"): "yes"}) is asked


def test_counts_regions_touching_at_corners_as_one():
    labels = np.full((5, 5), LAND_CLASS_IDS["cropland"], dtype=np.uint8)
    labels[0, 0] = labels[1, 1] = labels[4, 0] = labels[4, 4] = LAND_CLASS_IDS["water"]
    found = answers(single_questions(facts_of(labels)), "count")
    assert found == {("cropland",): "1", ("water",): "3"}


def test_count_is_withheld_when_a_region_is_almost_large_enough():
    """On 40 x 40 pixels a region counts from 8 pixels; one of 4 to 7 makes the count debatable."""
    mask = np.zeros((40, 40), dtype=bool)
    mask[0, :8] = mask[10, :20] = True
    assert count_regions(mask) == 2
    mask[20, :3] = True
    assert count_regions(mask) == 2
    mask[30, :4] = True
    assert count_regions(mask) is None


def test_partial_labels_give_only_what_holds_for_any_content_of_the_gaps():
    labels = chip(forest=60, cropland=20)
    questions = single_questions(facts_of(labels, complete=False))
    assert answers(questions, "presence") == {("cropland",): "yes", ("forest",): "yes"}
    # 60 - 20 points stay a clear lead even if the 20 unlabelled ones are cropland.
    assert answers(questions, "dominant") == {(): "forest"}
    assert answers(questions, "comp_more")["forest", "cropland"] == "yes"
    # 20 % may be built: neither rural nor urban.
    assert {q.type for q in questions} == {"presence", "dominant", "comp"}
    narrow = single_questions(facts_of(chip(forest=50, cropland=30), complete=False))
    assert not answers(narrow, "dominant") and not answers(narrow, "comp_more")


def test_shares_are_of_labelled_pixels_where_labels_count_as_complete():
    facts = facts_of(chip(forest=49, cropland=49), complete=True)
    assert facts.shares["forest"] == 0.5 and facts.unknown == 0.0


BEFORE = chip(cropland=60, forest=30, built=10)
AFTER = chip(cropland=40, forest=30, built=30)


def test_change_answers_by_hand():
    """Row by row, cropland 60 to 40 and built 10 to 30; forest moves up by 20 pixels, so 40 of 100 pixels change."""
    questions = pair_questions(BEFORE, AFTER)
    assert np.count_nonzero(BEFORE != AFTER) == 40
    assert answers(questions, "change_share") == {(): "40%"}
    assert answers(questions, "change_more") == {("cropland",): "no", ("forest",): "no", ("built",): "yes"}
    assert answers(questions, "change_less") == {("cropland",): "yes", ("forest",): "no", ("built",): "no"}
    assert answers(questions, "change_loss") == {(): "cropland"}
    assert answers(questions, "change_gain") == {(): "built"}


def test_small_change_is_not_asked_about_and_unlabelled_pixels_do_not_count():
    before = chip(cropland=52, built=48)
    assert answers(pair_questions(before, chip(cropland=50, built=50)), "change_more") == {("cropland",): "no"}
    half = AFTER.copy()
    half[5:] = 0
    # Only rows 0-4 remain: 50 pixels of which rows 4 turned from cropland to forest.
    assert answers(pair_questions(BEFORE, half), "change_share") == {(): "20%"}
    assert pair_questions(BEFORE, np.zeros_like(AFTER)) == []


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0%"), (0.049, "0%"), (0.05, "10%"), (0.249, "20%"), (0.25, "30%"), (1.0, "100%")]
)
def test_percent_tens(share, text):
    assert percent_tens(share) == text


@pytest.mark.parametrize(
    ("value", "text"), [(1234, "1200"), (99.6, "100"), (12.34, "12"), (5.0, "5"), (0.356, "0.36"), (1.0, "1")]
)
def test_two_figures(value, text):
    assert two_figures(value) == text


@pytest.mark.parametrize(
    ("question", "zh", "en"),
    [
        (Question("presence", "yes", ("water",)), "是", "yes"),
        (Question("comp_more", "no", ("water", "built")), "否", "no"),
        (Question("rural_urban", "rural"), "农村", "rural"),
        (Question("rural_urban", "urban"), "城市", "urban"),
        (Question("dominant", "forest"), "林地", "forest"),
        (Question("change_loss", "built"), "建设用地", "built-up land"),
        (Question("share", "40%", ("water",)), "40%", "40%"),
        (Question("count", "3", ("water",)), "3", "3"),
        (Question("area", "180 mu", ("water",), "mu"), "180亩", "180 mu"),
        (Question("area", "0.36 km2", ("water",), "km2"), "0.36平方公里", "0.36 km2"),
    ],
)
def test_answers_in_both_languages(question, zh, en):
    assert (answer_text(question, "zh"), answer_text(question, "en")) == (zh, en)


def test_every_form_has_four_phrasings_per_language():
    assert set(TEMPLATES) == set(QUESTION_TYPES) and len(TEMPLATES) == 13
    for form, by_language in TEMPLATES.items():
        slots = {
            frozenset(name for _, name, _, _ in Formatter().parse(text) if name and not name.startswith("img"))
            for texts in by_language.values()
            for text in texts
        }
        assert len(slots) == 1, f"{form}: phrasings ask for different things: {slots}"
        for lang in LANGUAGES:
            assert len(set(by_language[lang])) >= 4, (form, lang)
            assert all("{img" in text for text in by_language[lang]), (form, lang)


def test_wording_is_in_the_language_asked_for():
    rng = np.random.default_rng(1)
    questions = single_questions(facts_of(MIXED)) + pair_questions(BEFORE, AFTER)
    assert {q.form for q in questions} == set(TEMPLATES)
    for question in questions:
        zh, en = question_text(question, "zh", rng), question_text(question, "en", rng)
        assert not re.search(r"[{}]", zh + en)
        assert re.search(r"[一-鿿]", zh) and not re.search(r"[a-z]", zh)
        assert not re.search(r"[一-鿿]", en) and en.endswith("?") and en[0].isupper()
    named = question_text(Question("presence", "yes", ("water",)), "en", rng, {"img": "Image 2"})
    assert "Image 2" in named and IMAGE_NAMES["en"]["img"] not in named


def test_choose_asks_types_evenly_and_never_twice():
    pool = single_questions(facts_of(MIXED))
    chosen = choose_questions([pool, pool], [7, 3], np.random.default_rng(0), balance=False)
    assert [index for index, _ in chosen].count(0) == 7 and [index for index, _ in chosen].count(1) == 3
    first = [question for index, question in chosen if index == 0]
    assert len(set(first)) == 7
    kinds = [question.type for _, question in chosen]
    assert max(kinds.count(kind) for kind in set(kinds)) == 2


def test_balanced_choice_alternates_answers():
    """Four classes are present and two absent, on every chip: plain choice says yes two times in three."""
    pool = [question for question in single_questions(facts_of(MIXED)) if question.form == "presence"]
    chosen = choose_questions([pool] * 40, [1] * 40, np.random.default_rng(0), balance=True)
    said = [question.answer for _, question in chosen]
    assert said.count("yes") == said.count("no") == 20
    asked = [question.classes for _, question in chosen if question.answer == "yes"]
    assert {asked.count(name) for name in set(asked)} == {5}


@pytest.mark.parametrize(
    ("counts", "cap", "ceiling"),
    [
        ([80, 20], 0.5, 20),
        ([5], 0.5, 0),
        ([], 0.5, 0),
        ([30, 30, 30, 30], 0.3, 30),
        # 18 <= 0.3 * (18 + 3 * 14): 18, while 19 > 0.3 * 61.
        ([50, 14, 14, 14], 0.3, 18),
        # Three common answers: a third each at best, the rare fourth one does not empty the others.
        ([100, 80, 60, 2], 0.3, 62),
        # Two answers: one half.
        ([90, 30], 0.3, 30),
    ],
)
def test_answer_ceiling(counts, cap, ceiling):
    assert answer_ceiling(counts, cap) == ceiling


def test_cap_majority_keeps_the_first_rows_and_counts_class_answers_apart():
    presence = [(i, Question("presence", "yes", ("water",))) for i in range(6)]
    presence += [(6, Question("presence", "no", ("built",)))]
    loss = [(7, Question("change_loss", "cropland")), (8, Question("change_loss", "forest"))]
    same = [(9, Question("dominant", "forest")), (10, Question("dominant", "forest"))]
    kept = cap_majority(presence + loss + same)
    assert [index for index, _ in kept] == [0, 6, 7, 8]


def test_sentences_hold_the_measured_shares():
    facts = facts_of(chip(forest=58, cropland=30, built=12))
    assert describe(facts, "Image 1", "en") == (
        "Image 1 is mostly forest (about 60%), with cropland (about 30%), built-up land (about 10%)."
    )
    assert describe(facts, "图1", "zh") == "图1以林地为主（约60%），另有耕地（约30%）、建设用地（约10%）。"
    assert list_shares(facts, "图2", "zh") == "图2中：林地约60%，耕地约30%，建设用地约10%。"
    assert list_shares(facts, "Image 2", "en") == (
        "In Image 2: forest about 60%, cropland about 30%, built-up land about 10%."
    )
    assert describe(facts_of(chip(water=100)), "Image 1", "en") == "Image 1 is mostly water (about 100%)."


def turns_of(labels, lang, *, same_place, dialogues=60):
    facts = [facts_of(item) for item in labels]
    return [
        dialogue_turns(facts, labels, same_place=same_place, lang=lang, rng=np.random.default_rng(seed))
        for seed in range(dialogues)
    ]


def test_dialogues_have_three_to_eight_different_turns():
    for lang in LANGUAGES:
        made = turns_of([BEFORE, AFTER, MIXED], lang, same_place=True)
        assert {len(turns) for turns in made} == {3, 4, 5, 6, 7, 8}
        assert all(len({question for question, _ in turns}) == len(turns) for turns in made)


def test_dialogue_answers_by_hand():
    said = {turn for turns in turns_of([BEFORE, AFTER], "en", same_place=True) for turn in turns}
    changed = {answer for question, answer in said if question.startswith(("What changed", "Describe the change"))}
    assert changed == {
        "About 40% of the land changed class: cropland fell from about 60% to about 40%, "
        "built-up land rose from about 10% to about 30%."
    }
    most = {answer for question, answer in said if question == "Which image has the most built-up land?"}
    assert most == {"Image 2 has the most built-up land, about 30%, against about 10% in Image 1."}
    assert ("Did built-up land increase from Image 1 to Image 2?", "yes") in said
    asked = re.compile("(What p|How much).*(Image 2 is cropland|cropland in Image 2)")
    assert {answer for question, answer in said if asked.match(question)} == {"40%"}
    zh = {turn for turns in turns_of([BEFORE, AFTER], "zh", same_place=True) for turn in turns}
    changed = {
        answer for question, answer in zh if question in ("从图1到图2发生了什么变化？", "请描述图1到图2的变化。")
    }
    assert changed == {"约40%的土地改变了地类：耕地由约60%减少到约40%，建设用地由约10%增加到约30%。"}
    assert ("哪幅图的建设用地最多？", "图2的建设用地最多，约30%；图1约10%。") in zh


def test_dialogue_of_two_places_compares_them_and_never_speaks_of_change():
    said = {turn for turns in turns_of([BEFORE, MIXED], "en", same_place=False) for turn in turns}
    assert not any(re.search("chang|increase|decrease", question) for question, _ in said)
    differ = {answer for question, answer in said if question == "Compare Image 2 with Image 1."}
    assert differ == {
        "Image 1 is mostly cropland (about 60%), with forest (about 30%), built-up land (about 10%). "
        "Image 2 is mostly forest (about 50%), with cropland (about 30%), built-up land (about 10%), water (about 10%)."
    }


def test_dialogue_about_an_unchanged_place_says_so():
    said = {turn for turns in turns_of([BEFORE, BEFORE], "en", same_place=True) for turn in turns}
    changed = {answer for question, answer in said if question == "What changed between Image 1 and Image 2?"}
    assert changed == {"Little of the land changed class; the class shares stayed about the same."}


KIND_BY_TYPE = {
    "presence": "yn",
    "comp": "yn",
    "rural_urban": "choice",
    "count": "count",
    "area": "num",
    "share": "num",
    "change_share": "num",
    "dominant": "choice",
}


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("form", TEMPLATES)
def test_every_phrasing_reaches_the_right_reward(form, lang):
    """With its type and by its words alone, each phrasing leads to the kind of answer that it has."""
    pool = single_questions(facts_of(MIXED, pixel_m2=900.0)) + pair_questions(BEFORE, AFTER)
    seen = set()
    for question in (item for item in pool if item.form == form):
        expected = KIND_BY_TYPE.get(question.type, "yn" if question.answer in ("yes", "no") else "choice")
        reference = answer_text(question, lang)
        for seed in range(30):
            text = question_text(question, lang, np.random.default_rng(seed))
            seen.add(text)
            assert question_kind(text, reference, question.type) == expected, text
            by_words = {"choice", "open"} if expected == "choice" and form != "rural_urban" else {expected}
            assert question_kind(text, reference, None) in by_words, text
            assert reward(reference, reference, text, question.type).reward == 1.0, text
    assert len(seen) >= 4


def test_area_answers_without_a_unit_are_read_in_the_unit_asked():
    """The total that the question gives is not taken for the answer."""
    area = next(
        q for q in single_questions(facts_of(MIXED, pixel_m2=900.0)) if q.unit == "ha" and q.classes == ("forest",)
    )
    for lang in LANGUAGES:
        text = question_text(area, lang, np.random.default_rng(0))
        assert reward("4.5", "4.5 ha", text, "area").reward == 1.0
        assert reward("9 ha", "4.5 ha", text, "area").reward < 0.1
