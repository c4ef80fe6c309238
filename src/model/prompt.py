"""A dialogue as tokens: ids, positions, and pictures by content.

Equals what the processor makes of the same messages (a test compares), but a
picture that was seen before is not resized and normalised again: between two
turns of a dialogue only the new pictures cost anything.
"""

import copy
import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize

from src.budget import PixelBudget
from src.constants import IMAGE_PAD, VIDEO_PAD, VISUAL_TOKEN_PX, escape_special
from src.errors import InputError
from src.model.engine import Message, video_arguments, with_images
from src.model.patches import vision_language_core

ROLES = ("system", "user", "assistant")
# <|im_start|>, role, line break, <|im_end|>, line break.
TOKENS_AROUND_A_MESSAGE = 5
_PADS = re.compile(f"{re.escape(IMAGE_PAD)}|{re.escape(VIDEO_PAD)}")
_REMEMBERED_SHAPES = 1024


def checked_messages(messages: Sequence[Message]) -> list[Message]:
    """Messages as parts, with special tokens in the text broken, so that no text opens a turn or shows a picture.

    Raises:
        InputError: an unknown role or part, no user turn at the end.
    """
    safe = []
    for message in messages:
        if message["role"] not in ROLES:
            raise InputError(f"role {message['role']!r}: expected one of {ROLES}")
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        parts = [
            part | {"text": escape_special(part["text"])} if part.get("type") == "text" else part for part in parts
        ]
        safe.append({"role": message["role"], "content": parts})
    if not safe or safe[-1]["role"] != "user":
        raise InputError("the last message must be the user's")
    return with_images(safe)


@dataclass
class Media:
    """A picture or video in a prompt.

    Args:
        part: the message part that shows it.
        grid: (1, 3) int64, patches in time, height and width.
        seconds: time between two grids of a video; 0 for a picture.
        digest: negative number that stands for its content.
        pixels: (patches, values) as the vision tower takes them, or None while nobody needed them.
        start: first of its tokens in the prompt.
        tokens: number of its tokens.
    """

    part: Message
    grid: torch.Tensor
    seconds: float
    digest: int
    pixels: torch.Tensor | None
    tokens: int
    start: int = 0


@dataclass(frozen=True)
class Prompt:
    """An encoded dialogue.

    Args:
        ids: (T,) int64 token ids.
        key: (T,) int64, the ids with the tokens of pictures replaced by their content's digest (negative).
        positions: (3, T) int64, rotary positions in time, height and width.
        media: pictures and videos in reading order.
    """

    ids: torch.Tensor
    key: np.ndarray
    positions: torch.Tensor
    media: tuple[Media, ...]

    def whole_prefix(self, length: int) -> int:
        """The largest cut at or below ``length`` that splits no picture."""
        for media in self.media:
            if media.start < length < media.start + media.tokens:
                return media.start
        return length


class PromptEncoder:
    """Turns messages into prompts; for the engine thread alone, but for ``count_tokens``.

    Args:
        model: a Qwen2-VL or Qwen2.5-VL model.
        processor: as ``load_processor`` gives it.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.processor, self.tokenizer = processor, processor.tokenizer
        self._core = vision_language_core(model)
        self._budget = PixelBudget.of(processor)
        self._merge_area = processor.image_processor.merge_size**2
        self._shapes: OrderedDict[int, tuple[torch.Tensor, float]] = OrderedDict()
        # Rust tokenizers fail with "Already borrowed" when two threads use one; counting happens in the users' threads.
        self._counter, self._counting = copy.deepcopy(self.tokenizer), threading.Lock()
        empty = [{"role": "user", "content": [{"type": "text", "text": ""}]}]
        # What the template adds by itself, the default system message included.
        self.template_tokens = len(self.tokenizer(self._text(empty))["input_ids"])
        self._ids = {"image": processor.image_token_id, "video": processor.video_token_id}

    def encode(self, messages: Sequence[Message]) -> Prompt:
        """Encode messages that ``checked_messages`` gave, with the assistant's turn opened."""
        text = self._text(messages)
        media = [self._media(part) for message in messages for part in message["content"] if part["type"] != "text"]
        rest = iter(media)
        text = _PADS.sub(lambda match: match.group() * next(rest).tokens, text)
        ids = torch.tensor(self.tokenizer(text)["input_ids"])
        key = ids.numpy().copy()
        place = 0
        for item in media:
            pad = self._ids[item.part["type"]]
            item.start = place + int(np.flatnonzero(key[place:] == pad)[0])
            place = item.start + item.tokens
            key[item.start : place] = item.digest
        return Prompt(ids, key, self._positions(ids, media), tuple(media))

    def pixel_inputs(self, media: Sequence[Media]) -> dict[str, torch.Tensor]:
        """What the model takes for these pictures and videos, on the CPU."""
        inputs: dict[str, torch.Tensor] = {}
        for kind, pixels, grid in (
            ("image", "pixel_values", "image_grid_thw"),
            ("video", "pixel_values_videos", "video_grid_thw"),
        ):
            chosen = [item for item in media if item.part["type"] == kind]
            if chosen:
                inputs[pixels] = torch.cat([self._pixels(item) for item in chosen])
                inputs[grid] = torch.cat([item.grid for item in chosen])
        return inputs

    def count_tokens(self, message: Message) -> int:
        """Tokens of one checked message, without ``template_tokens``; safe in any thread."""
        count = TOKENS_AROUND_A_MESSAGE
        for part in message["content"]:
            if part["type"] == "text":
                with self._counting:
                    count += len(self._counter(part["text"])["input_ids"])
            elif part["type"] == "image":
                count += self._budget.visual_tokens(*part["image"].size) + 2
            else:
                size = self.processor.video_processor.size
                width, height = part["frames"][0].size
                limits = {"min_pixels": size["shortest_edge"], "max_pixels": size["longest_edge"]}
                high, wide = smart_resize(height, width, VISUAL_TOKEN_PX, **limits)
                count += (len(part["frames"]) + 1) // 2 * (high // VISUAL_TOKEN_PX) * (wide // VISUAL_TOKEN_PX) + 2
        return count

    def _text(self, messages: Sequence[Message]) -> str:
        return self.processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)

    def _media(self, part: Message) -> Media:
        digest, pixels = self._digest(part), None
        known = self._shapes.get(digest)
        if known is None:
            pixels, grid, seconds = self._process(part)
            known = self._shapes[digest] = (grid, seconds)
            if len(self._shapes) > _REMEMBERED_SHAPES:
                self._shapes.popitem(last=False)
        grid, seconds = known
        return Media(part, grid, seconds, digest, pixels, int(grid.prod()) // self._merge_area)

    def _pixels(self, media: Media) -> torch.Tensor:
        if media.pixels is None:
            media.pixels = self._process(media.part)[0]
        return media.pixels

    def _process(self, part: Message) -> tuple[torch.Tensor, torch.Tensor, float]:
        if part["type"] == "image":
            output = self.processor.image_processor(images=[part["image"]], return_tensors="pt")
            return output["pixel_values"], output["image_grid_thw"], 0.0
        arguments = video_arguments([part])
        processor = self.processor.video_processor
        output = processor(videos=arguments["videos"], return_tensors="pt", **arguments["videos_kwargs"])
        return output["pixel_values_videos"], output["video_grid_thw"], processor.temporal_patch_size / part["fps"]

    def _digest(self, part: Message) -> int:
        frames = [part["image"]] if part["type"] == "image" else part["frames"]
        digest = hashlib.blake2b(digest_size=8)
        limits = (self._budget, part.get("fps"), [(frame.mode, frame.size) for frame in frames])
        digest.update(repr(limits).encode())
        for frame in frames:
            digest.update(frame.convert("RGB").tobytes())
        return -1 - (int.from_bytes(digest.digest(), "big") >> 1)

    def _positions(self, ids: torch.Tensor, media: Sequence[Media]) -> torch.Tensor:
        kinds = (ids == self._ids["image"]).int() + 2 * (ids == self._ids["video"]).int()
        grids = {kind: [item.grid for item in media if item.part["type"] == kind] for kind in self._ids}
        seconds = [item.seconds for item in media if item.part["type"] == "video"]
        positions, _ = self._core.get_rope_index(
            ids[None],
            mm_token_type_ids=kinds[None],
            image_grid_thw=torch.cat(grids["image"]) if grids["image"] else None,
            video_grid_thw=torch.cat(grids["video"]) if grids["video"] else None,
            second_per_grid_ts=torch.tensor(seconds) if seconds else None,
        )
        return positions[:, 0]
