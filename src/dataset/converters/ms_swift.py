"""ms-swift: {"messages": [{"role", "content": "<image>..."}], "images": path or list}.

https://swift.readthedocs.io/en/latest/Customization/Custom-dataset.html
"""

from src.dataset.converters.common import Converter, Row, conversation, image_paths, tagged_turns, texts
from src.dataset.converters.openai import has_content_parts
from src.dataset.schema import Conversation


def _matches(row: Row) -> bool:
    if "messages" not in row or has_content_parts(row):
        return False
    return bool({"images", "image", "videos"} & row.keys()) or any("<image>" in text for text in texts(row))


def _convert(row: Row, default_id: str) -> Conversation:
    return conversation(row, default_id, tagged_turns(row, "<image>"), image_paths(row))


MS_SWIFT = Converter(_matches, _convert)
