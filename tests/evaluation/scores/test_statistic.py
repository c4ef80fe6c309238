"""Statistics of marks: every figure below is worked out by hand."""

import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from evaluation.scores import statistic
from evaluation.scores.marks import COLUMNS, composite, run_figures, run_of
from evaluation.scores.overlap import overlap, overlap_figures
from evaluation.scores.preference import Preferences, by_score, by_verdicts, equal_length_rate, preference_figures
from evaluation.scores.reading import DIMENSIONS, Mark, Marks, Prediction, Verdict, read_marks, read_pairs
from src.errors import BadRowError, InputError, MissingPathError


def mark(name, turn, score, overall=None, length=10, valid=True):
    scores = dict.fromkeys(DIMENSIONS, float(score)) if valid else {}
    return Mark(name, turn, valid, "" if valid else "unreadable", scores, overall, length, "")


def answer(name, turn, text, reference="a large lake", ok=True, condition="images"):
    return Prediction(name, turn, "?", reference, text if ok else "", None, ("a",), ok, condition)


def marks(rows, name="run", self_judged=False):
    return Marks(name, tuple(rows), ("judge",), self_judged, (True,))


def written(turn, scores, overall=None, **more):
    return {"turn": turn, "scores": scores, "overall": overall, "valid": True, "reason": "", "length": 10} | more


def write(folder, name, turns):
    folder.mkdir(parents=True, exist_ok=True)
    row = {"id": name, "judge": "judge", "self_judged": False, "images_shown": True, "turns": turns}
    (folder / f"{name}.json").write_text(json.dumps(row), encoding="utf-8")


def dims(score):
    return dict.fromkeys(DIMENSIONS, score)


# Dialogue 1 has 4, 8 and 9; dialogue 2 has 2 and a failure.
ROWS = [mark("1", 0, 4), mark("1", 1, 8), mark("1", 2, 9), mark("2", 0, 2), mark("2", 1, 0, valid=False)]


def test_means_over_valid_marks_over_all_questions_and_of_dialogues():
    found = run_figures(run_of("r", ROWS, (), "mean"))
    for name in (*DIMENSIONS, "composite"):
        assert found["scores"][name]["valid"]["value"] == 23 / 4
        assert found["scores"][name]["all"]["value"] == 23 / 5
        assert found["scores"][name]["dialogue_mean"] == (7 + 2) / 2
    assert (found["n"], found["valid"], found["valid_rate"], found["dialogues_n"]) == (5, 4, 0.8, 2)
    assert found["reasons"] == {"unreadable": 1}
    assert found["dialogues"]["1"]["creativity"] == 7
    assert found["dialogues"]["2"] == found["dialogues"]["2"] | {"n": 2, "valid": 1, "composite": 2}
    # Nobody gave an overall score.
    assert found["scores"]["overall"]["valid"] == {"value": None, "ci95": None}


def test_intervals_resample_dialogues():
    """Of two dialogues a resample takes the first twice, both, or the second twice: 7, 23 / 4 or 2."""
    found = run_figures(run_of("r", ROWS, (), "mean"))["scores"]["composite"]
    assert found["valid"]["ci95"] == [2, 7]
    assert found["all"]["ci95"] == [1, 7]
    one = run_figures(run_of("r", ROWS[:3], (), "mean"))["scores"]["composite"]
    assert one["valid"] == {"value": 7, "ci95": None}


def test_legacy_rule_counts_the_overall_score_six_fold():
    row = Mark("1", 0, True, "", dict(zip(DIMENSIONS, (1.0, 2.0, 3.0, 4.0, 5.0, 9.0), strict=True)), 7.0, 1, "")
    assert composite(row, "mean") == 4
    assert composite(row, "legacy") == (24 + 6 * 7) / 12 == 5.5
    without = Mark("1", 0, True, "", row.scores, None, 1, "")
    assert composite(without, "legacy") == 4


def test_a_mark_without_overall_score_is_counted_once(tmp_path):
    """A public script adds the six scores of such a mark, then fails on the overall one and does not count the mark.

    Its mean of 4 and 6 is (4 + 6) / 1 = 10 of 10.
    """
    write(tmp_path, "1", [written(0, dims(4), 5), written(1, dims(6))])
    found = run_figures(run_of("r", read_marks(tmp_path).rows, (), "mean"))
    assert found["scores"]["creativity"]["valid"]["value"] == 5
    assert found["scores"]["creativity"]["all"]["value"] == 5
    assert found["scores"]["overall"]["valid"]["value"] == found["scores"]["overall"]["all"]["value"] == 5
    legacy = run_figures(run_of("r", read_marks(tmp_path).rows, (), "legacy"))["scores"]["composite"]
    assert legacy["valid"]["value"] == pytest.approx(((6 * 4 + 6 * 5) / 12 + 6) / 2)


def test_a_half_read_mark_adds_nothing(tmp_path):
    """A public script checks only that six keys exist; a text, nan or 11 in one of them spoiled the sums."""
    bad = [{"creativity": 9}, dims(8) | {"richness": "9"}, dims(8) | {"richness": 11}, dims(8) | {"richness": True}]
    bad += [dims(8) | {"richness": None}, dims(8) | {"richness": 0.5}, None]
    write(tmp_path, "1", [written(0, dims(4)), *(written(i, scores) for i, scores in enumerate(bad, 1))])
    text = (tmp_path / "1.json").read_text().replace('"richness": null', '"richness": NaN')
    (tmp_path / "1.json").write_text(text)
    rows = read_marks(tmp_path).rows
    assert [row.valid for row in rows] == [True] + [False] * 7
    assert rows[1].reason.startswith("no score from 1 to 10 for: richness, visual_perception")
    found = run_figures(run_of("r", rows, (), "mean"))["scores"]["creativity"]
    assert (found["valid"]["value"], found["all"]["value"]) == (4, 0.5)


def test_other_files_are_not_read_as_marks(tmp_path):
    """A public script reads the file before once more for each file that is not JSON, and walks into subfolders."""
    write(tmp_path, "1", [written(0, dims(4))])
    write(tmp_path, "2", [written(0, dims(8))])
    (tmp_path / "notes.txt").write_text("no marks")
    (tmp_path / "2.json.part").write_text("{")
    write(tmp_path / "old", "1", [written(0, dims(10))])
    found = run_figures(run_of("r", read_marks(tmp_path).rows, (), "mean"))
    assert (found["n"], found["scores"]["creativity"]["valid"]["value"]) == (2, 6)


def test_broken_or_missing_marks_are_named(tmp_path):
    """A public script prints such errors and goes on; an empty folder ends in a division by zero."""
    with pytest.raises(MissingPathError, match="no such folder of marks"):
        read_marks(tmp_path / "none")
    with pytest.raises(InputError, match="no mark in it"):
        read_marks(tmp_path)
    write(tmp_path, "1", [written(0, dims(4)), written(0, dims(5))])
    with pytest.raises(InputError, match="dialogue 1 turn 0 is marked twice"):
        read_marks(tmp_path)
    for text, message in [("{", "no JSON"), ("[]", 'expected an object with "id"'), ('{"id": 1}', 'expected "turns"')]:
        (tmp_path / "1.json").write_text(text)
        with pytest.raises(InputError, match=message):
            read_marks(tmp_path)


def test_failed_and_unjudged_answers_count_as_zero_in_all():
    answers = [answer("1", i, "x" * 20, ok=i != 1) for i in range(4)]
    rows = [mark("1", 0, 6, length=None), mark("1", 1, 9), mark("1", 2, 8)]
    run = run_of("r", rows, answers, "mean")
    # Turn 1 was never answered, whatever its mark says; turn 3 was not judged.
    assert run.reasons == ("", "the answer failed", "", "not judged")
    found = run_figures(run)
    assert found["scores"]["composite"]["valid"]["value"] == 7
    assert found["scores"]["composite"]["all"]["value"] == 14 / 4
    assert found["length"]["mean"] == round((20 + 10 + 20) / 3, 1)
    with pytest.raises(InputError, match="marks of 1 questions that its predictions lack"):
        run_of("r", [mark("9", 0, 5)], answers, "mean")


def test_dialogues_stand_in_the_order_of_their_numbers():
    run = run_of("r", [mark("10", 0, 5), mark("9", 1, 5), mark("9", 0, 5)], (), "mean")
    assert run.keys == (("9", 0), ("9", 1), ("10", 0))


def test_score_against_length():
    """Scores 2, 4, 6, 8 for 2, 4, 8 and 16 characters: two points for each doubling."""
    rows = [mark(str(i), 0, 2 * i, length=2**i) for i in range(1, 5)]
    found = run_figures(run_of("r", rows, (), "mean"))["length"]
    assert found["mean"] == 7.5
    assert found["points_per_doubling"]["value"] == pytest.approx(2)
    assert found["points_per_doubling"]["ci95"] == pytest.approx([2, 2])
    assert found["spearman"] == 1
    same = run_figures(run_of("r", [mark(str(i), 0, i + 1, length=50) for i in range(5)], (), "mean"))["length"]
    assert same["points_per_doubling"] == {"value": None, "ci95": None}
    assert same["spearman"] is None


def test_wins_by_score():
    first, second = np.array([5, 5, 5, np.nan, 5, np.nan]), np.array([6, 4, 5.001, 3, np.nan, np.nan])
    assert by_score(first, second).tolist() == [1, 0, 0.5, 1, 0, 0.5]


def test_wins_by_verdicts_in_both_orders():
    """Question 1: the first place wins twice, a tie. 2: the second run wins twice. 3: the first run wins twice."""
    shown = [("1", "ab", 0.9), ("1", "ba", 0.6), ("2", "ab", 0.2), ("2", "ba", 0.8), ("3", "ab", 0.8), ("3", "ba", 0.3)]
    shown += [("4", "ab", 0.9), ("5", "ab", None), ("5", "ba", 0.2), ("6", "ab", 0.5), ("6", "ba", 0.5)]
    wins, orders = by_verdicts([Verdict(name, 0, order, value) for name, order, value in shown])
    assert wins == {("1", 0): 0.5, ("2", 0): 1, ("3", 0): 0, ("6", 0): 0.5}
    assert (orders["n"], orders["one_order_only"], orders["unusable_verdicts"]) == (4, 2, 1)
    # A judge that always takes the first place has a bias of 0.5; here it did so in one question of four.
    assert orders["position_bias"]["value"] == 0.5 / 4
    assert orders["agreement"] == 3 / 4


def test_win_rate_at_equal_length():
    """Half of the answers are longer and win 9 of 10, half are as much shorter and win 1 of 2: together 0.7.

    The logistic model has one weight for each group, so it fits both: the log odds are log 9 and 0,
    and at equal length their mean, log 3, which is a rate of 0.75.
    """
    wins = np.repeat([1, 0, 1, 0], [4500, 500, 2500, 2500]).astype(float)
    longer = np.repeat([100.0, -100.0], 5000)
    assert wins.mean() == 0.7
    assert equal_length_rate(wins, longer)[0] == pytest.approx(0.75, abs=1e-3)
    assert equal_length_rate(wins, np.full(10000, 50.0)) == 0.7
    assert equal_length_rate(np.ones(4), np.arange(4.0)) == 1
    # Where only length decides, nothing is left at equal length.
    assert equal_length_rate(np.repeat([1.0, 0.0], 50), np.repeat([80.0, -80.0], 50))[0] == pytest.approx(0.5)


def test_half_wins_weigh_half():
    """A tie in every question is 0.5 at any length."""
    assert equal_length_rate(np.full(6, 0.5), np.arange(6.0))[0] == pytest.approx(0.5)


def test_equal_length_model_agrees_with_a_library():
    rng = np.random.default_rng(0)
    longer, weights = rng.normal(30, 80, 200), rng.integers(0, 3, (4, 200))
    wins = (rng.random(200) < 1 / (1 + np.exp(-longer / 40))).astype(float)
    feature = np.tanh(longer / longer.std())[:, None]
    for row, rate in zip(weights, equal_length_rate(wins, longer, weights), strict=True):
        model = LogisticRegression(C=1.0, tol=1e-10, max_iter=1000).fit(feature, wins, sample_weight=row)
        assert rate == pytest.approx(model.predict_proba([[0.0]])[0, 1], abs=1e-6)


def test_win_rate_is_resampled_by_dialogue():
    found = preference_figures(
        Preferences(("a",) * 10 + ("b",) * 10, np.repeat([1.0, 0.0], 10), np.array([np.nan] * 5 + [10.0] * 15))
    )
    assert found["win_rate"] == {"value": 0.5, "ci95": [0, 1]}
    assert (found["wins"], found["ties"], found["losses"]) == (10, 0, 10)
    assert found["win_rate_equal_length"]["value"] == round(5 / 15, 4)  # without the five of unknown length
    assert found["longer_answers"]["value"] == 10


def test_two_runs_side_by_side():
    first = marks([mark("1", 0, 4, length=10), mark("1", 1, 6, length=10), mark("2", 0, 5), mark("3", 0, 5)], "before")
    second = marks([mark("1", 0, 6, length=30), mark("1", 1, 6, length=20), mark("2", 0, 0, valid=False)], "after")
    verdicts = [Verdict("1", 0, "ab", 0.1), Verdict("1", 0, "ba", 0.9)]
    result, runs = statistic.statistic([first, second], (), verdicts)
    found = result["compare"]
    assert [run.name for run in runs] == ["before", "after"]
    assert (found["n"], found["only_first"], found["only_second"]) == (3, 1, 0)
    assert found["difference"]["composite"] == {"n": 2, "value": 1, "ci95": [1, 1]}  # dialogue 2 has no valid pair
    score = found["by_score"]
    assert (score["wins"], score["ties"], score["losses"]) == (1, 1, 1)
    assert found["by_judge"]["win_rate"] == {"value": 1, "ci95": None}
    assert found["by_judge"]["longer_answers"]["value"] == 20
    # The top of the result speaks of the run after.
    assert (result["n"], result["valid_rate"]) == (3, 0.6667)
    assert result["scores"]["composite"]["all"]["value"] == 4


@pytest.mark.parametrize(("flags", "expected"), [((True, None), True), ((None, False), None), ((False, False), False)])
def test_self_judging_is_told(flags, expected):
    rows = [marks(ROWS, f"r{i}", flag) for i, flag in enumerate(flags)]
    assert statistic.statistic(rows)[0]["self_judged"] is expected


def test_runs_that_do_not_belong_together():
    one, other = marks([mark("1", 0, 4)], "a"), marks([mark("2", 0, 4)], "b")
    with pytest.raises(InputError, match="a and b have no question in common"):
        statistic.statistic([one, other])
    with pytest.raises(InputError, match="--marks names 3 folders"):
        statistic.statistic([one] * 3)
    with pytest.raises(InputError, match="as many predictions or none"):
        statistic.statistic([one, other], [[answer("1", 0, "x")]])
    with pytest.raises(InputError, match="--pairs compares two runs"):
        statistic.statistic([one], (), [Verdict("1", 0, "ab", 0.5)])
    with pytest.raises(InputError, match="verdicts on questions that the runs lack"):
        statistic.statistic([one, one], (), [Verdict("7", 0, order, 0.4) for order in ("ab", "ba")])


def test_two_runs_of_one_name_stay_apart():
    _, runs = statistic.statistic([marks(ROWS, "gene"), marks(ROWS, "gene")])
    assert [run.name for run in runs] == ["gene (1)", "gene (2)"]


def test_words_in_common():
    assert overlap("the lake is large", "a large lake") == pytest.approx(4 / 7)
    assert overlap("A large lake!", "a large lake") == 1
    assert overlap("耕地减少", "耕地增加") == 0.5  # characters: 2 shared of 4 and 4
    assert overlap("", "") == overlap("", "a") == overlap("...", "...") == 0
    assert overlap("lake lake lake", "lake") == 0.5


def test_floors_by_words_in_common():
    rows = [answer("1", 0, "a large lake"), answer("1", 1, "forest", "forest"), answer("2", 0, "", "forest", ok=False)]
    floors = [answer("1", 0, "forest", condition="blank"), answer("1", 1, "forest", condition="blank")]
    floors.append(answer("9", 0, "lake", condition="shuffled"))
    found = overlap_figures(rows, floors)
    assert found["run"]["value"] == round(2 / 3, 4)
    assert found["majority"]["value"] == round(2 / 3, 4)  # "forest" to all
    assert (found["blind"]["n"], found["blind"]["value"]) == (2, 0.5)
    assert found["shuffled"] is None  # asked about another question


def test_floors_by_marks():
    blank = marks([mark("1", 0, 3), mark("1", 1, 0, valid=False)], "blank")
    result, _ = statistic.statistic([marks(ROWS)], [], (), {"blind": blank})
    assert (result["blind"]["n"], result["blind"]["composite"]["value"]) == (2, 1.5)
    assert result["floors_missing"] == ["majority", "shuffled"]


def test_pairs_file(tmp_path):
    path = tmp_path / "pairs.jsonl"
    with pytest.raises(MissingPathError, match="no such file of pairwise verdicts"):
        read_pairs(path)
    path.write_text('{"id": 1, "turn": 2, "order": "ab", "first_better": 1}\n{"id": 1, "order": "ba"}\n')
    assert read_pairs(path) == [Verdict("1", 2, "ab", 1.0), Verdict("1", 0, "ba", None)]
    for row in (
        '{"id": 1}',
        '{"id": 1, "order": "ab", "first_better": 2}',
        '{"id": 1, "order": "ab", "first_better": "a"}',
    ):
        path.write_text(row)
        with pytest.raises(BadRowError):
            read_pairs(path)


def example_set(folder: Path):
    """Two runs, a floor and verdicts on disk."""
    for name, gain in (("3b-gene", 0), ("3b-peft-gene", 1), ("blank", -2)):
        for dialogue in ("1", "2", "3"):
            turns = [written(i, dims(4 + gain + i), 5 + gain, length=20 * (i + 1)) for i in range(3)]
            if (name, dialogue) == ("3b-peft-gene", "3"):
                turns[2] = written(2, {}, valid=False, reason="no answer was given: out of memory", length=0)
            write(folder / "mark" / name, dialogue, turns)
            lines = [
                {"id": dialogue, "turn": i, "question": "什么？", "answer": "a lake", "prediction": "a lake and <b>"}
                | {"image_ids": ["a"], "status": "ok", "condition": "blank" if name == "blank" else "images"}
                for i in range(3)
            ]
            if (name, dialogue) == ("3b-peft-gene", "3"):
                lines[2] |= {"status": "failed", "prediction": "", "reason": "out of memory"}
            (folder / name).mkdir(exist_ok=True)
            row = {"id": dialogue, "images": ["a"], "turns": lines}
            (folder / name / f"{dialogue}.json").write_text(json.dumps(row), encoding="utf-8")
    rows = [{"id": "1", "turn": 0, "order": order, "first_better": 0.5} for order in ("ab", "ba")]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_command(tmp_path, monkeypatch, capsys):
    example_set(tmp_path)
    mark_folders = [str(tmp_path / "mark" / name) for name in ("3b-gene", "3b-peft-gene")]
    argv = [
        "statistic",
        "--marks",
        *mark_folders,
        "--predictions",
        *(str(tmp_path / n) for n in ("3b-gene", "3b-peft-gene")),
    ]
    argv += ["--pairs", str(tmp_path / "pairs.jsonl"), "--blind", str(tmp_path / "mark" / "blank")]
    argv += ["--floor_predictions", str(tmp_path / "blank"), "--rule", "legacy", "--lang", "en"]
    argv += ["--out", str(tmp_path / "report"), "--report", str(tmp_path / "report.json")]
    monkeypatch.setattr(sys, "argv", argv)
    assert statistic.main() == 0
    assert "valid 8 of 9" in capsys.readouterr().out
    result = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= result.keys()
    assert {"valid_rate", "scores", "majority", "blind", "shuffled"} <= result.keys()
    # Legacy: turns of 5, 6 and 7 with an overall score of 6, the last of them failed in one dialogue.
    assert result["scores"]["composite"]["valid"]["value"] == pytest.approx((3 * 5.5 + 3 * 6 + 2 * 6.5) / 8, abs=1e-4)
    assert result["scores"]["overlap"]["value"] == pytest.approx(8 / 9 * 4 / 6, abs=1e-4)
    assert result["blind"]["composite"]["value"] == 3
    assert result["blind"]["overlap"]["n"] == 9
    assert str(tmp_path) not in json.dumps(result)
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"report.md", "report.html", "radar.png", "dimensions.png", "length.png", "statistic.json"}
    monkeypatch.setattr(sys, "argv", [*argv, "--json"])
    assert statistic.main() == 0
    assert json.loads(capsys.readouterr().out)["compare"]["by_judge"]["n"] == 1


def test_command_fails_where_nothing_could_be_scored(tmp_path, monkeypatch, capsys):
    write(tmp_path / "m", "1", [written(0, {}, valid=False, reason="unreadable")])
    monkeypatch.setattr(sys, "argv", ["statistic", "--marks", str(tmp_path / "m"), "--out", str(tmp_path / "o")])
    assert statistic.main() == 1
    assert "valid 0 of 1" in capsys.readouterr().out
    result = json.loads((tmp_path / "o" / "statistic.json").read_text())
    assert result["scores"]["composite"]["valid"]["value"] is None
    assert result["scores"]["composite"]["all"]["value"] == 0


def test_columns_are_complete():
    assert len(COLUMNS) == 8 and len(set(COLUMNS)) == 8
    assert all(math.isfinite(value) for value in mark("1", 0, 5).scores.values())
