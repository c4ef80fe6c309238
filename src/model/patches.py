"""The one forward hook this project adds to Qwen-VL models.

Checked against transformers 5.22.2. Under ZeRO-3, and wherever the vision
tower trains on several ranks, every rank must run the tower equally often:
parameters are gathered and gradients reduced collectively, so a rank with a
text-only batch would leave the others waiting for ever.
"""

from typing import Any

import torch
from torch import nn

_CORE_PARTS = ("visual", "language_model")


def vision_language_core(model: nn.Module) -> Any:
    """The module that owns both the vision tower and the language model, whatever wraps it."""
    for module in model.modules():
        if all(isinstance(getattr(module, part, None), nn.Module) for part in _CORE_PARTS):
            return module
    raise AttributeError(f"{type(model).__name__} has no submodule with parts {_CORE_PARTS}")


def always_run_vision(model: nn.Module) -> None:
    """Make every forward pass over a whole sequence run the vision tower.

    A pass without media encodes a blank image of one visual token and adds it
    with weight zero, so results do not change. Decoding steps, which continue a
    cache, are left alone. Empty media tensors count as no media.

    Args:
        model: a Qwen2-VL or Qwen2.5-VL model, plain or wrapped by PEFT.
    """
    core = vision_language_core(model)
    core.register_forward_pre_hook(_drop_empty_media, with_kwargs=True)
    core.language_model.register_forward_pre_hook(_BlankImage(core), with_kwargs=True)


def _drop_empty_media(core: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    for pixels, grid in (("pixel_values", "image_grid_thw"), ("pixel_values_videos", "video_grid_thw")):
        if kwargs.get(pixels) is not None and kwargs[pixels].numel() == 0:
            kwargs = kwargs | {pixels: None, grid: None}
    given = ("pixel_values", "pixel_values_videos", "mm_encoder_outputs")
    core.saw_media = any(kwargs.get(name) is not None for name in given)
    return args, kwargs


class _BlankImage:
    """Adds zero times a blank image's features to a sequence without media."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def __call__(self, module: nn.Module, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        cache = kwargs.get("past_key_values")
        decoding = cache is not None and cache.get_seq_length() > 0
        if self._core.saw_media or decoding:
            return None
        embeds = kwargs["inputs_embeds"]
        return args, kwargs | {"inputs_embeds": embeds + 0.0 * self._blank_features(embeds).sum()}

    def _blank_features(self, embeds: torch.Tensor) -> torch.Tensor:
        config = self._core.visual.config
        merge = config.spatial_merge_size
        patch = config.in_channels * config.temporal_patch_size * config.patch_size**2
        pixels = torch.zeros(merge * merge, patch, device=embeds.device, dtype=self._core.visual.dtype)
        grid = torch.tensor([[1, merge, merge]], device=embeds.device)
        features = self._core.visual(pixels, grid_thw=grid)
        return features.pooler_output.to(embeds.dtype)
