"""One answer, one set of scores: by the probabilities of the score words, or by JSON from a server that hides them.

With probabilities nothing is read out of the judge's prose: each criterion
gets the expected value over the words "1" to "10", each scored whole with its
end token ("10" is two tokens, and "1" is no shorter "10"), so every score is a
number from 1 to 10 whatever the judge would have said (G-Eval weights scores
by probability alike, https://arxiv.org/abs/2303.16634, section 2). Without
them the judge is asked for JSON, which a parser and a schema accept or refuse.
"""

import ast
import json
import logging
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evaluation.scores.judge_prompt import (
    CRITERIA,
    DIMENSIONS,
    SCORE_WORDS,
    Case,
    Message,
    explain_messages,
    json_messages,
    pair_messages,
    score_messages,
)
from src.model.backend import Backend, BackendError, GenerateOptions, NotScorable

# Where a backend in this process keeps scoring prompts: the explanation leaves pictures and text computed there.
from src.model.batcher import _SCORING_SESSION as SCORING_SESSION

logger = logging.getLogger(__name__)

# The server is away or overrun: to go on would mark every later answer as unreadable. Run again to resume.
_STOP_CODES = {"closed", "down", "busy", "timeout"}
_RETRY_TEMPERATURE = 0.7
_FLAT_OBJECT = re.compile(r"\{[^{}]*\}")
_DECIMALS = 4

_Score = Field(ge=1, le=10, allow_inf_nan=False, strict=True)


class _Scores(BaseModel):
    """What a judge's JSON must hold; numbers only, so that "8/10" or true are refused."""

    model_config = ConfigDict(extra="ignore")

    creativity: float = _Score
    richness: float = _Score
    visual_perception: float = _Score
    logical_coherence: float = _Score
    answer_accuracy: float = _Score
    image_relationship_understanding: float = _Score
    overall: float = _Score


class _Preference(BaseModel):
    better: Literal["A", "B"]


@dataclass(frozen=True)
class JudgeOptions:
    """How to judge.

    Args:
        official: text that stands in the place of INSTRUCTIONS, for example the benchmark's own.
        explanation_tokens: longest explanation where scores come from probabilities; 0 writes none.
        json_tokens: longest answer where they come from JSON.
        retries: further tries after a reply that cannot be used.
        temperature: of the explanation; 0 takes the most probable words.
        seed: of explanations that are sampled and of retries.
    """

    official: str | None = None
    explanation_tokens: int = 96
    json_tokens: int = 768
    retries: int = 2
    temperature: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Mark:
    """The grade of one answer.

    Args:
        scores: one number from 1 to 10 per dimension; {} when not valid.
        overall: the judge's own overall score; None when not valid.
        valid: whether there are scores.
        reason: why not; "" when valid.
        explanation: what the judge wrote.
        mass: mean probability that the judge would answer with a score word at all; None where unknown. Near 0
            the scores are valid in form, but the judge did not follow the request.
    """

    scores: dict[str, float] = field(default_factory=dict)
    overall: float | None = None
    valid: bool = False
    reason: str = ""
    explanation: str = ""
    mass: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The form kept in judge files."""
        return asdict(self)


def expected_score(log_probs: Sequence[float]) -> tuple[float, float]:
    """Expected value over the score words.

    Args:
        log_probs: natural logarithms for "1" to "10", in order; need not be normalised.

    Returns:
        The expected score, from 1 to 10, and the probability of all score words together.

    Raises:
        ValueError: a value that is no number, or no probability at all.

    Example:
        >>> expected_score([-math.inf] * 8 + [math.log(0.25), math.log(0.25)])
        (9.5, 0.5)
    """
    if len(log_probs) != len(SCORE_WORDS):
        raise ValueError(f"{len(log_probs)} log-probabilities; expected {len(SCORE_WORDS)}")
    highest = max(log_probs)
    if any(math.isnan(value) for value in log_probs) or not math.isfinite(highest):
        raise ValueError(f"log-probabilities {list(log_probs)}: expected numbers")
    weights = [math.exp(value - highest) for value in log_probs]
    expected = sum(score * weight for score, weight in enumerate(weights, start=1)) / sum(weights)
    # A sum of rounded numbers may leave the range by its last bit.
    return min(max(expected, 1.0), 10.0), sum(weights) * math.exp(highest)


def read_scores(text: str) -> dict[str, float]:
    """The scores in a judge's reply: its last object that fits the schema.

    JSON, or the flat dictionary with single quotes that the benchmark's text asks for. Nothing is evaluated and
    nothing is clipped.

    Raises:
        ValueError: no such object; the text says what is wrong with the last one.
    """
    problem = "no JSON object in the reply"
    for found in _objects(text):
        try:
            return _Scores.model_validate(_named(found)).model_dump()
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{first['loc'][0]}: {first['msg']}"
    raise ValueError(problem)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Objects in a text, the last one first."""
    decoder = json.JSONDecoder()
    for start in reversed([match.start() for match in re.finditer(r"\{", text)]):
        try:
            found, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            flat = _FLAT_OBJECT.match(text, start)
            try:
                found = ast.literal_eval(flat.group()) if flat else None
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                found = None
        if isinstance(found, dict):
            yield found


def _named(found: dict[Any, Any]) -> dict[str, Any]:
    """Keys in this project's spelling: "Overall Score" is overall."""
    keys = {re.sub(r"[^a-z]+", "_", str(key).lower()).strip("_"): value for key, value in found.items()}
    if "overall_score" in keys:
        keys.setdefault("overall", keys["overall_score"])
    return keys


class Judge:
    """A model that grades answers.

    Whether it shows probabilities is found out at the first question and kept.

    Args:
        backend: the model; its scoring session is used.
        options: how to judge.
    """

    def __init__(self, backend: Backend, options: JudgeOptions | None = None) -> None:
        self.backend, self.options = backend, options or JudgeOptions()
        self.by_probability, self._proven = True, False
        # JSON replies asked for and used; the rate tells how well a server's model keeps the form.
        self.replies_asked = self.replies_used = 0

    def grade(self, case: Case) -> Mark:
        """Grade one answer.

        Raises:
            BackendError: the backend is away or closed; the answer was not graded.
        """
        if self.by_probability:
            try:
                return self._by_probability(case)
            except NotScorable as error:
                self._fall_back(error)
        return self._by_json(case)

    def prefer(self, case: Case, other: str) -> float | None:
        """Probability that a case's answer, shown first, is better than another, shown second.

        Returns:
            From 0 to 1; exactly 0 or 1 where the judge only says which; None where it says nothing usable.

        Raises:
            BackendError: the backend is away or closed.
        """
        texts = (case.question, case.reference, case.answer, other)
        if self.by_probability:
            try:
                first, second = self._score(pair_messages(*texts, case.pictures), ("A", "B"))
                return 1 / (1 + math.exp(min(second - first, 700.0)))
            except NotScorable as error:
                self._fall_back(error)
        messages = pair_messages(*texts, case.pictures, as_json=True)
        for text in self._tries(messages):
            for found in _objects(text):
                try:
                    better = _Preference.model_validate(_named(found)).better
                except ValidationError:
                    continue
                self.replies_used += 1
                return float(better == "A")
        return None

    def forget(self) -> None:
        """Drop what is kept of earlier questions, so that a result does not depend on what was asked before."""
        self.backend.forget(SCORING_SESSION)

    def _score(self, messages: Sequence[Message], words: Sequence[str]) -> list[float]:
        try:
            log_probs = self.backend.score(messages, words)
        except BackendError as error:
            # Some servers answer a request for probabilities with an error of their own or with a page.
            asked_in_vain = error.code in ("refused", "garbage", "failed") and not self._proven
            if asked_in_vain and self.backend.status()["backend"] == "openai":
                raise NotScorable(f"{error}") from error
            raise
        self._proven = True
        return log_probs

    def _fall_back(self, error: NotScorable) -> None:
        self.by_probability = False
        logger.warning("%s: scores are asked for as JSON, and some may be unreadable", error)

    def _by_probability(self, case: Case) -> Mark:
        explanation = ""
        try:
            if self.options.explanation_tokens:
                explanation = self._explain(case)
            scores, masses = {}, []
            for criterion in CRITERIA:
                messages = score_messages(case, criterion, explanation, self.options.official)
                score, mass = expected_score(self._score(messages, SCORE_WORDS))
                scores[criterion] = round(score, _DECIMALS)
                masses.append(mass)
        except (BackendError, ValueError) as error:
            if isinstance(error, BackendError) and error.code in _STOP_CODES:
                raise
            # InputError is a ValueError: pictures and texts that are too long for the judge.
            return Mark(reason=str(error), explanation=explanation)
        overall = scores.pop("overall")
        return Mark(scores, overall, True, "", explanation, round(sum(masses) / len(masses), 6))

    def _explain(self, case: Case) -> str:
        options = GenerateOptions(
            max_new_tokens=self.options.explanation_tokens,
            temperature=self.options.temperature,
            seed=self.options.seed,
        )
        messages = explain_messages(case, self.options.official)
        return self.backend.stream(messages, options, SCORING_SESSION).result().strip()

    def _by_json(self, case: Case) -> Mark:
        reason, text = "no reply", ""
        try:
            for text in self._tries(json_messages(case, self.options.official)):
                try:
                    scores = read_scores(text)
                except ValueError as error:
                    reason = f"unreadable after {self.options.retries + 1} tries: {error}"
                    continue
                self.replies_used += 1
                overall = scores.pop("overall")
                return Mark({key: scores[key] for key in DIMENSIONS}, overall, True, "", text.strip())
        except (BackendError, ValueError) as error:
            if isinstance(error, BackendError) and error.code in _STOP_CODES:
                raise
            reason = str(error)
        return Mark(reason=reason, explanation=text.strip())

    def _tries(self, messages: Sequence[Message]) -> Iterator[str]:
        """Replies to one question, sampled from the second on: the most probable one would only come again."""
        for attempt in range(self.options.retries + 1):
            self.replies_asked += 1
            try:
                yield self.backend.generate(
                    messages,
                    max_new_tokens=self.options.json_tokens,
                    temperature=_RETRY_TEMPERATURE if attempt else self.options.temperature,
                    seed=self.options.seed + attempt,
                )
            except BackendError as error:
                # The adapter of a server retries what is worth it; what cannot be read may come better next time.
                if error.code not in ("garbage", "cut") or attempt == self.options.retries:
                    raise
