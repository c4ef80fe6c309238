"""The rewards of stage 2, and a command that shows what they give.

    python -m src.train.reward_funcs --cases tests/fixtures/reward_cases.jsonl

prints ``{"id", "type", "reward"}`` for each row ``{"question", "prediction", "reference", "dataset_type"?, "id"?}``.
Where a row also holds the expected "type" or "reward", the command compares and exits 1 on a difference.

How to add a reward: write a function ``<what>_reward`` here and name it in REWARD_FUNCS, the only place where rewards
are looked up; a ``*_reward`` function that is missing there stops every run before it starts. Reading answers belongs
to src.answers. TRL 1.16 calls

    f(prompts=, completions=, completion_ids=, **dataset columns, trainer_state=, log_extra=, log_metric=)

with lists of one length and wants a list of that length, None where the reward does not apply. The columns of our
dataset are question, answer and question_type. Prove the function with a case table and as TRL calls it, see
tests/train/test_reward_funcs.py.

Not covered: how good a reward is as a training signal; ``python -m src.train.doctor`` measures its variance on samples.
"""

import argparse
import inspect
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from src.answers.compare import Scored, reward
from src.errors import InputError, MissingPathError, run_command

# A completion as TRL hands it over: plain text, or the messages that the model added.
Completion = str | list[dict[str, Any]]
RewardFunc = Callable[..., list[float | None]]
LogMetric = Callable[[str, float], None]

# Expected rewards in case files are written with three decimals.
CASE_TOLERANCE = 0.0015


def rsvqa_reward(
    completions: Sequence[Completion],
    question: Sequence[str],
    answer: Sequence[str | None],
    question_type: Sequence[str | None] | None = None,
    log_metric: LogMetric | None = None,
    **_: Any,
) -> list[float | None]:
    """Score answers by the kind of their question, see src.answers.compare.

    Args:
        completions: one completion per sample, plain or conversational.
        question: the question of each sample, without image placeholders.
        answer: the reference answer of each sample.
        question_type: the dataset's question type of each sample.
        log_metric: TRL's logger; receives the mean reward of each kind and the share of answers that could not be
            read ("parse_failure").

    Returns:
        One reward in 0..1 per completion; None where the sample has no reference answer.

    Raises:
        InputError: where the columns differ in length.

    Example:
        >>> rsvqa_reward(["7.5亩", "Yes, there is."], ["面积是多少公顷？", "Is there a road?"], ["0.5公顷", "no"])
        [1.0, 0.0]
    """
    types = question_type or [None] * len(completions)
    lengths = [len(completions), len(question), len(answer), len(types)]
    if len(set(lengths)) > 1:
        raise InputError(f"completions, question, answer, question_type have {lengths} rows; expected equal lengths")
    scored = [
        reward(completion_text(completion), reference, asked, kind) if reference and reference.strip() else None
        for completion, asked, reference, kind in zip(completions, question, answer, types, strict=True)
    ]
    if log_metric:
        _log([one for one in scored if one], log_metric)
    return [one.reward if one else None for one in scored]


# Every reward that a run can name; TRL logs it under this name.
REWARD_FUNCS: dict[str, RewardFunc] = {"rsvqa_reward": rsvqa_reward}


def completion_text(completion: Any) -> str:
    """Return a completion's text: plain, or the last message's content, whole or in parts; "" for anything else."""
    if isinstance(completion, str):
        return completion
    message = completion[-1] if isinstance(completion, list) and completion else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def all_registered() -> None:
    """Check that each ``*_reward`` function of this module is in REWARD_FUNCS.

    Raises:
        InputError: naming the functions that are not.
    """
    functions = {name: value for name, value in globals().items() if inspect.isfunction(value)}
    own = {name for name, value in functions.items() if name.endswith("_reward") and value.__module__ == __name__}
    missing = sorted(own - set(REWARD_FUNCS))
    if missing:
        raise InputError(f"{', '.join(missing)} not in REWARD_FUNCS of src/train/reward_funcs.py; add or rename")


def select_rewards(names: Sequence[str]) -> list[RewardFunc]:
    """Return the reward functions of these names, in order.

    Raises:
        InputError: for an unknown or repeated name, an empty list, or an unregistered ``*_reward`` function.
    """
    all_registered()
    unknown = [name for name in names if name not in REWARD_FUNCS]
    if unknown or not names or len(set(names)) < len(names):
        raise InputError(f"rewards {list(names)}: expected one or more of {sorted(REWARD_FUNCS)}, each once")
    return [REWARD_FUNCS[name] for name in names]


def _log(scored: list[Scored], log_metric: LogMetric) -> None:
    """Log the mean reward per kind and the share of unreadable answers."""
    by_kind: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        by_kind[one.kind].append(one.reward)
    for kind, rewards in by_kind.items():
        log_metric(f"rsvqa_reward/{kind}", sum(rewards) / len(rewards))
    if scored:
        log_metric("rsvqa_reward/parse_failure", sum(not one.parsed for one in scored) / len(scored))


def read_cases(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a case file, checked.

    Raises:
        MissingPathError: where the file does not exist.
        InputError: with the line number, for a row that is no JSON object or lacks a text.
    """
    if not path.is_file():
        raise MissingPathError(f"--cases {path}: no such file; expected JSON lines")
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error})") from error
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _checked_case(line, f"{path}:{number}")


def _checked_case(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{where}: not JSON ({error}); expected one object per line") from error
    if not isinstance(row, dict):
        raise InputError(f"{where}: {type(row).__name__} instead of an object with question, prediction, reference")
    for key in ("question", "prediction", "reference"):
        if not isinstance(row.get(key), str):
            raise InputError(f"{where}: {key} is {row.get(key)!r}; expected a text")
    if not isinstance(row.get("dataset_type"), str | None) or not isinstance(row.get("type"), str | None):
        raise InputError(f"{where}: dataset_type and type must be texts or null")
    if not isinstance(row.get("reward"), int | float | None) or isinstance(row.get("reward"), bool):
        raise InputError(f"{where}: reward is {row['reward']!r}; expected a number or null")
    return row


def _differs(row: dict[str, Any], scored: Scored) -> bool:
    """Whether the expected type or reward, where the row has one, differs from what was computed."""
    kind, value = row.get("type"), row.get("reward")
    return (kind is not None and kind != scored.kind) or (
        value is not None and not abs(value - scored.reward) <= CASE_TOLERANCE
    )


def main() -> int:
    """Print type and reward of each case; 1 where they differ from the expected ones."""
    parser = argparse.ArgumentParser(
        prog="python -m src.train.reward_funcs", description="Print question type and reward for each case."
    )
    parser.add_argument("--cases", type=Path, required=True, help="JSON lines: question, prediction, reference, ...")
    rows = list(read_cases(parser.parse_args().cases))
    if not rows:
        raise InputError("the case file has no rows; expected one JSON object per line")
    expected = different = 0
    for number, row in enumerate(rows, 1):
        scored = reward(row["prediction"], row["reference"], row["question"], row.get("dataset_type"))
        result = {"id": row["id"]} if "id" in row else {}
        print(json.dumps(result | {"type": scored.kind, "reward": round(scored.reward, 6)}, ensure_ascii=False))
        expected += row.get("type") is not None or row.get("reward") is not None
        if _differs(row, scored):
            different += 1
            wanted = f"expected {row.get('type')} {row.get('reward')}, got {scored.kind} {scored.reward:.4f}"
            print(f"case {row.get('id', number)}: {wanted}", file=sys.stderr)
    print(f"{len(rows)} cases, {expected} with an expectation, {different} different", file=sys.stderr)
    return int(different > 0)


if __name__ == "__main__":
    run_command(main)
