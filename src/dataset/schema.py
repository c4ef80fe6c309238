"""The canonical dialogue: what every converter produces and training, evaluation and chat consume.

Text in a turn never holds a special token of the model: ``split_text`` and
``text_part`` break such tokens visibly ("<|im_end|>" becomes "< |im_end|>"),
so user text cannot forge structure or image placeholders.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from src.constants import escape_special
from src.errors import InputError

Part = dict[str, str]

IMAGE: Part = {"type": "image"}
VIDEO: Part = {"type": "video"}

ROLES = {
    "system": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
}


@dataclass(frozen=True)
class Turn:
    """One message.

    Args:
        role: "system", "user" or "assistant".
        content: parts in reading order: {"type": "text", "text": ...}, {"type": "image"} or {"type": "video"}.
    """

    role: str
    content: tuple[Part, ...]

    def text(self) -> str:
        """All text parts joined, media left out."""
        return "".join(part["text"] for part in self.content if part["type"] == "text")

    def count(self, kind: str) -> int:
        """Number of parts of one kind ("text", "image" or "video")."""
        return sum(part["type"] == kind for part in self.content)


@dataclass(frozen=True)
class Conversation:
    """One row of training or evaluation data.

    Args:
        id: unique within its file where the source gives ids, else the row's position.
        images: paths, in the order of the image parts over the whole dialogue.
        videos: paths, in the order of the video parts.
        turns: an optional system turn, then user and assistant in alternation, assistant last.
        meta: what else the source says, for example question_type, source, license.
    """

    id: str
    images: tuple[str, ...]
    videos: tuple[str, ...]
    turns: tuple[Turn, ...]
    meta: dict[str, Any] = field(default_factory=dict)

    def messages(self) -> list[dict[str, Any]]:
        """The turns as ``apply_chat_template`` takes them: every content is a list of parts."""
        return [{"role": turn.role, "content": [dict(part) for part in turn.content]} for turn in self.turns]


def text_part(text: str) -> Part:
    """A text part with its special tokens escaped."""
    return {"type": "text", "text": escape_special(text)}


def split_text(text: str, placeholder: str, part_of: Callable[[str], Part]) -> tuple[Part, ...]:
    """Cut a text at its media placeholders.

    A placeholder that stands alone on its line takes the line break with it,
    as LLaVA's convention of "<image>", newline, question expects.

    Args:
        text: one message with placeholders in it.
        placeholder: regular expression of a placeholder, without groups.
        part_of: placeholder as written -> the part it stands for.

    Example:
        >>> split_text("<image>\\nIs there water?", "<image>", lambda tag: IMAGE)
        ({'type': 'image'}, {'type': 'text', 'text': 'Is there water?'})
    """
    parts: list[Part] = []
    position = 0
    for match in re.finditer(placeholder, text):
        start, end = match.span()
        if start == 0 or text[start - 1] == "\n":
            if text[end : end + 1] == "\n":
                end += 1
            elif end == len(text):
                start -= 1
        if start > position:
            parts.append(text_part(text[position:start]))
        parts.append(part_of(match.group()))
        position = end
    if position < len(text):
        parts.append(text_part(text[position:]))
    return tuple(parts)


def check(conversation: Conversation) -> None:
    """Refuse a conversation that cannot be trained on.

    Raises:
        InputError: no turns, roles out of order, an empty turn, media outside user turns, or a
            number of placeholders that differs from the number of images or videos.
    """
    if not conversation.turns:
        raise InputError("empty conversation: at least one user and one assistant turn are needed")
    roles = [turn.role for turn in conversation.turns]
    if "assistant" not in roles:
        raise InputError(f"no assistant turn: roles are {roles}")
    body = roles[1:] if roles[0] == "system" else roles
    for position, role in enumerate(body):
        expected = "assistant" if position % 2 else "user"
        if role != expected:
            raise InputError(
                f"wrong role order: turn {position + len(roles) - len(body)} is {role!r}, expected {expected!r}"
                " (an optional system turn, then user and assistant in alternation)"
            )
    if body[-1] != "assistant":
        raise InputError("wrong role order: the last turn is 'user', expected 'assistant'")
    for position, turn in enumerate(conversation.turns):
        _check_turn(position, turn)
    for kind, paths in (("image", conversation.images), ("video", conversation.videos)):
        placeholders = sum(turn.count(kind) for turn in conversation.turns)
        if placeholders != len(paths):
            raise InputError(f"{placeholders} {kind} placeholders for {len(paths)} {kind}s: the numbers must agree")


def _check_turn(position: int, turn: Turn) -> None:
    if turn.role == "assistant" and not turn.text().strip():
        raise InputError(f"empty answer: turn {position} of the assistant has no text")
    if turn.role == "user" and not turn.count("image") + turn.count("video") and not turn.text().strip():
        raise InputError(f"empty question: turn {position} of the user has neither text nor media")
    if turn.role != "user" and turn.count("image") + turn.count("video"):
        raise InputError(f"media placeholder in turn {position} of the {turn.role}: only user turns may show media")
