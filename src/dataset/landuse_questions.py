"""Facts of a chip from its labels, and the questions that these facts can answer.

Nothing here looks at the image: every answer is arithmetic on the label pixels. A question is made
only where its answer is clear (the margins below) and where it holds whatever the unlabelled pixels
of the chip may be.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import permutations

import numpy as np
from scipy import ndimage

from src.constants import LAND_CLASSES, NODATA_CLASS
from src.dataset.landuse_text import ANSWER_WORDS, IMAGE_NAMES, QUESTION_TYPES, TEMPLATES, UNIT_NAMES, UNIT_SYMBOLS
from src.geo.areas import convert_area

# Shares of the chip. Between "none" and PRESENCE_SHARE a class is too small to ask about.
PRESENCE_SHARE = 0.02
COMPARE_MARGIN = 0.05
DOMINANT_MARGIN = 0.10
URBAN_SHARE = 0.30
RURAL_SHARE = 0.10
AREA_SHARE = 0.05
CHANGE_MARGIN = 0.03
CHANGE_RANK_MARGIN = 0.03
# A region counts from this share of the chip; one between half of it and it makes the count unclear.
REGION_SHARE = 0.005
MAX_COUNT = 9
# Units are asked where the number stays readable.
UNIT_RANGE = {"mu": (1.0, 9999.0), "ha": (1.0, 9999.0), "km2": (0.1, 9999.0)}


@dataclass(frozen=True)
class ChipFacts:
    """What the labels say about one chip at one date.

    Args:
        shares: class name -> share of the labelled pixels (of all pixels where not complete).
        unknown: share of the chip that may be any class; 0.0 where complete.
        complete: whether the labels cover the chip, so that shares are measured, not bounds.
        areas_m2: class name -> area on the ellipsoid in square metres.
        regions: class name -> number of 8-connected regions, or None where unclear.
        total_m2: area of the whole chip.
    """

    shares: Mapping[str, float]
    unknown: float
    complete: bool
    areas_m2: Mapping[str, float]
    regions: Mapping[str, int | None]
    total_m2: float


@dataclass(frozen=True)
class Question:
    """A question before wording; the answer is a language-free token ("yes", "forest", "40%", "12 ha")."""

    form: str
    answer: str
    classes: tuple[str, ...] = ()
    unit: str | None = None
    slots: Mapping[str, str] = field(default_factory=dict, hash=False, compare=False)

    @property
    def type(self) -> str:
        """question_type of the rows."""
        return QUESTION_TYPES[self.form]


def count_regions(mask: np.ndarray) -> int | None:
    """Number of 8-connected regions of at least REGION_SHARE of the chip.

    Args:
        mask: (H, W) bool.

    Returns:
        The count; None where a region of nearly that size makes it debatable.
    """
    regions, n = ndimage.label(mask, structure=np.ones((3, 3), dtype=int))
    sizes = np.bincount(regions.ravel(), minlength=n + 1)[1:]
    smallest = REGION_SHARE * mask.size
    if np.any((sizes >= smallest / 2) & (sizes < smallest)):
        return None
    return int(np.count_nonzero(sizes >= smallest))


def chip_facts(labels: np.ndarray, pixel_areas_m2: np.ndarray, complete: bool) -> ChipFacts:
    """Measure a chip.

    Args:
        labels: (H, W) uint8 canonical classes, 0 unlabelled.
        pixel_areas_m2: (H, W) float64 area of each pixel.
        complete: whether to treat the labels as covering the chip.

    Returns:
        The facts; shares are taken of the labelled pixels if complete, else of all pixels.
    """
    labelled = int(np.count_nonzero(labels != NODATA_CLASS))
    base = labelled if complete else labels.size
    shares, areas, regions = {}, {}, {}
    for code, name in LAND_CLASSES.items():
        mask = labels == code
        shares[name] = np.count_nonzero(mask) / max(base, 1)
        areas[name] = float(pixel_areas_m2[mask].sum())
        regions[name] = count_regions(mask)
    unknown = 0.0 if complete else 1.0 - labelled / labels.size
    return ChipFacts(shares, unknown, complete, areas, regions, float(pixel_areas_m2.sum()))


def percent_tens(share: float) -> str:
    """Share as a percentage rounded half up to tens: 0.249 -> "20%", 0.25 -> "30%"."""
    return f"{int(np.floor(share * 10 + 0.5 + 1e-9)) * 10}%"


def two_figures(value: float) -> str:
    """Positive number with two significant figures and no exponent: 1234 -> "1200", 0.356 -> "0.36"."""
    text = format(Decimal(f"{value:.1e}"), "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _yes_no(answer: bool) -> str:
    return "yes" if answer else "no"


def _presence(facts: ChipFacts) -> Iterator[Question]:
    for name, share in facts.shares.items():
        if share >= PRESENCE_SHARE:
            yield Question("presence", "yes", (name,))
        elif share == 0 and facts.unknown == 0:
            yield Question("presence", "no", (name,))


def _comparisons(facts: ChipFacts) -> Iterator[Question]:
    for a, b in permutations(facts.shares, 2):
        difference = facts.shares[a] - facts.shares[b]
        # A class that is absent is a presence question in disguise.
        if min(facts.shares[a], facts.shares[b]) < PRESENCE_SHARE:
            continue
        if abs(difference) - facts.unknown >= COMPARE_MARGIN:
            yield Question("comp_more", _yes_no(difference > 0), (a, b))
            yield Question("comp_less", _yes_no(difference < 0), (a, b))


def _place(facts: ChipFacts) -> Iterator[Question]:
    built = facts.shares["built"]
    if built >= URBAN_SHARE:
        yield Question("rural_urban", "urban")
    elif built + facts.unknown <= RURAL_SHARE:
        yield Question("rural_urban", "rural")
    (second, _), (first, name) = sorted((share, name) for name, share in facts.shares.items())[-2:]
    if first - second - facts.unknown >= DOMINANT_MARGIN:
        yield Question("dominant", name)


def _measures(facts: ChipFacts) -> Iterator[Question]:
    for name, share in facts.shares.items():
        count = facts.regions[name]
        if count is not None and 0 < count <= MAX_COUNT:
            yield Question("count", str(count), (name,))
        if share >= PRESENCE_SHARE:
            yield Question("share", percent_tens(share), (name,))
        if share < AREA_SHARE:
            continue
        for unit, (low, high) in UNIT_RANGE.items():
            value = convert_area(facts.areas_m2[name], unit)
            if low <= value <= high:
                total = two_figures(convert_area(facts.total_m2, unit))
                yield Question("area", f"{two_figures(value)} {unit}", (name,), unit, {"total": total})


def single_questions(facts: ChipFacts) -> list[Question]:
    """All questions that one chip at one date can answer with a clear margin."""
    questions = [*_presence(facts), *_comparisons(facts), *_place(facts)]
    return questions + list(_measures(facts)) if facts.complete else questions


def pair_questions(before: np.ndarray, after: np.ndarray) -> list[Question]:
    """All questions about what changed between two complete label chips of one place.

    Args:
        before: (H, W) uint8 canonical classes at the earlier date.
        after: the same at the later date.

    Returns:
        Questions on the pixels labelled at both dates; none where there are no such pixels.
    """
    both = (before != NODATA_CLASS) & (after != NODATA_CLASS)
    old, new = before[both], after[both]
    if not old.size:
        return []
    questions = [Question("change_share", percent_tens(np.count_nonzero(old != new) / old.size))]
    gains: dict[str, float] = {}
    for code, name in LAND_CLASSES.items():
        first, second = np.mean(old == code), np.mean(new == code)
        gain = gains[name] = float(second - first)
        if max(first, second) < PRESENCE_SHARE:
            continue
        if gain >= CHANGE_MARGIN or gain <= 0:
            questions.append(Question("change_more", _yes_no(gain > 0), (name,)))
        if gain <= -CHANGE_MARGIN or gain >= 0:
            questions.append(Question("change_less", _yes_no(gain < 0), (name,)))
    for form, sign in (("change_gain", 1), ("change_loss", -1)):
        (second, _), (first, name) = sorted((sign * gain, name) for name, gain in gains.items())[-2:]
        if first >= CHANGE_MARGIN and first - second >= CHANGE_RANK_MARGIN:
            questions.append(Question(form, name))
    return questions


def answer_text(question: Question, lang: str) -> str:
    """Short answer in a language: "yes"/"是", "forest"/"林地", "40%", "3", "12 ha"/"12公顷"."""
    if question.unit:
        return question.answer.split()[0] + UNIT_SYMBOLS[lang][question.unit]
    return ANSWER_WORDS[lang].get(question.answer, question.answer)


def question_text(
    question: Question, lang: str, rng: np.random.Generator, images: Mapping[str, str] | None = None
) -> str:
    """Word a question with one of its phrasings.

    Args:
        question: what to ask.
        lang: "zh" or "en".
        rng: picks the phrasing.
        images: names for the slots img, img1, img2; by default "the image", "the first image" ...

    Returns:
        The question, without image placeholders.
    """
    templates = TEMPLATES[question.form][lang]
    slots = dict(IMAGE_NAMES[lang] if images is None else images)
    slots.update(zip(("a", "b"), (ANSWER_WORDS[lang][name] for name in question.classes), strict=False))
    if question.unit:
        slots["unit"] = UNIT_NAMES[lang][question.unit]
    return templates[int(rng.integers(len(templates)))].format(**slots, **question.slots)
