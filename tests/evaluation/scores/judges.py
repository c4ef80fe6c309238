"""Judges that are no models: one that reads, one that talks nonsense; and answers to judge."""

import argparse
import json
import math
import random
import re

from src.model.backend import NotScorable
from src.model.reply import Reply
from tests.tiny import picture


def text_of(messages):
    """All text of the one message, with <picture> where pictures stand."""
    parts = messages[0]["content"]
    return "".join(part["text"] if part["type"] == "text" else "<picture>" for part in parts)


def block(text, name):
    """What stands under a mark such as [Question]."""
    return re.search(rf"\[{name}\]\n(.*?)\n(?:\n\[|\[End)", text, re.S).group(1).strip()


def likeness(answer, reference):
    """Share of the reference's words in the answer."""
    words = set(reference.split())
    return len(words & set(answer.split())) / len(words)


class Reader:
    """Scores an answer by the words that it shares with the reference; explanations depend on the seed."""

    def __init__(self):
        self.asked, self.forgotten = [], 0

    def stream(self, messages, options, session):
        reply = Reply()
        drawn = random.Random(f"{options.seed if options.temperature else 0}{text_of(messages)}").random()
        reply.push(f"explained {drawn:.3f}")
        reply.finish("stop")
        return reply

    def score(self, messages, choices):
        text = text_of(messages)
        self.asked.append(text)
        if tuple(choices) == ("A", "B"):
            reference = block(text, "Reference answer")
            return [math.log(0.01 + likeness(block(text, f"Answer {name}"), reference)) for name in choices]
        # Kept answers with a different explanation move a little, so that a retest is no constant.
        answer = block(text, "Answer to grade")
        # Something strange is a little better than nothing.
        wanted = 1 + 0.5 * bool(answer) + 9 * likeness(answer, block(text, "Reference answer"))
        wanted += 0.3 * float((re.findall(r"explained ([\d.]+)", text) or [0])[0])
        return [-4 * (score - wanted) ** 2 for score in range(1, 11)]

    def generate(self, messages, **options):
        raise AssertionError("a judge with probabilities is not asked for JSON")

    def forget(self, session):
        self.forgotten += 1

    def status(self):
        return {"backend": "stub"}

    def close(self):
        pass


class FirstPlace(Reader):
    """Likes whatever stands first."""

    def score(self, messages, choices):
        return [math.log(0.9), math.log(0.1)] if tuple(choices) == ("A", "B") else super().score(messages, choices)


class Writer(Reader):
    """No probabilities: it replies with texts, one after the other; the last one repeats."""

    def __init__(self, *texts):
        super().__init__()
        self.texts, self.options = list(texts), []

    def score(self, messages, choices):
        raise NotScorable("no log-probabilities")

    def generate(self, messages, **options):
        self.asked.append(text_of(messages))
        self.options.append(options)
        return self.texts.pop(0) if len(self.texts) > 1 else self.texts[0]


def write_answers(folder, dialogues=3, turns=3, pictures=2, failed=((1, 2),)):
    """A folder as generate_answers.py writes it, pictures below its parent; returns the folder."""
    folder.mkdir(parents=True)
    for number in range(dialogues):
        names = [f"/pics/{number}_{index}.png" for index in range(pictures)]
        for index, name in enumerate(names):
            path = folder.parent / name.lstrip("/")
            path.parent.mkdir(exist_ok=True)
            picture(56, 56, seed=10 * number + index).save(path)
        lines = []
        for turn in range(turns):
            bad = (number, turn) in failed
            nouns = [f"noun{number}{turn}{letter}" for letter in "abcd"]
            lines.append(
                {
                    "id": str(number),
                    "turn": turn,
                    "question": f"What is in picture {turn + 1}?",
                    "answer": " ".join(nouns),
                    "prediction": "" if bad else " ".join(nouns[:2] + ["other"]),
                    "question_type": None,
                    "image_ids": names,
                    "status": "failed" if bad else "ok",
                    "tokens": 3,
                    "condition": "images",
                }
                | ({"reason": "no memory"} if bad else {})
            )
        content = {"id": str(number), "images": names, "turns": lines}
        (folder / f"{number}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def arguments(folder, **changes):
    """What the command line would give."""
    defaults = {
        "answers": folder,
        "judge": "stub",
        "api_base": None,
        "image_folder": folder.parent,
        "no_images": False,
        "judge_prompt": None,
        "explanation_tokens": 8,
        "retries": 2,
        "device": "cpu",
        "bits": 16,
        "context_tokens": 32768,
        "limit": None,
        "seed": 0,
        "answer_model": None,
        "strict": False,
    }
    return argparse.Namespace(**(defaults | changes))
