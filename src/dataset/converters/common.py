"""What the dialogue converters share: reading turns, paths and leftover fields of a row."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from src.dataset.schema import IMAGE, ROLES, VIDEO, Conversation, Part, Turn, split_text, text_part
from src.errors import InputError

Row = dict[str, Any]


@dataclass(frozen=True)
class Converter:
    """How rows of one format become conversations.

    Args:
        matches: True where a row shows this format beyond doubt (its placeholder or its shape).
        convert: (row, default id) -> conversation with media paths as the row writes them;
            raises InputError with the reason where it cannot.
    """

    matches: Callable[[Row], bool]
    convert: Callable[[Row, str], Conversation]


TURN_KEYS = ("conversations", "conversation", "messages")
_IMAGE_KEYS = ("image", "images")
_VIDEO_KEYS = ("video", "videos")
_USED = {"id", "system", *TURN_KEYS, *_IMAGE_KEYS, *_VIDEO_KEYS}
_INLINE_MEDIA = re.compile(r"<img>[^<>\n]*</img>|<\|vision_start\|>[^<>\n]+<\|vision_end\|>")
_PARTS = {"<image>": IMAGE, "<ImageHere>": IMAGE, "<video>": VIDEO}


def raw_turns(row: Row) -> list[tuple[str, Any]]:
    """The (role, value) pairs of a row, roles in canonical names.

    Raises:
        InputError: no list of turns, a turn that is no object, an unknown role.
    """
    messages = next((row[key] for key in TURN_KEYS if key in row), None)
    if not isinstance(messages, list):
        raise InputError(f"no list of turns under {' or '.join(TURN_KEYS)}: the row has {sorted(row)}")
    turns = [_raw_turn(position, message) for position, message in enumerate(messages)]
    if row.get("system") and turns and turns[0][0] != "system":
        turns.insert(0, ("system", row["system"]))
    return turns


def _raw_turn(position: int, message: Any) -> tuple[str, Any]:
    if not isinstance(message, dict):
        raise InputError(f"turn {position} is {type(message).__name__}, expected an object with a role and a text")
    role = message.get("from", message.get("role"))
    if not isinstance(role, str) or role not in ROLES:
        raise InputError(f"unknown role {role!r} in turn {position}: expected one of {', '.join(ROLES)}")
    return ROLES[role], message.get("value", message.get("content"))


def texts(row: Row) -> list[str]:
    """All string values of a row's turns; empty where the row is malformed."""
    try:
        return [value for _, value in raw_turns(row) if isinstance(value, str)]
    except InputError:
        return []


def text_of(position: int, value: Any) -> str:
    """The text of a turn.

    Raises:
        InputError: it is not a string.
    """
    if not isinstance(value, str):
        raise InputError(f"non-string text in turn {position}: {type(value).__name__}, expected a string")
    return value


def paths(row: Row, keys: Iterable[str]) -> list[str]:
    """Media paths under the first of some keys: a string, a list of strings, or nothing.

    Raises:
        InputError: anything else.
    """
    value: Any = next((row[key] for key in keys if row.get(key) is not None), [])
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list) or not all(isinstance(path, str) and path for path in found):
        raise InputError(f"{'/'.join(keys)} is {str(value)[:80]!r}, expected a path or a list of paths")
    return found


def image_paths(row: Row) -> list[str]:
    """Paths under "image" or "images"."""
    return paths(row, _IMAGE_KEYS)


def tagged_turns(row: Row, image_tag: str) -> tuple[Turn, ...]:
    """Turns whose texts mark media by a fixed tag.

    Raises:
        InputError: as ``raw_turns``, or a text that names a media file inline, as other formats do.
    """
    turns = []
    for position, (role, value) in enumerate(raw_turns(row)):
        text = text_of(position, value)
        inline = _INLINE_MEDIA.search(text)
        if inline:
            raise InputError(
                f"turn {position} names a file inside its text ({inline.group()[:80]!r}): "
                "this is the qwen_vl or coco_caption format; set --data_format"
            )
        turns.append(Turn(role, split_text(text, f"{re.escape(image_tag)}|<video>", _PARTS.__getitem__)))
    return tuple(turns)


def inline_turns(row: Row, tag: str, path_in: Callable[[str], str]) -> tuple[tuple[Turn, ...], list[str]]:
    """Turns whose texts carry the image paths themselves.

    Args:
        row: the row; its "image" field feeds the tags that carry no path, in order.
        tag: regular expression of a tag, without groups.
        path_in: tag as written -> the path it carries, or "".

    Returns:
        The turns, and the image paths in reading order.
    """
    unnamed = image_paths(row)
    found: list[str] = []

    def part_of(written: str) -> Part:
        path = path_in(written) or (unnamed.pop(0) if unnamed else "")
        if path:
            found.append(path)
        return IMAGE

    turns = tuple(
        Turn(role, split_text(text_of(position, value), tag, part_of))
        for position, (role, value) in enumerate(raw_turns(row))
    )
    # What no tag has used stays in the list, so that the count mismatch is seen.
    return turns, found + unnamed


def conversation(row: Row, default_id: str, turns: tuple[Turn, ...], images: list[str]) -> Conversation:
    """Put a row's parts together; simple leftover fields become ``meta``."""
    meta = {key: value for key, value in row.items() if key not in _USED and isinstance(value, str | int | float)}
    row_id = row.get("id")
    return Conversation(
        id=default_id if row_id is None else str(row_id),
        images=tuple(images),
        videos=tuple(paths(row, _VIDEO_KEYS)),
        turns=turns,
        meta=meta,
    )


def plain_turn(role: str, text: str, *, image_first: bool = False) -> Turn:
    """A turn of one text, after one image where asked for."""
    return Turn(role, ((IMAGE,) if image_first else ()) + (text_part(text),))
