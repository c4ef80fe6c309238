"""OpenAI-style content parts: {"messages": [{"role", "content": [{"type": "image_url", "image_url": ...}, ...]}]}.

The image is an object {"url": ...}, a string, or stands under "value"
(LLaMA-Factory v1); Qwen's {"type": "image", "image": path} is read too.
"""

from typing import Any

from src.dataset.converters.common import Converter, Row, conversation, raw_turns, text_of
from src.dataset.schema import IMAGE, VIDEO, Conversation, Part, Turn, text_part
from src.errors import InputError

_MEDIA = {"image_url": IMAGE, "image": IMAGE, "video_url": VIDEO, "video": VIDEO}


def has_content_parts(row: Row) -> bool:
    """True where some turn's content is a list of parts."""
    messages = row.get("messages")
    return isinstance(messages, list) and any(
        isinstance(message, dict) and isinstance(message.get("content"), list) for message in messages
    )


def _media_path(position: int, part: Row) -> str:
    value = part.get(part["type"], part.get("value"))
    path = value.get("url") if isinstance(value, dict) else value
    if not isinstance(path, str) or not path:
        raise InputError(f"turn {position}: {part['type']} is {str(value)[:80]!r}, expected a path or {{'url': path}}")
    if path.startswith("data:"):
        raise InputError(f"turn {position}: base64 images are not read from rows; save the image to a file")
    return path


def _convert(row: Row, default_id: str) -> Conversation:
    turns = []
    images: list[str] = []
    videos: list[str] = []
    for position, (role, content) in enumerate(raw_turns(row)):
        items: list[Any] = content if isinstance(content, list) else [{"type": "text", "text": content}]
        parts: list[Part] = []
        for item in items:
            kind = item.get("type") if isinstance(item, dict) else None
            if kind == "text":
                parts.append(text_part(text_of(position, item.get("text", item.get("value")))))
            elif kind in _MEDIA:
                parts.append(_MEDIA[kind])
                (images if _MEDIA[kind] is IMAGE else videos).append(_media_path(position, item))
            else:
                raise InputError(f"turn {position}: unknown content part {str(item)[:80]!r}, not text or image_url")
        turns.append(Turn(role, tuple(parts)))
    return conversation({**row, "videos": videos}, default_id, tuple(turns), images)


OPENAI = Converter(has_content_parts, _convert)
