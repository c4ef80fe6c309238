"""What counts as the same answer: RSVQA's published classes and binning, and the land-use questions.

A *kind* turns a text into its class, or None where the whole text is no answer
of that kind. Published rules followed here:
- binning: VQA_model/VocabEncoder.py of https://github.com/syvlo/RSVQA (commit 3c445ff);
- types and accuracies: VQA_model/computeStats.py there; Model.ipynb of https://github.com/syvlo/RSVQAxBEN (7e8e922);
- the other spelling of the bins ("between 1 and 10"): rsvqa_lr.py of https://github.com/google-research/big_vision.
Nothing here is shared with the training reward, so an error there cannot hide here.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from src.constants import LAND_CLASS_NAMES

Label = str | float
_BINS = (
    (0, "0{u}"),
    (10, "between 0{u} and 10{u}"),
    (100, "between 10{u} and 100{u}"),
    (1000, "between 100{u} and 1000{u}"),
)
_ABOVE = "more than 1000{u}"
# Both spellings of the lower end: 10-100 of RSVQA is 11-100 elsewhere.
_RANGES = {(0, 10): 10, (1, 10): 10, (10, 100): 100, (11, 100): 100, (100, 1000): 1000, (101, 1000): 1000}
_RANGE = re.compile(r"between (\d+) ?(m2)? and (\d+) ?(m2)?")
_AREA_UNITS_M2 = {"m2": 1.0, "平方米": 1.0, "ha": 1e4, "公顷": 1e4, "km2": 1e6, "平方公里": 1e6}
_AREA_UNITS_M2 |= {"mu": 2000 / 3, "亩": 2000 / 3}
# A land-use area in words is right within this share of the reference.
AREA_TOLERANCE = 0.10
_WORDS = {"是": "yes", "有": "yes", "否": "no", "不是": "no", "没有": "no", "农村": "rural", "城市": "urban"}
_CLASSES = {word.casefold(): key for key, words in LAND_CLASS_NAMES.items() for word in words.values()}


def normalized(text: str) -> str:
    """NFKC (so that ㎡ is m2), lower case, single spaces, no full stop or question mark at the end."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(" .?!。")


def binned(value: int, unit: str = "") -> str:
    """RSVQA's bin of a count (``unit`` "") or of an area (``unit`` "m2").

    Example:
        >>> binned(10), binned(11), binned(1000), binned(1001)
        ('between 0 and 10', 'between 10 and 100', 'between 100 and 1000', 'more than 1000')
    """
    return next((name for limit, name in _BINS if value <= limit), _ABOVE).format(u=unit)


def _bin_of_range(text: str, unit: str) -> str | None:
    if text in (f"more than 1000{unit}", f"more than 1000 {unit}".strip()):
        return _ABOVE.format(u=unit)
    found = _RANGE.fullmatch(text)
    if not found or (found[4] or "") != unit or (found[2] or unit) != unit:
        return None
    limit = _RANGES.get((int(found[1]), int(found[3])))
    return binned(limit, unit) if limit else None


def _one_of(*words: str) -> Callable[[str], Label | None]:
    return lambda text: text if text in words else None


def _count(text: str) -> Label | None:
    return str(int(text)) if re.fullmatch(r"[0-9]+", text) else None


def _binned_count(text: str) -> Label | None:
    return binned(int(text)) if re.fullmatch(r"[0-9]+", text) else _bin_of_range(text, "")


def _binned_area(text: str) -> Label | None:
    # The published answers are whole: ConstructQuestions.py writes str(int(area)) + "m2".
    found = re.fullmatch(r"([0-9]+)(\.[0-9]+)? ?m2", text)
    return binned(int(found[1]), "m2") if found else _bin_of_range(text, "m2")


def _class_list(text: str) -> Label | None:
    return text if text and text not in ("yes", "no") else None


def _percent(text: str) -> Label | None:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?%", text)
    return float(found[1]) if found else None


def _area(text: str) -> Label | None:
    found = re.fullmatch(rf"([0-9]+(?:\.[0-9]+)?) ?({'|'.join(_AREA_UNITS_M2)})", text)
    return float(found[1]) * _AREA_UNITS_M2[found[2]] if found else None


def _yes_no(text: str) -> Label | None:
    word = _WORDS.get(text, text)
    return word if word in ("yes", "no") else None


def _rural_urban(text: str) -> Label | None:
    word = _WORDS.get(text, text)
    return word if word in ("rural", "urban") else None


def _land_class(text: str) -> Label | None:
    return _CLASSES.get(text)


def _yes_no_or_class(text: str) -> Label | None:
    return _yes_no(text) or _land_class(text)


def _equal(found: Label, reference: Label) -> bool:
    return found == reference


def _near(found: Label, reference: Label) -> bool:
    return abs(float(found) - float(reference)) <= AREA_TOLERANCE * abs(float(reference)) + 1e-9


@dataclass(frozen=True)
class Kind:
    """One way to read an answer.

    Args:
        parse: a normalized text as a class (or a number), None where it is none.
        find: pattern of such an answer inside a sentence; None where a sentence cannot be read.
        same: whether a class is the reference's.
    """

    parse: Callable[[str], Label | None]
    find: str | None = None
    same: Callable[[Label, Label], bool] = _equal

    def label(self, text: str) -> Label | None:
        """The class that the whole text names."""
        return self.parse(normalized(text))

    def label_in_words(self, text: str) -> Label | None:
        """The one class that the text names, anywhere; None where it names none or several.

        Example:
            >>> KINDS["rsvqa_lr"]["presence"].label_in_words("Yes, there is a road.")
            'yes'
        """
        whole = self.label(text)
        if whole is not None or self.find is None:
            return whole
        found = {self.parse(match[0]) for match in re.finditer(self.find, normalized(text))} - {None}
        return found.pop() if len(found) == 1 else None


# Numbers stand alone: neither the 5 of "-5" nor of "2.5" nor of "5 %" is a count.
_NUMBER = r"(?<![\w.,+-])[0-9]+(?![\w%]|[.,][0-9]| ?%)"
_YES_NO = r"\b(?:yes|no)\b"
_YES_NO_ZH = rf"{_YES_NO}|^(?:不是|没有|是|有|否)"
_SPAN = r"between \d+ ?(?:m2)? and \d+(?: ?m2)?|more than 1000(?: ?m2)?"
_AREA_FIND = rf"(?<![\w.,+-])[0-9]+(?:\.[0-9]+)? ?(?:{'|'.join(_AREA_UNITS_M2)})(?![a-z0-9])"
_CLASS_FIND = "|".join(re.escape(word) for word in sorted(_CLASSES, key=len, reverse=True))

KINDS: dict[str, Mapping[str, Kind]] = {
    "rsvqa_lr": {
        "rural_urban": Kind(_one_of("rural", "urban"), r"\b(?:rural|urban)\b"),
        "presence": Kind(_one_of("yes", "no"), _YES_NO),
        "count": Kind(_binned_count, f"{_SPAN}|{_NUMBER}"),
        "comp": Kind(_one_of("yes", "no"), _YES_NO),
    },
    "rsvqa_hr": {
        "area": Kind(_binned_area, rf"{_SPAN}|(?<![\w.,+-])[0-9]+(?:\.[0-9]+)? ?m2\b"),
        "presence": Kind(_one_of("yes", "no"), _YES_NO),
        "count": Kind(_count, _NUMBER),
        "comp": Kind(_one_of("yes", "no"), _YES_NO),
    },
    "rsvqa_xben": {
        "yes_no": Kind(_one_of("yes", "no"), _YES_NO),
        "land_cover": Kind(_class_list),
    },
    "landuse": {
        "presence": Kind(_yes_no, _YES_NO_ZH),
        "comp": Kind(_yes_no, _YES_NO_ZH),
        "rural_urban": Kind(_rural_urban, r"\b(?:rural|urban)\b|农村|城市"),
        "count": Kind(_count, r"(?<![0-9a-z.,+-])[0-9]+(?![0-9a-z%]|[.,][0-9]| ?%)"),
        "area": Kind(_area, _AREA_FIND, _near),
        "share": Kind(_percent, r"(?<![\w.,+-])[0-9]+(?:\.[0-9]+)? ?%"),
        "dominant": Kind(_land_class, _CLASS_FIND),
        "change": Kind(_yes_no_or_class, f"{_YES_NO_ZH}|{_CLASS_FIND}"),
        "change_share": Kind(_percent, r"(?<![\w.,+-])[0-9]+(?:\.[0-9]+)? ?%"),
    },
}
# What most papers average: they leave out every question with a number.
NON_NUMERIC = ("presence", "comp", "rural_urban")
# RSVQAxBEN scores only questions whose reference is one of the most frequent training answers.
XBEN_ANSWERS = 1000


def type_of(dataset: str, question_type: str | None, reference: str) -> str | None:
    """The type under which a question is scored; None where the dataset has none for it.

    RSVQAxBEN sorts by the reference (yes and no, or a list of classes), the others by the type in the data.
    """
    if dataset == "rsvqa_xben":
        return "yes_no" if normalized(reference) in ("yes", "no") else "land_cover"
    return question_type if question_type in KINDS[dataset] else None
