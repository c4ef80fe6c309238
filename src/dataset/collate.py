"""Samples to batches: right padding, media concatenated."""

from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from src.constants import IGNORE_INDEX

_MEDIA_KEYS = ("pixel_values", "image_grid_thw", "pixel_values_videos", "video_grid_thw", "second_per_grid_ts")


class SftCollator:
    """Pad the per-token tensors of stage 1 samples and concatenate their media.

    Args:
        pad_token_id: fills input_ids; labels get IGNORE_INDEX, masks 0.
    """

    def __init__(self, pad_token_id: int) -> None:
        self._padding = {
            "input_ids": pad_token_id,
            "labels": IGNORE_INDEX,
            "attention_mask": 0,
            "mm_token_type_ids": 0,
        }

    def __call__(self, samples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """Make one batch; per-token tensors are (B, T) int64, media (sum over samples, ...)."""
        batch = {
            key: pad_sequence([sample[key] for sample in samples], batch_first=True, padding_value=value)
            for key, value in self._padding.items()
        }
        for key in _MEDIA_KEYS:
            parts = [torch.as_tensor(sample[key]) for sample in samples if key in sample]
            if parts:
                batch[key] = torch.cat(parts)
        return batch
