"""The checks tell a judge that reads from one that does not; agreement worked out by hand."""

import json
import sys

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from evaluation.scores import judge_checks as command
from evaluation.scores.judge import Judge
from evaluation.scores.judge_agreement import agreement, clustered, kappa, spearman
from evaluation.scores.judge_checks import (
    Pictures,
    against,
    order_check,
    position_check,
    read_human,
    read_questions,
    retest_check,
    sample,
)
from evaluation.scores.reading import read_pairs
from src.errors import BadRowError, InputError
from tests.evaluation.scores.judges import FirstPlace, Reader, Writer, arguments, write_answers


@pytest.fixture
def answers(tmp_path):
    return write_answers(tmp_path / "x-gene", pictures=1)


def questions_of(folder, **changes):
    args = arguments(folder, **changes)
    return sample(read_questions(args, folder), 100, 0, set())


class Constant(Reader):
    """Gives every answer the same score."""

    def score(self, messages, choices):
        return [-1.0] * len(choices)


# ---- agreement


def test_kappa_by_hand():
    """Mean squared difference 0.25; by chance 1.25 + 2.1875 + 0.0625 = 3.5, so 1 - 0.25 / 3.5."""
    assert kappa([1, 2, 3, 4], [1, 2, 3, 5]) == pytest.approx(1 - 0.25 / 3.5)
    assert kappa([1, 10], [10, 1]) == pytest.approx(-1)
    # Rounded half up: 2.5 is 3 and not, as Python rounds, 2.
    assert kappa([2.5, 7.4], [3, 7]) == 1.0
    assert kappa([5, 5], [5, 5]) is None
    one, two = np.random.default_rng(0).integers(1, 11, (2, 60))
    assert kappa(one, two) == pytest.approx(cohen_kappa_score(one, two, weights="quadratic"))


def test_spearman_by_hand():
    """Differences of ranks 0, 1, 1, 0: 1 - 6 * 2 / (4 * 15) = 0.8."""
    assert spearman([1, 2, 3, 4], [10, 30, 20, 40]) == pytest.approx(0.8)
    assert spearman([1, 1, 1], [1, 2, 3]) is None and spearman([1], [1]) is None


def test_whole_dialogues_are_resampled():
    """Two dialogues, one all 0 and one all 1: only 0, 1/2 and 1 can be drawn, the interval is the whole range."""
    values = [0.0] * 50 + [1.0] * 50
    row = clustered(lambda rows: sum(values[i] for i in rows) / len(rows), ["a"] * 50 + ["b"] * 50, 0)
    assert row == {"value": 0.5, "ci95": [0.0, 1.0]}
    assert clustered(lambda rows: 1.0, ["a", "a"], 0)["ci95"] is None


def test_agreement_of_a_judge_that_is_two_points_kinder():
    row = agreement([3, 5, 7, 9], [1, 3, 5, 7], list("abcd"), 0)
    assert row["n"] == 4 and row["spearman"]["value"] == 1.0
    assert row["mean_difference"] == {"value": 2.0, "ci95": [2.0, 2.0]}
    # Means squared: 4 of difference against 5 + 5 + 4 by chance.
    assert row["kappa"]["value"] == pytest.approx(1 - 4 / 14, abs=1e-4)


# ---- the checks


def test_a_judge_that_reads_passes(answers):
    questions = questions_of(answers)
    assert len(questions) == 8 and all(question.other.startswith("noun") for question in questions)
    report = order_check(Judge(Reader()), questions, Pictures(), 0)
    assert report["as_expected"] is True and report["valid_rate"] == 1.0 and report["n"] == 8
    scores = {kind: row["value"] for kind, row in report["scores"].items()}
    assert scores["reference"] > 9 and 5 < scores["real"] < 7 and 1 <= scores["empty"] < scores["shuffled"] < 2.5
    # Half of the reference's words are right, none of a strange answer's.
    assert report["steps"]["reference - real"]["share_above"]["value"] == 1.0
    assert report["beyond_doubt"] is True
    assert report["dimensions"]["richness"]["reference"] > report["dimensions"]["richness"]["real"]


def test_a_judge_that_does_not_read_fails(answers):
    report = order_check(Judge(Constant()), questions_of(answers), Pictures(), 0)
    assert report["as_expected"] is report["beyond_doubt"] is False and {
        row["value"] for row in report["scores"].values()
    } == {5.5}


def test_a_judge_that_cannot_be_read_has_no_scores(answers):
    report = order_check(Judge(Writer("garbage")), questions_of(answers), Pictures(), 0)
    assert report["n"] == 0 and report["valid_rate"] == 0.0 and report["as_expected"] is False


def test_strange_answers_come_from_other_dialogues(answers):
    for question in questions_of(answers):
        assert f"noun{question.id}" not in question.other


def test_a_sample_is_the_same_every_time(answers):
    everything = read_questions(arguments(answers), answers)
    keep = {everything[-1].key}
    one, two = (sample(everything, 3, 5, keep) for _ in range(2))
    assert one == two and one[-1].key in keep and 3 <= len(one) <= 4
    with pytest.raises(InputError, match="two or more"):
        sample(everything[:1], 3, 0, set())


def test_position(answers):
    questions = questions_of(answers)
    honest, verdicts = position_check(Judge(Reader()), questions, Pictures(), 0)
    assert honest["same_choice_in_both_orders"]["value"] == 1.0 and honest["prefers_the_answer"]["value"] == 1.0
    assert honest["first_place"]["value"] == pytest.approx(0.5) and len(verdicts) == 16
    biased, _ = position_check(Judge(FirstPlace()), questions, Pictures(), 0)
    assert biased["first_place"]["value"] == pytest.approx(0.9)
    # It chose the first place both times, so neither answer is preferred: half a point each.
    assert biased["same_choice_in_both_orders"]["value"] == 0.0 and biased["prefers_the_answer"]["value"] == 0.5
    silent, verdicts = position_check(Judge(Writer("?")), questions, Pictures(), 0)
    assert silent == {"n": 0, "unreadable": 8} and verdicts[0]["first_better"] is None


def test_retest(answers):
    report = retest_check(Judge(Reader()), questions_of(answers), Pictures(), 0)
    assert report["n"] == 8 and report["same_seed_same_result"] is True
    # The explanations of two seeds differ, and this judge's scores with them.
    assert 0 < report["mean_absolute_difference"]["value"] < 0.3


def test_another_model_in_the_place_of_strange_answers(answers, tmp_path):
    other = write_answers(tmp_path / "y" / "gene", pictures=1, failed=((0, 0), (0, 1)))
    shared = against(questions_of(answers), read_questions(arguments(other), other))
    # 9 questions, one failed here and two there.
    assert len(shared) == 6 and shared[0].other == "noun02a noun02b other"
    with pytest.raises(InputError, match="both models"):
        against(questions_of(answers), [])


@pytest.mark.parametrize("line", ['{"id": "0", "turn": 0}', '{"id": "0", "overall": 11}', '{"overall": 3}', "[1]"])
def test_human_scores_off_the_scale_are_refused(line, tmp_path):
    (tmp_path / "human.jsonl").write_text(line)
    with pytest.raises(BadRowError, match="overall"):
        read_human(tmp_path / "human.jsonl")


def test_the_command(answers, tmp_path, monkeypatch, capsys):
    rows = [{"id": str(n), "turn": t, "overall": 5 + t, "richness": 9 - t} for n in range(3) for t in range(2)]
    (tmp_path / "human.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    monkeypatch.setattr(command, "connect", lambda args: Reader())
    words = f"checks --answers {answers} --judge stub --image_folder {tmp_path} --human {tmp_path}/human.jsonl"
    monkeypatch.setattr(sys, "argv", [*words.split(), "--out", f"{tmp_path}/c.json", "--pairs", f"{tmp_path}/p.jsonl"])
    assert command.main() == 0
    out = capsys.readouterr().out
    report = json.loads(out.strip().splitlines()[-1])
    assert report == json.loads((tmp_path / "c.json").read_text()) and str(tmp_path) not in out
    assert {"commit", "command", "args", "versions", "hardware", "seed", "n", "seconds"} <= report.keys()
    assert report["human"]["n"] == 6 and report["human"]["overall"]["n"] == 6 and "richness" in report["human"]
    verdicts = read_pairs(tmp_path / "p.jsonl")
    assert [verdict.order for verdict in verdicts[:2]] == ["ab", "ba"] and len(verdicts) == 16
    assert "people, overall: kappa" in out and "as it should be" in out
