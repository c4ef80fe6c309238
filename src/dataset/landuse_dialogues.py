"""Multi-image, multi-turn dialogues in MMDU's form, answered from the labels.

Turns mix descriptions, class shares, comparisons across the images, change between two dates and
the short questions of landuse_questions. Shares are said in tens of percent, as in the questions.
"""

from collections.abc import Callable, Sequence

import numpy as np

from src.constants import LAND_CLASS_NAMES
from src.dataset.landuse_questions import (
    ChipFacts,
    Question,
    answer_text,
    pair_questions,
    percent_tens,
    question_text,
    single_questions,
)

TURNS = (3, 8)
COMPARE_IMAGES_MARGIN = 0.10
# Classes below this share round to 0 % and are left out of sentences.
SAID_SHARE = 0.05
Turn = tuple[str, str]

_ASK: dict[str, dict[str, tuple[str, ...]]] = {
    "describe_all": {
        "en": ("Describe the land use of each image.", "What does each image show?", "Please summarise all images."),
        "zh": ("请描述每幅图的土地利用情况。", "每幅图分别显示了什么？", "请概括各幅图的地类构成。"),
    },
    "describe": {
        "en": ("Describe the land use in {img}.", "What does {img} show?", "Give a short description of {img}."),
        "zh": ("请描述{img}的土地利用情况。", "{img}显示了什么？", "请简要描述{img}。"),
    },
    "shares": {
        "en": ("What are the class shares in {img}?", "List the land classes of {img} with their percentages."),
        "zh": ("{img}中各地类的占比分别是多少？", "请列出{img}的地类及其百分比。"),
    },
    "most": {
        "en": ("Which image has the most {a}?", "In which image does {a} cover the largest share?"),
        "zh": ("哪幅图的{a}最多？", "{a}占比最大的是哪幅图？"),
    },
    "differ": {
        "en": ("How do {img1} and {img2} differ?", "Compare {img2} with {img1}."),
        "zh": ("{img1}和{img2}有什么不同？", "请将{img2}与{img1}进行比较。"),
    },
    "changed": {
        "en": ("What changed between {img1} and {img2}?", "Describe the change from {img1} to {img2}."),
        "zh": ("从{img1}到{img2}发生了什么变化？", "请描述{img1}到{img2}的变化。"),
    },
}


def image_name(index: int, lang: str) -> str:
    """Name of the index-th image (from 0) in a dialogue: "Image 1" or "图1"."""
    return f"Image {index + 1}" if lang == "en" else f"图{index + 1}"


def _ask(kind: str, lang: str, rng: np.random.Generator, **slots: str) -> str:
    phrasings = _ASK[kind][lang]
    return phrasings[int(rng.integers(len(phrasings)))].format(**slots)


def _ranked(facts: ChipFacts) -> list[tuple[str, float]]:
    said = [(name, share) for name, share in facts.shares.items() if share >= SAID_SHARE]
    return sorted(said, key=lambda item: -item[1])


def describe(facts: ChipFacts, image: str, lang: str) -> str:
    """One sentence: the main class, then the others, each with its share in tens of percent."""
    (main, share), *others = _ranked(facts)
    name = LAND_CLASS_NAMES[main][lang]
    if lang == "en":
        text = f"{image} is mostly {name} (about {percent_tens(share)})"
        rest = [f"{LAND_CLASS_NAMES[other][lang]} (about {percent_tens(value)})" for other, value in others]
        return f"{text}, with {', '.join(rest)}." if rest else f"{text}."
    rest = [f"{LAND_CLASS_NAMES[other][lang]}（约{percent_tens(value)}）" for other, value in others]
    return f"{image}以{name}为主（约{percent_tens(share)}）" + (f"，另有{'、'.join(rest)}。" if rest else "。")


def list_shares(facts: ChipFacts, image: str, lang: str) -> str:
    """One sentence with the share of each class."""
    parts = [(LAND_CLASS_NAMES[name][lang], percent_tens(share)) for name, share in _ranked(facts)]
    if lang == "en":
        return f"In {image}: " + ", ".join(f"{name} about {share}" for name, share in parts) + "."
    return f"{image}中：" + "，".join(f"{name}约{share}" for name, share in parts) + "。"


def _changes(before: ChipFacts, after: ChipFacts, lang: str) -> list[str]:
    """Clauses on classes that moved by a visible step, largest first."""
    moves = sorted(
        ((after.shares[name] - before.shares[name], name) for name in before.shares),
        key=lambda move: -round(abs(move[0]), 6),
    )
    clauses = []
    for gain, key in moves:
        old, new = percent_tens(before.shares[key]), percent_tens(after.shares[key])
        if old == new or abs(gain) < SAID_SHARE:
            continue
        name = LAND_CLASS_NAMES[key][lang]
        if lang == "en":
            clauses.append(f"{name} {'rose' if gain > 0 else 'fell'} from about {old} to about {new}")
        else:
            clauses.append(f"{name}由约{old}{'增加' if gain > 0 else '减少'}到约{new}")
    return clauses


def _change_turn(facts: Sequence[ChipFacts], labels: Sequence[np.ndarray], lang: str, rng: np.random.Generator) -> Turn:
    names = {"img1": image_name(0, lang), "img2": image_name(1, lang)}
    share = percent_tens(float(np.count_nonzero(labels[0] != labels[1])) / labels[0].size)
    clauses = _changes(facts[0], facts[1], lang)
    if lang == "en":
        text = f"About {share} of the land changed class" if share != "0%" else "Little of the land changed class"
        answer = f"{text}: {', '.join(clauses)}." if clauses else f"{text}; the class shares stayed about the same."
    else:
        text = f"约{share}的土地改变了地类" if share != "0%" else "地类基本没有变化"
        answer = f"{text}：{'，'.join(clauses)}。" if clauses else f"{text}，各地类占比大致不变。"
    return _ask("changed", lang, rng, **names), answer


def _most_turn(facts: Sequence[ChipFacts], lang: str, rng: np.random.Generator) -> Turn | None:
    """Which image has the most of a class; None where no class has a clear winner."""
    names = list(facts[0].shares)
    for key in rng.permutation(names):
        order = sorted(range(len(facts)), key=lambda i: -facts[i].shares[str(key)])
        first, second = (facts[i].shares[str(key)] for i in order[:2])
        if first - second < COMPARE_IMAGES_MARGIN:
            continue
        name = LAND_CLASS_NAMES[str(key)][lang]
        best, other = image_name(order[0], lang), image_name(order[1], lang)
        question = _ask("most", lang, rng, a=name)
        top, next_best = percent_tens(first), percent_tens(second)
        if lang == "en":
            return question, f"{best} has the most {name}, about {top}, against about {next_best} in {other}."
        return question, f"{best}的{name}最多，约{top}；{other}约{next_best}。"
    return None


def _differ_turn(facts: Sequence[ChipFacts], lang: str, rng: np.random.Generator) -> Turn:
    i, j = sorted(int(k) for k in rng.choice(len(facts), 2, replace=False))
    first, second = image_name(i, lang), image_name(j, lang)
    question = _ask("differ", lang, rng, img1=first, img2=second)
    return question, f"{describe(facts[i], first, lang)} {describe(facts[j], second, lang)}".replace("。 ", "。")


def _short_turn(questions: Sequence[Question], images: dict[str, str], lang: str, rng: np.random.Generator) -> Turn:
    # First the form, then the question, so that the many comparisons do not crowd out the rest.
    forms = sorted({question.form for question in questions})
    form = forms[int(rng.integers(len(forms)))]
    chosen = [question for question in questions if question.form == form]
    question = chosen[int(rng.integers(len(chosen)))]
    return question_text(question, lang, rng, images), answer_text(question, lang)


def dialogue_turns(
    facts: Sequence[ChipFacts], labels: Sequence[np.ndarray], *, same_place: bool, lang: str, rng: np.random.Generator
) -> list[Turn]:
    """Make a dialogue about 2-4 images.

    Args:
        facts: one per image, complete, in image order.
        labels: (H, W) uint8 per image.
        same_place: whether the first two images are two dates of one place, earlier first.
        lang: "zh" or "en".
        rng: picks turns and phrasings.

    Returns:
        Between 3 and 8 (question, answer) turns, no question twice; the first has no placeholders yet.
    """

    def describe_all() -> Turn:
        sentences = [describe(item, image_name(i, lang), lang) for i, item in enumerate(facts)]
        return _ask("describe_all", lang, rng), (" " if lang == "en" else "").join(sentences)

    def about_one(kind: str, say: Callable[[ChipFacts, str, str], str]) -> Turn:
        i = int(rng.integers(len(facts)))
        image = image_name(i, lang)
        return _ask(kind, lang, rng, img=image), say(facts[i], image, lang)

    def short_single() -> Turn:
        i = int(rng.integers(len(facts)))
        return _short_turn(single_questions(facts[i]), {"img": image_name(i, lang)}, lang, rng)

    def short_pair() -> Turn:
        names = {"img1": image_name(0, lang), "img2": image_name(1, lang)}
        return _short_turn(pair_questions(labels[0], labels[1]), names, lang, rng)

    makers: list[Callable[[], Turn | None]] = [
        describe_all,
        lambda: about_one("describe", describe),
        lambda: about_one("shares", list_shares),
        lambda: _most_turn(facts, lang, rng),
        short_single,
        short_single,
    ]
    if same_place:
        makers += [lambda: _change_turn(facts, labels, lang, rng), short_pair, short_pair]
    else:
        makers += [lambda: _differ_turn(facts, lang, rng), short_single]
    return _gather(makers, rng)


def _gather(makers: Sequence[Callable[[], Turn | None]], rng: np.random.Generator) -> list[Turn]:
    """Call the makers, each once and then at random, until there are enough different questions."""
    wanted = int(rng.integers(TURNS[0], TURNS[1] + 1))
    turns: dict[str, str] = {}
    for i in [*rng.permutation(len(makers)), *rng.integers(len(makers), size=4 * TURNS[1])]:
        turn = makers[int(i)]() if len(turns) < wanted else None
        if turn is not None:
            turns.setdefault(*turn)
    return list(turns.items())
