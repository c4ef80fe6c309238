"""How right an answer is, 0 to 1, by the kind of its question.

``reward`` compares a model's answer with the reference: yes/no and labels exactly, counts and quantities with a decay,
buckets by membership, everything else by text similarity. What hedges, lists several values, drops the unit or has
the wrong sign earns nothing.

Policy, where the text leaves a choice:
    * A bare number takes the unit that the question asks for. "65" or "0.65" answer "what share" as 65 % and 0.65 %;
      a bare "1230" for 1230 m2 scores 0 where the question names no unit.
    * mu and hectares convert by exactly 1/15.
    * 减少, decreased, lost make a quantity negative, unless the question itself asks for a decrease.
    * In a question about change the value next to 增加, decreased, changed by ... counts, among several.

    >>> reward("7.5亩", "0.5公顷", "林地转为园地的面积是多少公顷？")
    Scored(kind='num', reward=1.0, parsed=True)
    >>> reward("rural or urban", "rural", "Is it a rural or an urban area?", "rural_urban")
    Scored(kind='choice', reward=0.0, parsed=False)
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from difflib import SequenceMatcher

from src.answers.choices import NOTHING, UNSURE, labels, options_in, polarity, says_none
from src.answers.kinds import asked_dimension, asked_unit, parse_bucket, question_kind
from src.answers.numbers import normalise
from src.answers.units import Quantity, find_quantities, prepare

RELATIVE_TOLERANCE = 0.02
ERROR_DECAY = 5.0
# A range ("64% to 66%") counts as its middle up to this width, relative to the middle.
RANGE_TOLERANCE = 0.10
# What still counts as none, in SI: 0.5 m2, 5 cm, 0.05 percentage points.
ZERO_TOLERANCE = {"area": 0.5, "length": 0.05, "ratio": 0.0005}
# NLTK's SmoothingFunction().method1 adds this to an n-gram precision without a match.
BLEU_EPSILON = 0.1

_DECREASE = re.compile(
    r"(?:减少|下降|降低|缩小|减小|缩减)(?![到至为])|(?:流失|损失|丧失|萎缩|净减)(?![到至])"
    r"|(?<![a-z])(?:decreas(?:e[sd]?|ing)|declin(?:e[sd]?|ing)|lost|loss(?:es)?|lose[sd]?|losing|reduc(?:ed?|tion)|"
    r"shr[aiu]nk|fell|drop(?:s|ped)?)(?![a-z])(?!\sto\b)"
)
_INCREASE = re.compile(
    r"增加|增长|上升|扩大|扩张|提高|新增|净增"
    r"|(?<![a-z])(?:increas(?:e[sd]?|ing)|gain(?:s|ed)?|grew|grow(?:s|n|th)?|expan(?:ded|sion)|rose|risen)(?![a-z])"
)
_ABOUT_CHANGE = re.compile(rf"变化|转为|转入|转出|chang|{_DECREASE.pattern}|{_INCREASE.pattern}")
# "增加了约", "increased by about": nothing but filler between the word of change and the number.
_CHANGED_BY = re.compile(
    rf"(?:{_DECREASE.pattern}|{_INCREASE.pattern}|变化|(?<![a-z])chang(?:e[sd]?|ing)|\bby)"
    r"(?:了|量|面积|幅度|为|是|大?约|近|共|达|[:\s]"
    r"|by|of|about|approximately|around|roughly|nearly|a total of|is|was)*$"
)
# How far from a number its word of change may stand; also keeps degenerate completions from costing seconds.
_CONTEXT_CHARS = 200
_SENTENCE_END = re.compile(r"[;。!?\n]|\.(?!\d)")
_CLAUSE_END = re.compile(rf",(?!\d{{3}})|{_SENTENCE_END.pattern}")
_EITHER = re.compile(r"还是|或|\bor\b")
_OR_NONE = re.compile(r"\bor\b|或|/")
_ANSWER_TAG = re.compile(r"<\s*/?\s*answer\b[^>]*>", re.IGNORECASE)
_ANSWER = re.compile(r"<answer>(.*)</answer>", re.IGNORECASE | re.DOTALL)
_TOKEN = re.compile(r"[\u3400-\u9fff]|[^\W\u3400-\u9fff]+")

Interval = tuple[float, float]


@dataclass(frozen=True)
class Scored:
    """The result of one comparison.

    Attributes:
        kind: one of kinds.KINDS.
        reward: 0 to 1.
        parsed: whether the answer could be read as its kind; False for empty, hedged and unreadable answers.
    """

    kind: str
    reward: float
    parsed: bool


def reward(prediction: str, reference: str, question: str, dataset_type: str | None = None) -> Scored:
    """Compare an answer with its reference.

    Args:
        prediction: what the model wrote; where it uses answer tags, the content of exactly one <answer> pair counts.
        reference: the right answer.
        question: the question as asked.
        dataset_type: the dataset's own question type, or None.
    """
    kind = question_kind(question, reference, dataset_type)
    answer = extract_answer(prediction)
    score = _SCORERS[kind](answer, reference, question) if answer else None
    return Scored(kind, score or 0.0, score is not None)


def extract_answer(prediction: str) -> str:
    """Return the answer in a completion, trimmed; empty where the answer tags are not exactly one pair."""
    tags, match = _ANSWER_TAG.findall(prediction), _ANSWER.search(prediction)
    answer = prediction
    if tags:
        answer = match[1] if match and len(tags) == 2 else ""
    return answer.strip() if normalise(answer) else ""


def text_similarity(prediction: str, reference: str) -> float:
    """Return 1 for equal normalised texts, else 0.6 * character similarity + 0.4 * BLEU-n.

    Character similarity is difflib's SequenceMatcher ratio; n is 4 or the number of tokens of the shorter text.
    """
    prediction, reference = normalise(prediction), normalise(reference)
    if prediction == reference:
        return 1.0
    ratio = SequenceMatcher(None, prediction, reference, autojunk=False).ratio()
    return 0.6 * ratio + 0.4 * bleu(_TOKEN.findall(prediction), _TOKEN.findall(reference))


def bleu(prediction: list[str], reference: list[str]) -> float:
    """Return sentence BLEU against one reference, up to 4-grams, fewer for shorter texts.

    Papineni et al. 2002, https://aclanthology.org/P02-1040; precisions without a match get smoothing method 1 of
    Chen and Cherry 2014, https://aclanthology.org/W14-3346. Equal to NLTK 3.9's sentence_bleu.
    """
    order = min(4, len(prediction), len(reference))
    log_precision = 0.0
    for n in range(1, order + 1):
        grams, wanted = _ngrams(prediction, n), _ngrams(reference, n)
        matches = sum((grams & wanted).values())
        if n == 1 and matches == 0:
            return 0.0
        log_precision += math.log((matches or BLEU_EPSILON) / sum(grams.values())) / order
    if order == 0:
        return 0.0
    brevity = min(0.0, 1 - len(reference) / len(prediction))
    return math.exp(brevity + log_precision)


def _ngrams(tokens: list[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))


def _score_yn(answer: str, reference: str, question: str) -> float | None:
    said = polarity(answer)
    return None if said is None else float(said == polarity(reference))


def _score_choice(answer: str, reference: str, question: str) -> float | None:
    options = options_in(question)
    wanted = labels(reference, options)
    if not wanted:  # none of our labels: the reference stands for itself
        options = (*options, reference)
        wanted = labels(reference, options)
    chosen = set() if UNSURE.search(normalise(answer)) else labels(answer, options)
    return float(chosen == wanted) if len(chosen) == 1 else None


def _score_count(answer: str, reference: str, question: str) -> float | None:
    counted, wanted = _count(answer), _count(reference)
    if counted is None or wanted is None:
        return None
    return 0.6 * (counted == wanted) + 0.4 * math.exp(-abs(counted - wanted) / 2)


def _count(text: str) -> float | None:
    """The one number without a unit, or 0 for "none"; None for several, a range or a bound."""
    text = prepare(text)
    quantities = find_quantities(text)
    if not quantities:
        return 0.0 if says_none(text) else None
    values = {(q.low, q.high) for q in quantities if q.dimension is None}
    if len(values) != 1 or (NOTHING.search(text) and _OR_NONE.search(text)):
        return None
    low, high = values.pop()
    return low if low == high else None


def _score_num(answer: str, reference: str, question: str) -> float | None:
    dimension, bare_factor = _frame(reference, question)
    wanted = _measure(reference, question, dimension, bare_factor)
    given = _measure(answer, question, dimension, bare_factor)
    if wanted is None or given is None:
        return None
    if all(math.isclose(a, b) for a, b in zip(given, wanted, strict=True)):
        return 1.0
    value, width = (given[0] + given[1]) / 2, given[1] - given[0]
    if not math.isfinite(width) or width > RANGE_TOLERANCE * abs(value):
        return None
    nearest = min(max(value, wanted[0]), wanted[1])
    if nearest == 0:
        return float(abs(value) <= ZERO_TOLERANCE.get(dimension or "", 0.0))
    error = abs(value - nearest) / abs(nearest)
    # 1e-9: 66.3 % against 65 % is 0.02 and a rounding error.
    return 1.0 if error <= RELATIVE_TOLERANCE + 1e-9 else math.exp(-ERROR_DECAY * error)


def _frame(reference: str, question: str) -> tuple[str | None, float | None]:
    """The dimension in which to compare, and the SI value of a number written without a unit (None: not accepted)."""
    asked = asked_unit(question)
    topic = asked[0] if asked else asked_dimension(question)
    written = [quantity.dimension for quantity in find_quantities(prepare(reference)) if quantity.dimension]
    if written:
        dimension = topic if topic in written else written[0]
        return dimension, asked[1] if asked and asked[0] == dimension else None
    # The reference has no unit: it is in the unit asked for, or else only bare numbers compare with it. None is none
    # in any unit.
    if asked is None and _measure(reference, question, None, 1.0) == (0.0, 0.0):
        return topic, 1.0
    return asked or (None, 1.0)


def _measure(text: str, question: str, dimension: str | None, bare_factor: float | None) -> Interval | None:
    """The one signed value or range of a dimension that a text states, in SI; None for none or several."""
    text = prepare(text)
    quantities = find_quantities(text)
    if not quantities:
        return (0.0, 0.0) if says_none(text) else None
    chosen = [quantity for quantity in quantities if quantity.dimension == dimension]
    factor = 1.0
    if (not chosen or dimension is None) and bare_factor is not None:
        chosen, factor = [quantity for quantity in quantities if quantity.dimension is None], bare_factor
    sided = [(quantity, _signed(text, quantity, factor, question)) for quantity in chosen]
    values = _distinct(sided)
    if len(values) > 1 and _ABOUT_CHANGE.search(normalise(question)):
        values = _distinct([pair for pair in sided if _changed_by(text, pair[0])])
    return values[0] if len(values) == 1 else None


def _changed_by(text: str, quantity: Quantity) -> bool:
    return bool(_CHANGED_BY.search(text[max(0, quantity.start - _CONTEXT_CHARS) : quantity.start]))


def _distinct(sided: list[tuple[Quantity, Interval]]) -> list[Interval]:
    """Drop repetitions: the same number again, or the same size in another unit within its rounding (1 %)."""
    kept: list[tuple[Quantity, Interval]] = []
    for quantity, ends in sided:
        same = (
            all(
                math.isclose(a, b, rel_tol=1e-9 if quantity.factor == other.factor else 0.01)
                for a, b in zip(ends, ends_kept, strict=True)
            )
            for other, ends_kept in kept
        )
        if not any(same):
            kept.append((quantity, ends))
    return [ends for _, ends in kept]


def _signed(text: str, quantity: Quantity, factor: float, question: str) -> Interval:
    """The ends of a quantity with the sign that its clause and the question give it."""
    direction = _direction(text, quantity, question)
    ends = (quantity.low * factor, quantity.high * factor)
    if direction:
        sign = direction * _asked_sign(question)
        ends = (sign * abs(ends[0]), sign * abs(ends[1]))
    return min(ends), max(ends)


def _direction(text: str, quantity: Quantity, question: str) -> int:
    """-1 or 1 for the word of decrease or increase that governs a quantity, or 0.

    It is the nearest one before the number in its clause, else after it in its clause; in a question about change
    also before it in its sentence ("decreased from 5 to 3 ha, by 2 ha").
    """
    before, after = _direction_words(text, quantity, _CLAUSE_END)
    if not before and not after and _ABOUT_CHANGE.search(normalise(question)):
        before, after = _direction_words(text, quantity, _SENTENCE_END)
    return before[-1] if before else next(iter(after), 0)


def _direction_words(text: str, quantity: Quantity, boundary: re.Pattern[str]) -> tuple[list[int], list[int]]:
    """The signs of the words of change before and after a quantity, in order, up to the next boundary."""
    first = max(0, quantity.start - _CONTEXT_CHARS)
    start = max((match.end() for match in boundary.finditer(text, first, quantity.start)), default=first)
    end_match = boundary.search(text, quantity.end)
    end = min(end_match.start() if end_match else len(text), quantity.end + _CONTEXT_CHARS)
    words = [(match.start(), -1) for match in _DECREASE.finditer(text, start, end)]
    words = sorted(words + [(match.start(), 1) for match in _INCREASE.finditer(text, start, end)])
    before = [sign for position, sign in words if position < quantity.start]
    return before, [sign for _, sign in words[len(before) :]]


def _asked_sign(question: str) -> int:
    """-1 where the question asks for a decrease ("how much was lost"): the size is then the answer."""
    text = normalise(question)
    either = _INCREASE.search(text) and _EITHER.search(text)
    return -1 if _DECREASE.search(text) and not either else 1


def _score_bucket(answer: str, reference: str, question: str) -> float | None:
    bucket = parse_bucket(reference, zero=True)
    assert bucket is not None, "question_kind gives bucket only where the reference is one"
    asked = asked_unit(question)
    text = prepare(answer)
    quantities = find_quantities(text)
    bare_factor = bucket.factor if not bucket.unit_written else None
    if asked and asked[0] == bucket.dimension:
        bare_factor = asked[1]
    ends = {(q.low, q.high) for q in quantities if q.dimension == bucket.dimension and bucket.dimension}
    if not ends and bare_factor is not None:
        ends = {(q.low * bare_factor, q.high * bare_factor) for q in quantities if q.dimension is None}
    if not quantities and says_none(text):
        ends = {(0.0, 0.0)}
    if len(ends) != 1:
        return None
    low, high = ends.pop()
    if low == high:
        return float(bucket.low < low <= bucket.high or bucket.low == low == bucket.high)
    # "between 11 and 100" and "between 10 and 100" name the same class.
    same_low = any(math.isclose(abs(low - bucket.low), step * bucket.factor, abs_tol=1e-9) for step in (0, 1))
    return float(same_low and math.isclose(high, bucket.high))


def _score_open(answer: str, reference: str, question: str) -> float | None:
    return text_similarity(answer, reference)


_SCORERS: dict[str, Callable[[str, str, str], float | None]] = {
    "yn": _score_yn,
    "choice": _score_choice,
    "count": _score_count,
    "num": _score_num,
    "bucket": _score_bucket,
    "open": _score_open,
}
