"""MMDU and MMDU-45k: roles "user" and "assistant", "<ImageHere>", paths such as "/mmdu_pics/1.jpg".

The leading slash does not mean the root of the disk: paths are relative to the
image folder. https://github.com/Liuziyu77/MMDU
"""

from src.dataset.converters.common import Converter, Row, conversation, image_paths, tagged_turns, texts
from src.dataset.schema import Conversation


def _matches(row: Row) -> bool:
    return any("<ImageHere>" in text for text in texts(row))


def _convert(row: Row, default_id: str) -> Conversation:
    images = [path.lstrip("/") for path in image_paths(row)]
    return conversation(row, default_id, tagged_turns(row, "<ImageHere>"), images)


MMDU = Converter(_matches, _convert)
