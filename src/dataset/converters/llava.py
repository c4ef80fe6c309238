"""LLaVA: {"image": path or list, "conversations": [{"from": "human", "value": "<image>..."}, {"from": "gpt", ...}]}.

Also "bot" for the answers, the key "conversation", and "video" with "<video>".
https://github.com/haotian-liu/LLaVA/blob/main/docs/Finetune_Custom_Data.md
"""

from src.dataset.converters.common import Converter, Row, conversation, image_paths, tagged_turns, texts
from src.dataset.schema import Conversation


def _matches(row: Row) -> bool:
    return "messages" not in row and any("<image>" in text or "<video>" in text for text in texts(row))


def _convert(row: Row, default_id: str) -> Conversation:
    return conversation(row, default_id, tagged_turns(row, "<image>"), image_paths(row))


LLAVA = Converter(_matches, _convert)
