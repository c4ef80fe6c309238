"""Conversations to GRPO rows: a prompt with its images, and what the rewards need.

TRL takes a ``datasets.Dataset`` with a conversational prompt and ``images``;
every other column reaches the reward functions. Pixels are decoded when a row
is read, and the last ones are kept, because TRL reads each prompt once per
generation and accumulation step.
"""

import functools
import json
import logging
from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from PIL import Image

from src.dataset.schema import Conversation
from src.dataset.sft_dataset import MediaOptions
from src.errors import InputError

logger = logging.getLogger(__name__)


def build_grpo_dataset(
    conversations: Sequence[Conversation], processor: Any, media: MediaOptions, max_prompt_length: int = 0
) -> Dataset:
    """Turn question-answer rows into a GRPO dataset; the last assistant turn is the reference.

    Args:
        conversations: rows; a dialogue keeps its earlier turns in the prompt.
        processor: for counting text tokens.
        media: how images are read.
        max_prompt_length: longest prompt in text tokens, visual ones not
            counted; longer rows are left out and counted. 0 means no limit.

    Returns:
        Dataset with prompt (list of messages), images (list of PIL images),
        question, answer, question_type.

    Raises:
        InputError: a row has a video, or no row is left.
    """
    rows, too_long = [], 0
    for index in range(len(conversations)):
        row = _row(conversations[index])
        if max_prompt_length and _text_tokens(row, processor) > max_prompt_length:
            too_long += 1
        else:
            rows.append(row)
    if too_long:
        total = len(conversations)
        logger.warning("--max_prompt_length %d leaves out %d of %d rows", max_prompt_length, too_long, total)
    if not rows:
        raise InputError(f"no row has a prompt of at most {max_prompt_length} text tokens: raise --max_prompt_length")
    dataset = Dataset.from_list(rows)
    dataset.set_transform(_Decoder(media))
    return dataset


def _row(conversation: Conversation) -> dict[str, Any]:
    if conversation.videos:
        raise InputError(f"row {conversation.id}: GRPO takes images only; use its frames as images")
    prompt = conversation.messages()[:-1]
    return {
        "prompt": json.dumps(prompt, ensure_ascii=False),
        "images": list(conversation.images),
        "question": conversation.turns[-2].text().strip(),
        "answer": conversation.turns[-1].text().strip(),
        "question_type": conversation.meta.get("question_type"),
    }


def _text_tokens(row: dict[str, Any], processor: Any) -> int:
    text = processor.apply_chat_template(json.loads(row["prompt"]), tokenize=False, add_generation_prompt=True)
    return len(processor.tokenizer(text)["input_ids"]) - len(row["images"])


class _Decoder:
    """Batch transform of ``datasets``: parses prompts and opens images."""

    def __init__(self, media: MediaOptions) -> None:
        self._media = media
        # TRL reads the rows of one generation batch again and again; 256 covers a batch of distinct images.
        self._open = functools.lru_cache(maxsize=256)(self._read)

    def _read(self, path: str) -> Image.Image:
        return self._media.read(path)

    def __call__(self, batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        decoded = dict(batch)
        if "prompt" in batch:
            decoded["prompt"] = [json.loads(prompt) for prompt in batch["prompt"]]
        if "images" in batch:
            decoded["images"] = [[self._open(path) for path in paths] for paths in batch["images"]]
        return decoded

    def __reduce__(self) -> tuple[Any, ...]:
        return _Decoder, (self._media,)
