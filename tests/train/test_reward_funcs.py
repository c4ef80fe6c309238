"""The reward as TRL calls it, the registry, and the command."""

import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from src.errors import InputError
from src.train import reward_funcs
from src.train.reward_funcs import REWARD_FUNCS, all_registered, completion_text, rsvqa_reward, select_rewards

QUESTION = ["How many roads are there?", "Is there a road?", "面积是多少公顷？", "Describe the image."]
ANSWER = ["12", "yes", "0.5公顷", "A river."]
TYPES = ["count", "presence", None, None]
COMPLETIONS = ["11", "yes and no", "7.5亩", "A river"]
REWARDS = [pytest.approx(0.4 * math.exp(-0.5)), 0.0, 1.0, 1.0]


def trl_call(function, completions: list, **columns: list) -> list:
    """Call a reward as TRL 1.16 does, with every argument by name."""
    return function(
        prompts=[[{"role": "user", "content": "..."}]] * len(completions),
        completions=completions,
        completion_ids=[[1, 2]] * len(completions),
        trainer_state=None,
        log_extra=lambda column, values: None,
        log_metric=lambda name, value: None,
        images=[["a.tif"]] * len(completions),
        **columns,
    )


@pytest.mark.parametrize("function", REWARD_FUNCS.values(), ids=REWARD_FUNCS)
def test_every_reward_gives_one_value_per_completion_and_they_differ(function) -> None:
    """The old reward returned one constant for any batch, so every advantage was zero."""
    rewards = trl_call(function, COMPLETIONS, question=QUESTION, answer=ANSWER, question_type=TYPES)
    assert len(rewards) == len(COMPLETIONS)
    assert len(set(rewards)) > 1


def test_plain_and_conversational_completions() -> None:
    columns = {"question": QUESTION, "answer": ANSWER, "question_type": TYPES}
    conversational = [[{"role": "assistant", "content": text}] for text in COMPLETIONS]
    in_parts = [[{"role": "assistant", "content": [{"type": "text", "text": text}]}] for text in COMPLETIONS]
    for completions in (COMPLETIONS, conversational, in_parts):
        assert trl_call(rsvqa_reward, completions, **columns) == REWARDS


def test_question_type_is_optional() -> None:
    assert rsvqa_reward(COMPLETIONS, QUESTION, ANSWER) == REWARDS


def test_trainer_accepts_the_reward() -> None:
    """TRL's own code calls the reward, checks its length and collects its metrics."""
    import torch  # here, because importing the trainer takes seconds
    from trl import GRPOTrainer

    metrics: dict[str, float] = {}
    trainer = SimpleNamespace(
        accelerator=SimpleNamespace(device="cpu", is_main_process=True),
        args=SimpleNamespace(report_to=[]),
        state=SimpleNamespace(global_step=0),
        reward_funcs=select_rewards(["rsvqa_reward"]),
        reward_func_names=["rsvqa_reward"],
        reward_processing_classes=[None],
        environments=None,
        _log_completion_extra=lambda column, values: None,
        _log_metric=metrics.__setitem__,
    )
    prompts = [[{"role": "user", "content": question}] for question in QUESTION]
    columns = zip(prompts, QUESTION, ANSWER, TYPES, strict=True)
    inputs = [{"prompt": p, "question": q, "answer": a, "question_type": t} for p, q, a, t in columns]
    completions = [[{"role": "assistant", "content": text}] for text in COMPLETIONS]
    rewards = GRPOTrainer._calculate_rewards(trainer, inputs, prompts, completions, [[1]] * 4)
    expected = torch.tensor([[0.4 * math.exp(-0.5)], [0.0], [1.0], [1.0]])
    assert torch.allclose(rewards, expected)
    assert metrics["rsvqa_reward/parse_failure"] == 0.25


def test_metrics_per_kind() -> None:
    logged: dict[str, float] = {}
    rsvqa_reward(["1", "2", "yes"], ["How many?"] * 2 + ["Is it?"], ["1", "1", "no"], log_metric=logged.__setitem__)
    assert logged == {
        "rsvqa_reward/count": pytest.approx((1 + 0.4 * math.exp(-0.5)) / 2),
        "rsvqa_reward/yn": 0.0,
        "rsvqa_reward/parse_failure": 0.0,
    }


def test_no_reference_means_no_reward_and_no_metric() -> None:
    logged: dict[str, float] = {}
    assert rsvqa_reward(["1", "2"], ["How many?"] * 2, [None, " "], log_metric=logged.__setitem__) == [None, None]
    assert logged == {}


@pytest.mark.parametrize(
    "broken", [None, float("nan"), [], [{}], [{"content": None}], [{"content": [{"type": "image"}]}], 7]
)
def test_unreadable_completions_score_zero(broken: object) -> None:
    assert completion_text(broken) == ""
    assert rsvqa_reward([broken], ["Describe."], ["A river."]) == [0.0]


def test_last_message_counts() -> None:
    messages = [{"role": "assistant", "content": "no"}, {"role": "assistant", "content": "yes"}]
    assert completion_text(messages) == "yes"


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(InputError, match=r"\[2, 1, 2, 2\]"):
        rsvqa_reward(["1", "2"], ["How many?"], ["1", "2"])


def test_select_rewards() -> None:
    assert select_rewards(["rsvqa_reward"]) == [rsvqa_reward]
    for names in (["route_reward"], [], ["rsvqa_reward", "rsvqa_reward"]):
        with pytest.raises(InputError, match="expected one or more of"):
            select_rewards(names)


def test_an_unregistered_reward_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rewards were once found by their name, and a helper that ended in _reward was trained on."""
    all_registered()

    def route_reward(**_: object) -> list[float]:
        return [0.7]

    route_reward.__module__ = reward_funcs.__name__
    monkeypatch.setattr(reward_funcs, "route_reward", route_reward, raising=False)
    with pytest.raises(InputError, match="route_reward not in REWARD_FUNCS"):
        select_rewards(["rsvqa_reward"])


def run_cases(repo: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "src.train.reward_funcs", *arguments]
    return subprocess.run(command, cwd=repo, capture_output=True, encoding="utf-8", timeout=60)


def test_command_agrees_with_the_case_table(repo: Path) -> None:
    path = repo / "tests" / "fixtures" / "reward_cases.jsonl"
    cases = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    result = run_cases(repo, "--cases", str(path))
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(row["id"], row["type"]) for row in rows] == [(case["id"], case["type"]) for case in cases]
    assert "0 different" in result.stderr


def test_command_without_expectations_and_with_a_wrong_one(repo: Path, tmp_path: Path) -> None:
    row = {"question": "有几条路？", "prediction": "三条", "reference": "3"}
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(row) + "\n\n", encoding="utf-8")
    result = run_cases(repo, "--cases", str(path))
    assert (result.returncode, json.loads(result.stdout)) == (0, {"type": "count", "reward": 1.0})
    path.write_text(json.dumps(row | {"id": 5, "type": "count", "reward": 0.5}), encoding="utf-8")
    result = run_cases(repo, "--cases", str(path))
    assert result.returncode == 1
    assert json.loads(result.stdout) == {"id": 5, "type": "count", "reward": 1.0}
    assert "case 5: expected count 0.5, got count 1.0000" in result.stderr


GOOD = {"question": "Is it?", "prediction": "yes", "reference": "yes"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"{not json}", "cases.jsonl:1: not JSON"),
        (b"[1]", "cases.jsonl:1: list instead of an object"),
        (b"\xff\xfe", "not UTF-8"),
        (json.dumps(GOOD | {"prediction": None}).encode(), "prediction is None; expected a text"),
        (json.dumps(GOOD | {"dataset_type": 3}).encode(), "dataset_type and type must be texts"),
        (json.dumps(GOOD | {"reward": "1"}).encode(), "reward is '1'; expected a number"),
    ],
)
def test_command_refuses_bad_files(repo: Path, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "cases.jsonl"
    path.write_bytes(content)
    result = run_cases(repo, "--cases", str(path))
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_command_refuses_a_missing_file_and_has_help(repo: Path, tmp_path: Path) -> None:
    result = run_cases(repo, "--cases", str(tmp_path / "none.jsonl"))
    assert result.returncode == 2
    assert "no such file" in result.stderr
    assert run_cases(repo, "--help").returncode == 0
    assert run_cases(repo).returncode == 2
