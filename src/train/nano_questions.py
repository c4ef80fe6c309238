"""Many independent questions about one picture in one training sample.

Asked one after the other in a dialogue, questions about the same picture answer
each other: a model learns to copy a share from an area that it was told two turns
ago, and never looks. Here each question sees the picture and itself alone: all
share the picture's tokens as a common prefix, each continues the prefix's rotary
positions, and the attention mask keeps them apart. The picture is encoded once,
and every answer has to come from it.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from src.constants import IGNORE_INDEX, IM_END, IM_START, VISION_END
from src.dataset.collate import SftCollator
from src.dataset.schema import Conversation
from src.dataset.sft_dataset import MediaOptions, assistant_labels, encode

_PADDING = -1
_ROLE = f"{IM_START}assistant\n"


def group_questions(rows: Sequence[Conversation], most: int, rng: random.Random) -> list[list[Conversation]]:
    """Single questions about the same picture, in random groups of at most ``most``, groups in random order."""
    by_picture: dict[tuple[str, ...], list[Conversation]] = defaultdict(list)
    for row in rows:
        by_picture[row.images].append(row)
    groups = []
    for questions in by_picture.values():
        rng.shuffle(questions)
        groups += [questions[start : start + most] for start in range(0, len(questions), most)]
    rng.shuffle(groups)
    return groups


def encode_group(group: Sequence[Conversation], processor: Any, media: MediaOptions) -> dict[str, torch.Tensor]:
    """One sample of several independent questions about one picture.

    Args:
        group: rows of one question and one answer each, all about the same one picture.
        processor: tokenizer and image processor.
        media: pixel budget and augmentation.

    Returns:
        input_ids and labels (T,) int64; segments (T,) int64, 0 for the common prefix, k for the k-th question;
        position_ids (3, T) int64, rotary positions (time, row, column); pixel_values and image_grid_thw as of
        ``encode``.
    """
    tokenizer = processor.tokenizer
    first = encode(group[0], processor, media)
    ids = first["input_ids"]
    cut = int((ids == tokenizer.convert_tokens_to_ids(VISION_END)).nonzero()[-1]) + 1
    prefix = _prefix_positions(first, cut, processor)
    header, end = tokenizer.encode(_ROLE, add_special_tokens=False), tokenizer.convert_tokens_to_ids(IM_END)
    parts, segments, positions = [ids[:cut]], [torch.zeros(cut, dtype=torch.long)], [prefix]
    for number, row in enumerate(group, start=1):
        question, answer = (turn.text().strip() for turn in row.turns[-2:])
        text = f"{question}{IM_END}\n{_ROLE}{answer}{IM_END}"
        tokens = torch.tensor(tokenizer.encode(text, add_special_tokens=False))
        steps = int(prefix.max()) + 1 + torch.arange(len(tokens))
        parts.append(tokens)
        segments.append(torch.full_like(tokens, number))
        positions.append(steps.expand(3, -1))
    input_ids = torch.cat(parts)
    return {
        "input_ids": input_ids,
        "labels": assistant_labels(input_ids, header, end),
        "segments": torch.cat(segments),
        "position_ids": torch.cat(positions, dim=1),
        "pixel_values": first["pixel_values"],
        "image_grid_thw": first["image_grid_thw"],
    }


def _prefix_positions(sample: dict[str, torch.Tensor], cut: int, processor: Any) -> torch.Tensor:
    """Rotary positions (3, cut) of text, one picture, text: as the model's ``get_rope_index`` numbers them."""
    is_picture = sample["mm_token_type_ids"][:cut] > 0
    start = int(is_picture.nonzero()[0])
    merge = processor.image_processor.merge_size
    rows, cols = (int(n) // merge for n in sample["image_grid_thw"][0, 1:])
    grid = torch.stack(
        [
            torch.zeros(rows * cols, dtype=torch.long),
            torch.arange(rows).repeat_interleave(cols),
            torch.arange(cols).repeat(rows),
        ]
    )
    before = torch.arange(start).expand(3, -1)
    after = start + max(rows, cols) + torch.arange(cut - start - rows * cols)
    return torch.cat([before, start + grid, after.expand(3, -1)], dim=1)


def block_mask(segments: torch.Tensor) -> torch.Tensor:
    """What each token may look at: earlier tokens of the prefix and of its own question.

    Args:
        segments: (B, T) int64, 0 prefix, k question, -1 padding.

    Returns:
        (B, 1, T, T) bool; padding sees itself alone, so that no row is empty.
    """
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool).tril()
    own = segments[:, :, None] == segments[:, None, :]
    allowed = causal & (own | (segments[:, None, :] == 0)) & (segments != _PADDING)[:, :, None]
    return (allowed | torch.eye(length, dtype=torch.bool))[:, None]


class GroupCollator:
    """Batches of question groups; batches of dialogues go to the ordinary collator.

    Args:
        pad_token_id: fills input_ids.
    """

    def __init__(self, pad_token_id: int) -> None:
        self._pad = pad_token_id
        self._dialogues = SftCollator(pad_token_id)

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Pad on the right; see ``encode_group`` and ``block_mask`` for the tensors."""
        if "segments" not in samples[0]:
            return self._dialogues(samples)

        def padded(key: str, value: int) -> torch.Tensor:
            return pad_sequence([sample[key] for sample in samples], batch_first=True, padding_value=value)

        positions = pad_sequence([sample["position_ids"].T for sample in samples], batch_first=True)
        return {
            "input_ids": padded("input_ids", self._pad),
            "labels": padded("labels", IGNORE_INDEX),
            "attention_mask": block_mask(padded("segments", _PADDING)),
            "position_ids": positions.permute(2, 0, 1),
            "pixel_values": torch.cat([sample["pixel_values"] for sample in samples]),
            "image_grid_thw": torch.cat([sample["image_grid_thw"] for sample in samples]),
        }
