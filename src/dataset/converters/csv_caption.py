"""CSV captions: columns image_path and caption; each row becomes one question and answer about one image."""

import re

from src.dataset.converters.common import Converter, Row, plain_turn
from src.dataset.schema import Conversation
from src.errors import InputError

# The request stands in the caption's language.
REQUEST = {"zh": "请描述这张图像。", "en": "Describe this image."}


def _matches(row: Row) -> bool:
    return {"image_path", "caption"} <= row.keys()


def _convert(row: Row, default_id: str) -> Conversation:
    if not _matches(row):
        raise InputError(f"columns are {sorted(map(str, row))}, expected image_path and caption")
    path, caption = row["image_path"], row["caption"]
    if not path:
        raise InputError("image_path is empty, expected a path")
    language = "zh" if re.search("[\u4e00-\u9fff]", caption or "") else "en"
    return Conversation(
        id=row.get("id") or default_id,
        images=(path.strip(),),
        videos=(),
        turns=(plain_turn("user", REQUEST[language], image_first=True), plain_turn("assistant", caption or "")),
        meta={key: value for key, value in row.items() if key not in ("id", "image_path", "caption") and value},
    )


CSV_CAPTION = Converter(_matches, _convert)
