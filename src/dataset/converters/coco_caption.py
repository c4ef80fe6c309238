"""COCO-caption style: "<|vision_start|>path<|vision_end|>" in the text.

With "<|image_pad|>" between the tokens, or nothing, the path comes from the field "image".
"""

import re

from src.constants import IMAGE_PAD, VISION_END, VISION_START
from src.dataset.converters.common import Converter, Row, conversation, inline_turns, texts
from src.dataset.schema import Conversation

_TAG = rf"{re.escape(VISION_START)}(?:[^<>\n]*|(?:{re.escape(IMAGE_PAD)})+){re.escape(VISION_END)}"


def _matches(row: Row) -> bool:
    return any(re.search(_TAG, text) for text in texts(row))


def _path_in(tag: str) -> str:
    return tag[len(VISION_START) : -len(VISION_END)].replace(IMAGE_PAD, "").strip()


def _convert(row: Row, default_id: str) -> Conversation:
    turns, images = inline_turns(row, _TAG, _path_in)
    return conversation(row, default_id, turns, images)


COCO_CAPTION = Converter(_matches, _convert)
