"""Short answers scored by rule: every figure below is worked out by hand."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.scores import bootstrap, rule_scores
from evaluation.scores.reading import Prediction, read_predictions
from evaluation.scores.rsvqa_official import KINDS, binned
from src.errors import BadRowError, InputError, MissingPathError

REPO = Path(__file__).resolve().parents[3]
FIXTURES = REPO / "tests" / "fixtures" / "predictions"
# Predictions made by hand; per type (right, asked).
KNOWN = {
    "rsvqa_lr": {"rural_urban": (1, 2), "presence": (6, 8), "count": (2, 5), "comp": (4, 5)},
    "rsvqa_hr": {"area": (3, 4), "presence": (3, 4), "count": (2, 5), "comp": (2, 2)},
    "rsvqa_xben": {"yes_no": (5, 6), "land_cover": (1, 4)},
}
AVERAGES = {"rsvqa_lr": (0.6125, 13 / 20), "rsvqa_hr": (0.725, 10 / 15), "rsvqa_xben": (13 / 24, 6 / 10)}


def row(text, reference, kind="presence", image="a.tif", condition="images", ok=True, name="q"):
    return Prediction(name, 0, "?", reference, text if ok else "", kind, (image,), ok, condition)


def right(dataset, kind, text, reference):
    question = rule_scores.questions([row(text, reference, kind)], dataset)[0]
    return rule_scores.correct(dataset, question, question.row)


def scored(dataset, *files):
    return rule_scores.rule_scores(read_predictions([FIXTURES / name for name in files]), dataset)


@pytest.mark.parametrize("dataset", KNOWN)
def test_official_accuracies_of_predictions_made_by_hand(dataset):
    result = scored(dataset, f"{dataset}.jsonl")
    per_type = result["scores"]["per_type"]
    assert {name: figure["n"] for name, figure in per_type.items()} == {k: n for k, (_, n) in KNOWN[dataset].items()}
    for name, (hits, asked) in KNOWN[dataset].items():
        assert per_type[name]["accuracy"]["value"] == pytest.approx(hits / asked, abs=1e-4)
    average, overall = AVERAGES[dataset]
    assert result["scores"]["AA"]["value"] == pytest.approx(average, abs=1e-4)
    assert result["scores"]["OA"]["value"] == pytest.approx(overall, abs=1e-4)
    low, high = result["scores"]["OA"]["ci95"]
    assert low <= result["scores"]["OA"]["value"] <= high


def test_counts_are_included_and_the_average_without_numbers_has_its_own_name():
    """Most published "Avg" figures leave counts out: presence, comp and rural_urban give 0.6833 instead of 0.6125."""
    without = scored("rsvqa_lr", "rsvqa_lr.jsonl")["scores"]["without_numbers"]
    assert without["AA"]["value"] == pytest.approx((0.75 + 0.8 + 0.5) / 3, abs=1e-4)
    assert without["OA"]["value"] == pytest.approx(11 / 15, abs=1e-4)
    hr = scored("rsvqa_hr", "rsvqa_hr.jsonl")["scores"]["without_numbers"]
    assert hr["types"] == ["presence", "comp"]
    assert hr["AA"]["value"] == pytest.approx((0.75 + 1) / 2)
    assert "without_numbers" not in scored("rsvqa_xben", "rsvqa_xben.jsonl")["scores"]


def test_strict_exact_match_is_before_binning():
    lr = scored("rsvqa_lr", "rsvqa_lr.jsonl")["scores"]
    assert lr["per_type"]["count"]["exact_match"]["value"] == 0
    assert lr["exact_match"]["value"] == pytest.approx(11 / 20)  # 6 presence, 4 comp, 1 rural_urban
    assert scored("rsvqa_hr", "rsvqa_hr.jsonl")["scores"]["per_type"]["area"]["exact_match"]["value"] == 1 / 4


def test_format_is_told_apart_from_correctness():
    """LR: 19 answers, of which "" and a sentence are no class; 13 of the other 17 are right, 14 of 20 in words."""
    form = scored("rsvqa_lr", "rsvqa_lr.jsonl")["format"]
    assert form["followed"]["value"] == pytest.approx(17 / 19, abs=1e-4)
    assert form["accuracy_when_followed"]["value"] == pytest.approx(13 / 17, abs=1e-4)
    assert form["accuracy_in_words"]["value"] == pytest.approx(14 / 20)
    # HR: "1001", "yes and no", "between 0 and 10" and "four" are no classes of their types.
    assert scored("rsvqa_hr", "rsvqa_hr.jsonl")["format"]["followed"]["value"] == pytest.approx(11 / 15, abs=1e-4)
    # Any text may be a list of classes: nothing is claimed about its format.
    xben = scored("rsvqa_xben", "rsvqa_xben.jsonl")["scores"]["per_type"]
    assert xben["land_cover"]["followed_format"]["value"] is None


def test_failures_and_empty_answers_are_counted_and_wrong():
    result = scored("rsvqa_lr", "rsvqa_lr.jsonl")
    assert (result["n"], result["failed"], result["empty"]) == (20, 1, 1)
    assert result["valid_rate"] == 0.95
    assert result["scores"]["OA_answered"]["value"] == pytest.approx(13 / 19, abs=1e-4)
    presence = result["scores"]["per_type"]["presence"]
    assert presence["accuracy"]["value"] == 6 / 8
    assert presence["accuracy_answered"]["value"] == pytest.approx(6 / 7, abs=1e-4)


def test_floors_on_the_same_questions():
    result = scored("rsvqa_lr", "rsvqa_lr.jsonl", "rsvqa_lr.blank.jsonl", "rsvqa_lr.shuffled.jsonl")
    majority, blind, shuffled = result["majority"], result["blind"], result["shuffled"]
    assert majority["answers"] == {"presence": "yes", "comp": "no", "count": "between 0 and 10", "rural_urban": "rural"}
    assert majority["source"] == "references of the test set"
    assert majority["AA"]["value"] == pytest.approx((0.5 + 6 / 8 + 2 / 5 + 3 / 5) / 4, abs=1e-4)
    assert majority["OA"]["value"] == pytest.approx(12 / 20)
    assert (blind["n"], blind["OA"]["value"]) == (20, 0.5)  # yes, yes, 0, rural: 6 + 2 + 1 + 1 of 20
    # Only the first 13 questions were asked with other pictures: "no" throughout, 2 + 3 of 13.
    assert (shuffled["n"], shuffled["OA"]["value"]) == (13, round(5 / 13, 4))
    assert result["over_floor"]["blind"]["value"] == pytest.approx((13 - 10) / 20)
    assert result["over_floor"]["shuffled"]["value"] == pytest.approx((10 - 5) / 13, abs=1e-4)
    assert result["floors_missing"] == []
    assert scored("rsvqa_lr", "rsvqa_lr.jsonl")["floors_missing"] == ["blind", "shuffled"]


def test_majority_of_a_training_file(tmp_path):
    train = tmp_path / "train.jsonl"
    answers = [
        ("presence", "no"),
        ("comp", "no"),
        ("count", "0"),
        ("count", "0"),
        ("count", "5"),
        ("rural_urban", "urban"),
    ]
    train.write_text("".join(json.dumps({"question_type": t, "answer": a}) + "\n" for t, a in answers))
    rows = read_predictions([FIXTURES / "rsvqa_lr.jsonl"])
    majority = rule_scores.rule_scores(rows, "rsvqa_lr", train)["majority"]
    assert majority["source"] == "training answers (train.jsonl)"
    assert majority["answers"] == {"presence": "no", "comp": "no", "count": "0", "rural_urban": "urban"}
    assert majority["OA"]["value"] == pytest.approx((2 + 3 + 1 + 1) / 20)


def test_training_file_in_the_form_of_training_data(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    rows = [
        {"id": str(i), "image": "a.png", "question_type": "presence", "lang": "zh"}
        | {"conversations": [{"from": "human", "value": "<image>\n有水吗？"}, {"from": "gpt", "value": word}]}
        for i, word in enumerate(["是", "yes", "否"])
    ]
    path = tmp_path / "train.json"
    path.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    result = rule_scores.rule_scores([row("no", "否")], "landuse", path)
    assert result["majority"]["answers"] == {"presence": "yes"}


def test_xben_scores_only_frequent_training_answers(tmp_path):
    """Model.ipynb of RSVQAxBEN drops test questions whose reference is not among the training answers it kept."""
    train = tmp_path / "train.jsonl"
    answers = ["yes", "no", "arable land and pastures", "None"]
    train.write_text("".join(json.dumps({"question_type": None, "answer": a}) + "\n" for a in answers))
    rows = read_predictions([FIXTURES / "rsvqa_xben.jsonl"])
    result = rule_scores.rule_scores(rows, "rsvqa_xben", train)
    assert (result["n"], result["outside_vocabulary"]) == (8, 2)
    assert result["scores"]["per_type"]["land_cover"]["accuracy"]["value"] == 1 / 2


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (0, "0"),
        (1, "between 0 and 10"),
        (10, "between 0 and 10"),
        (11, "between 10 and 100"),
        (100, "between 10 and 100"),
        (101, "between 100 and 1000"),
        (1000, "between 100 and 1000"),
        (1001, "more than 1000"),
    ],
)
def test_bins_of_counts_and_areas(value, label):
    assert binned(value) == label
    assert KINDS["rsvqa_lr"]["count"].label(str(value)) == label
    area = {
        "0": "0m2",
        "between 0 and 10": "between 0m2 and 10m2",
        "between 10 and 100": "between 10m2 and 100m2",
        "between 100 and 1000": "between 100m2 and 1000m2",
        "more than 1000": "more than 1000m2",
    }[label]
    assert KINDS["rsvqa_hr"]["area"].label(f"{value}m2") == area


@pytest.mark.parametrize(
    ("one", "other"), [("0 and 10", "1 and 10"), ("10 and 100", "11 and 100"), ("100 and 1000", "101 and 1000")]
)
def test_both_spellings_of_the_bins(one, other):
    count, area = KINDS["rsvqa_lr"]["count"], KINDS["rsvqa_hr"]["area"]
    assert count.label(f"between {one}") == count.label(f"Between {other}.") == f"between {one}"
    metric = [f"between {text.replace(' and', 'm2 and')}m2" for text in (one, other)]
    assert area.label(metric[0]) == area.label(metric[1]) == area.label(f"between {other}m2") == metric[0]
    # The unit is part of the class, on both sides.
    assert count.label(metric[0]) is None
    assert area.label(f"between {one}") is None


def test_ranges_that_are_no_bins():
    count = KINDS["rsvqa_lr"]["count"]
    for text in (
        "between 0 and 100",
        "between 5 and 10",
        "between 1 and 1000",
        "more than 100",
        "-5",
        "3.5",
        "1,000",
        "三",
    ):
        assert count.label(text) is None
    assert KINDS["rsvqa_hr"]["count"].label("between 0 and 10") is None


# Answers that are contained in the reference: (dataset, type, prediction, reference).
CONTAINED = [
    ("rsvqa_lr", "presence", "", "yes"),
    ("rsvqa_lr", "presence", "e", "yes"),
    ("rsvqa_lr", "presence", "n", "no"),
    ("rsvqa_lr", "rural_urban", "urba", "urban"),
    ("rsvqa_lr", "count", "", "10"),
    ("rsvqa_lr", "count", "0", "10"),
    ("rsvqa_hr", "count", "1", "10"),
    ("rsvqa_hr", "count", "", "0"),
    ("rsvqa_hr", "area", "m2", "0m2"),
    ("rsvqa_hr", "area", "0", "0m2"),
    ("rsvqa_hr", "area", "7m2", "57m2"),
    ("rsvqa_xben", "land_cover", "pastures", "arable land and pastures"),
    ("rsvqa_xben", "land_cover", "", "None"),
    ("landuse", "dominant", "地", "耕地"),
]


@pytest.mark.parametrize(("dataset", "kind", "text", "reference"), CONTAINED)
def test_an_answer_contained_in_the_reference_is_not_right(dataset, kind, text, reference):
    """``prediction in answer`` of three public scorers counts these, and every empty answer, as correct."""
    assert text in reference
    assert not right(dataset, kind, text, reference)
    assert not rule_scores.exact_match(text, reference)
    assert right(dataset, kind, reference, reference)


def test_cut_at_a_full_stop_or_comma_does_not_help():
    """One public scorer keeps what stands before the first "." or ",": 3.7 became 3, and so did "3, no, 5"."""
    assert not right("rsvqa_hr", "count", "3.7", "3")
    assert not right("rsvqa_hr", "count", "3, no, 5", "3")
    assert right("rsvqa_hr", "count", "3.", "3")


def test_an_empty_answer_is_wrong_even_for_an_empty_reference():
    """A public yes/no reward gives 1.0 where neither text has a yes or no, since "" equals ""."""
    assert not rule_scores.exact_match("", "")
    with pytest.raises(BadRowError, match="reference ''"):
        rule_scores.questions([row("", "")], "rsvqa_lr")


@pytest.mark.parametrize("text", ["not", "north", "unknown", "yesterday", "nothing of that kind"])
def test_words_that_begin_like_yes_or_no(text):
    """An unanchored search for "no" reads all of these as no."""
    kind = KINDS["rsvqa_lr"]["presence"]
    assert kind.label(text) is None
    assert kind.label_in_words(text) is None


@pytest.mark.parametrize(
    ("dataset", "kind", "text", "label"),
    [
        ("rsvqa_lr", "presence", "Yes, there is a road.", "yes"),
        ("rsvqa_lr", "presence", "yes and no", None),
        ("rsvqa_lr", "rural_urban", "rural or urban", None),
        ("rsvqa_lr", "count", "There are 7 buildings.", "between 0 and 10"),
        ("rsvqa_lr", "count", "3 or 4, or 50", None),
        ("rsvqa_lr", "count", "I see between 11 and 100 buildings.", "between 10 and 100"),
        ("rsvqa_hr", "count", "about -5", None),
        ("rsvqa_hr", "count", "3.7 on average", None),
        ("rsvqa_hr", "area", "It covers 57 m² of land.", "between 10m2 and 100m2"),
        ("rsvqa_xben", "land_cover", "", None),
        ("landuse", "presence", "是的，图中有水域。", "yes"),
        ("landuse", "presence", "没有水域", "no"),
        ("landuse", "dominant", "该图以林地为主", "forest"),
        ("landuse", "dominant", "林地和草地", None),
    ],
)
def test_what_a_sentence_says(dataset, kind, text, label):
    assert KINDS[dataset][kind].label_in_words(text) == label


@pytest.mark.parametrize(
    ("kind", "text", "reference", "expected"),
    [
        ("presence", "是", "是", True),
        ("presence", "yes", "是", True),
        ("presence", "否", "是", False),
        ("comp", "不是", "否", True),
        ("rural_urban", "农村", "rural", True),
        ("count", "3", "3", True),
        ("count", "3块", "3", False),
        ("share", "40 %", "40%", True),
        ("share", "40％", "40%", True),
        ("share", "40", "40%", False),
        ("change_share", "50%", "40%", False),
        ("dominant", "Forest.", "林地", True),
        ("dominant", "草地", "林地", False),
        ("change", "耕地", "cropland", True),
        ("change", "no", "否", True),
        ("area", "11 ha", "10 ha", True),
        ("area", "11.01 ha", "10 ha", False),
        ("area", "150亩", "10公顷", True),
        ("area", "0.1平方公里", "10 ha", True),
        ("area", "10", "10 ha", False),
        ("area", "10 km2", "10 ha", False),
        ("area", "-10 ha", "10 ha", False),
    ],
)
def test_land_use_answers(kind, text, reference, expected):
    assert right("landuse", kind, text, reference) is expected


def test_a_failed_row_is_never_judged_by_its_text(tmp_path):
    """A public evaluation kit judges the text of an error message like an answer."""
    path = tmp_path / "p.jsonl"
    base = {"id": "1", "question": "?", "answer": "no", "question_type": "presence", "image_ids": ["a"]}
    failed = base | {"prediction": "no", "status": "failed", "reason": "no answer came"}
    path.write_text(json.dumps(failed) + "\n" + json.dumps(base | {"id": "2", "prediction": "no"}))
    rows = read_predictions([path])
    assert rows[0].text == ""
    unread = Prediction("1", 0, "?", "no", "no", "presence", ("a",), False, "images")
    assert not rule_scores.correct("rsvqa_lr", rule_scores.questions([unread], "rsvqa_lr")[0], unread)
    result = rule_scores.rule_scores(rows, "rsvqa_lr")
    assert (result["scores"]["OA"]["value"], result["failed"]) == (0.5, 1)
    assert result["types_missing"] == ["rural_urban", "count", "comp"]


def test_dialogue_folders_are_read_too(tmp_path):
    turns = [
        {"id": "d1", "turn": i, "question": "?", "answer": a, "prediction": "yes"} for i, a in enumerate(["yes", "no"])
    ]
    for turn in turns:
        turn |= {"question_type": "presence", "status": "ok", "condition": "images"}
    (tmp_path / "d1.json").write_text(json.dumps({"id": "d1", "images": ["x.jpg", "y.jpg"], "turns": turns}))
    rows = read_predictions([tmp_path])
    assert rows[0].cluster == "x.jpg\ny.jpg"
    assert rule_scores.rule_scores(rows, "rsvqa_lr")["scores"]["OA"]["value"] == 0.5


def test_intervals_resample_pictures_not_questions():
    """Two pictures with 50 equal answers each: the mean of a resample is 0, 0.5 or 1 with odds 1/4, 1/2, 1/4."""
    rows = [row("yes" if i < 50 else "no", "yes", image="a" if i < 50 else "b", name=str(i)) for i in range(100)]
    found = rule_scores.rule_scores(rows, "rsvqa_lr")
    assert found["scores"]["OA"] == {"value": 0.5, "ci95": [0.0, 1.0]}
    assert found["pictures"] == 2
    one = rule_scores.rule_scores(rows[:50], "rsvqa_lr")
    assert one["scores"]["OA"] == {"value": 1.0, "ci95": None}
    draws = bootstrap.resampled(np.repeat([[1.0], [0.0]], 50, axis=0), ["a"] * 50 + ["b"] * 50)[:, 0] / 100
    assert set(draws) == {0.0, 0.5, 1.0}
    assert float((draws == 0.5).mean()) == pytest.approx(0.5, abs=0.05)


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.floats(-5, 5)), min_size=8, max_size=30))
def test_resampled_sums_keep_clusters_whole(pairs):
    names, values = zip(*pairs, strict=True)
    columns = np.array([[1.0, value] for value in values])
    draws = bootstrap.resampled(columns, names, seed=1, resamples=20)
    if len(set(names)) < 2:
        assert draws.shape == (0, 2)
        return
    sizes = [names.count(name) for name in set(names)]
    # Every resample has as many clusters as there are, so between the smallest and the largest of them.
    assert (draws[:, 0] >= len(sizes) * min(sizes)).all()
    assert (draws[:, 0] <= len(sizes) * max(sizes)).all()


def test_bad_input_is_refused(tmp_path):
    with pytest.raises(MissingPathError, match="no such file"):
        read_predictions([tmp_path / "none.jsonl"])
    path = tmp_path / "p.jsonl"
    path.write_text("\n")
    with pytest.raises(InputError, match="no prediction"):
        read_predictions([path])
    good = {"id": "1", "question": "?", "answer": "no", "prediction": "no", "question_type": "presence"}
    for text, message in [
        ('{"id": 1', "cut off"),
        (json.dumps({"id": 1}), "answer, id, prediction, question"),
        (json.dumps(good | {"condition": "dark"}), "condition 'dark'"),
        (json.dumps(good | {"status": "maybe"}), "status 'maybe'"),
        (json.dumps(good) + "\n" + json.dumps(good), "stands in p.jsonl already"),
    ]:
        path.write_text(text)
        with pytest.raises(BadRowError, match=message):
            read_predictions([path])
    path.write_text(json.dumps(good | {"condition": "blank"}))
    with pytest.raises(InputError, match='"condition": "images"'):
        rule_scores.rule_scores(read_predictions([path]), "rsvqa_lr")
    for change, message in [
        ({"question_type": "area"}, "expected one of rural_urban"),
        ({"answer": "7"}, "no answer of type"),
    ]:
        path.write_text(json.dumps(good | change))
        with pytest.raises(BadRowError, match=message):
            rule_scores.rule_scores(read_predictions([path]), "rsvqa_lr")
    train = tmp_path / "train.jsonl"
    train.write_text(json.dumps({"question_type": "area", "answer": "1m2"}))
    with pytest.raises(InputError, match="no training question"):
        rule_scores.training_labels(train, "rsvqa_lr")
    with pytest.raises(MissingPathError, match="no such training file"):
        rule_scores.training_labels(tmp_path / "absent.jsonl", "rsvqa_lr")


def test_no_code_is_shared_with_the_training_reward():
    """The same code for reward and metric would hide its bugs: neither imports the other, not even by detour."""
    folder = REPO / "evaluation" / "scores"
    files = [folder / f"{name}.py" for name in ("rule_scores", "rsvqa_official", "bootstrap", "reading", "summary")]
    for path in files:
        tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        names = [node.module or "" for node in tree if isinstance(node, ast.ImportFrom)]
        assert not [name for name in names if name.startswith(("src.answers", "src.train"))], path
    code = (
        "import sys, evaluation.scores.rule_scores; print([m for m in sys.modules if m.startswith(('src.', 'torch'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert "src.errors" in loaded
    assert not [name for name in loaded if name.startswith(("src.answers", "src.train", "torch"))]


def test_command(tmp_path, monkeypatch, capsys):
    out = tmp_path / "sub" / "report.json"
    argv = [
        "rule_scores",
        "--predictions",
        str(FIXTURES / "rsvqa_lr.jsonl"),
        "--dataset",
        "rsvqa_lr",
        "--out",
        str(out),
    ]
    monkeypatch.setattr(sys, "argv", argv)
    assert rule_scores.main() == 0
    text = capsys.readouterr().out
    assert "61.25" in text and "65.00" in text and "1 failed, 1 empty" in text
    result = json.loads(out.read_text(encoding="utf-8"))
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= result.keys()
    assert {"valid_rate", "scores", "majority", "blind", "shuffled"} <= result.keys()
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    monkeypatch.setattr(sys, "argv", [*argv[:-2], "--json"])
    assert rule_scores.main() == 0
    assert json.loads(capsys.readouterr().out)["scores"] == result["scores"]
