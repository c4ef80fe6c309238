"""Dialogues of a batch in one row, without padding: exact, and no work on what is not there.

Each dialogue sees itself alone and keeps its own positions; logits are computed
only where a label is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from src.constants import IGNORE_INDEX
from src.model.packed_attention import PACKED, register_packed_attention

_PER_TOKEN = ("input_ids", "labels", "attention_mask", "mm_token_type_ids")
_GRIDS = ("image_grid_thw", "video_grid_thw", "second_per_grid_ts")


def pack_dialogues(core: Any, batch: dict[str, Any]) -> tuple[dict[str, Any], torch.Tensor]:
    """One row out of a padded batch.

    Args:
        core: owner of ``get_rope_index``.
        batch: input_ids, labels, attention_mask, mm_token_type_ids (B, T), and media.

    Returns:
        Inputs of the model: input_ids (1, N), position_ids (4, 1, N) with text positions first, media, and
        logits_to_keep (M,), the places that predict a label; and the labels there, (M,).
    """
    mask = batch["attention_mask"].bool()
    positions, _ = core.get_rope_index(
        batch["input_ids"],
        attention_mask=batch["attention_mask"],
        mm_token_type_ids=batch["mm_token_type_ids"],
        **{key: batch[key] for key in _GRIDS if key in batch},
    )
    text = mask.long().cumsum(1) - 1
    # Nothing predicts the first token of a dialogue.
    labels = batch["labels"].clone()
    labels[:, 0] = IGNORE_INDEX
    row = labels[mask]
    keep = (row[1:] != IGNORE_INDEX).nonzero()[:, 0]
    inputs = {key: value for key, value in batch.items() if key not in _PER_TOKEN}
    inputs |= {
        "input_ids": batch["input_ids"][mask][None],
        "position_ids": torch.cat([text[None], positions[-3:]])[:, mask][:, None],
        "logits_to_keep": keep,
    }
    return inputs, row[keep + 1]


@contextmanager
def packed_text_attention(core: Any) -> Iterator[None]:
    """Inside, the language model takes packed rows; flash-attn, where chosen, takes them anyway."""
    config = core.language_model.config
    chosen = config._attn_implementation
    if "flash" not in chosen:
        register_packed_attention()
        config._attn_implementation = PACKED
    try:
        yield
    finally:
        config._attn_implementation = chosen
