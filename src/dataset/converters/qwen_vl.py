"""Qwen-VL: "Picture 1: <img>path</img>" in the text, or an empty "<img></img>" fed by the field "image".

https://github.com/QwenLM/Qwen-VL#data-preparation
"""

import re

from src.dataset.converters.common import Converter, Row, conversation, inline_turns, texts
from src.dataset.schema import Conversation

_TAG = r"<img>[^<>\n]*</img>"


def _matches(row: Row) -> bool:
    return any(re.search(_TAG, text) for text in texts(row))


def _convert(row: Row, default_id: str) -> Conversation:
    turns, images = inline_turns(row, _TAG, lambda tag: tag[len("<img>") : -len("</img>")].strip())
    return conversation(row, default_id, turns, images)


QWEN_VL = Converter(_matches, _convert)
