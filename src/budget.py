"""The pixel budget: how much an image may cost, the same in training, evaluation and the app."""

from dataclasses import dataclass
from typing import Any

from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from src.constants import VISUAL_TOKEN_PX
from src.errors import InputError

TOKEN_AREA = VISUAL_TOKEN_PX * VISUAL_TOKEN_PX


@dataclass(frozen=True)
class PixelBudget:
    """How many pixels an image may cost; shared by training, evaluation and the app.

    Args:
        image_min_pixels: an image is enlarged to at least this area.
        image_max_pixels: an image is shrunk to at most this area.
        max_tokens: longest sample in tokens, text and visual together; 0 means no limit.
    """

    image_min_pixels: int = 256 * TOKEN_AREA
    image_max_pixels: int = 1280 * TOKEN_AREA
    max_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.image_min_pixels <= self.image_max_pixels:
            raise InputError(
                f"image_min_pixels={self.image_min_pixels}, image_max_pixels={self.image_max_pixels}: "
                "expected 0 < min <= max; pixels are areas such as 1280*28*28"
            )

    def visual_tokens(self, width: int, height: int) -> int:
        """Visual tokens of one image after Qwen's resizing rule (28 px a token and side)."""
        resized_h, resized_w = smart_resize(
            height, width, VISUAL_TOKEN_PX, self.image_min_pixels, self.image_max_pixels
        )
        return (resized_h // VISUAL_TOKEN_PX) * (resized_w // VISUAL_TOKEN_PX)

    def apply(self, processor: Any) -> None:
        """Write the budget into a processor, so that it is saved with the model."""
        processor.image_processor.size = {
            "shortest_edge": self.image_min_pixels,
            "longest_edge": self.image_max_pixels,
        }

    @classmethod
    def of(cls, processor: Any, max_tokens: int = 0) -> "PixelBudget":
        """Read the budget that a processor was saved with."""
        size = processor.image_processor.size
        return cls(int(size["shortest_edge"]), int(size["longest_edge"]), max_tokens)
