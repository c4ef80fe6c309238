"""Conversations to training samples of stage 1: loss on every assistant turn, in one pass.

Visual tokens are never cut. A dialogue longer than the budget loses whole
trailing turns; one whose first exchange is already too long is refused. Both
are counted before training (``plan_lengths``).
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import Dataset

from src.budget import PixelBudget
from src.constants import IGNORE_INDEX, IM_END, IM_START
from src.dataset.images import image_size, load_image
from src.dataset.schema import Conversation
from src.dataset.videos import VideoOptions, load_video
from src.errors import InputError

# An upper bound of the template's own tokens per turn: <|im_start|>role\n ... <|im_end|>\n.
_TEMPLATE_TOKENS_PER_TURN = 8
_DEFAULT_SYSTEM_TOKENS = 24


@dataclass(frozen=True)
class MediaOptions:
    """How images and videos are read.

    Args:
        budget: pixels per image and tokens per sample.
        resized_wh: fixed width and height of every image, or None.
        video: frame sampling.
        allow_remote: whether http(s) addresses are fetched.
        transpose: turn or mirror every image (augmentation), or None.
    """

    budget: PixelBudget
    resized_wh: tuple[int, int] | None = None
    video: VideoOptions = VideoOptions()
    allow_remote: bool = False
    transpose: Image.Transpose | None = None

    def read(self, path: str) -> Image.Image:
        """Load one image as RGB, resized if a fixed size was asked for."""
        image = load_image(path, allow_remote=self.allow_remote)
        if self.resized_wh:
            image = image.resize(self.resized_wh, Image.Resampling.BICUBIC)
        return image if self.transpose is None else image.transpose(self.transpose)

    def image_tokens(self, path: str) -> int:
        """Visual tokens of an image, from its header."""
        width, height = self.resized_wh or _cached_size(path, self.allow_remote)
        return self.budget.visual_tokens(width, height)


@functools.lru_cache(maxsize=200_000)
def _cached_size(path: str, allow_remote: bool) -> tuple[int, int]:
    return image_size(path, allow_remote=allow_remote)


@dataclass(frozen=True)
class LengthPlan:
    """Which turns of each row are trained on.

    Args:
        turns: (rows,) int32, leading turns kept per row; 0 means refused.
        full_turns: (rows,) int32, turns of the row as given.
    """

    turns: np.ndarray
    full_turns: np.ndarray

    @property
    def trimmed(self) -> int:
        """Rows that lost trailing turns."""
        return int(((self.turns > 0) & (self.turns < self.full_turns)).sum())

    @property
    def refused(self) -> int:
        """Rows whose first exchange is longer than the budget."""
        return int((self.turns == 0).sum())

    def kept_rows(self) -> np.ndarray:
        """Positions of the rows that are trained on."""
        return np.flatnonzero(self.turns)


def plan_lengths(conversations: Sequence[Conversation], processor: Any, media: MediaOptions) -> LengthPlan:
    """Decide how many leading turns of every row fit into the budget.

    A byte-level tokenizer never makes more tokens than UTF-8 bytes, so a row
    whose bytes fit is kept without tokenizing it or opening its images.

    Args:
        conversations: the rows.
        processor: for its tokenizer and chat template.
        media: pixel and token budget; ``max_tokens`` 0 keeps everything.
    """
    turns, full = [], []
    for conversation in _each(conversations):
        count = len(conversation.turns)
        full.append(count)
        fits = not media.budget.max_tokens or _upper_bound(conversation, media) <= media.budget.max_tokens
        turns.append(count if fits else _fitting_turns(conversation, processor, media))
    return LengthPlan(np.asarray(turns, np.int32), np.asarray(full, np.int32))


def _each(conversations: Sequence[Conversation]) -> Iterator[Conversation]:
    return (conversations[index] for index in range(len(conversations)))


def _upper_bound(conversation: Conversation, media: MediaOptions) -> int:
    text = sum(
        len(part["text"].encode()) for turn in conversation.turns for part in turn.content if part["type"] == "text"
    )
    if conversation.videos:
        text += len(conversation.videos) * media.video.max_tokens
    largest = media.budget.image_max_pixels // 784
    structure = _TEMPLATE_TOKENS_PER_TURN * (len(conversation.turns) + len(conversation.images))
    return text + structure + _DEFAULT_SYSTEM_TOKENS + largest * len(conversation.images)


def _fitting_turns(conversation: Conversation, processor: Any, media: MediaOptions) -> int:
    """Largest number of leading turns, ending on an assistant turn, that fits; 0 if none does."""
    for count in range(len(conversation.turns), 0, -1):
        if conversation.turns[count - 1].role != "assistant":
            continue
        if count_tokens(first_turns(conversation, count), processor, media) <= media.budget.max_tokens:
            return count
    return 0


def first_turns(conversation: Conversation, count: int) -> Conversation:
    """The conversation cut after its first turns, with the media that they name."""
    turns = conversation.turns[:count]
    images = sum(turn.count("image") for turn in turns)
    videos = sum(turn.count("video") for turn in turns)
    return replace(conversation, turns=turns, images=conversation.images[:images], videos=conversation.videos[:videos])


def count_tokens(conversation: Conversation, processor: Any, media: MediaOptions) -> int:
    """Exact length of a conversation in tokens, without decoding pixels (videos by their bound)."""
    text = processor.apply_chat_template(conversation.messages(), tokenize=False)
    tokens = len(processor.tokenizer(text)["input_ids"])
    visual = sum(media.image_tokens(path) - 1 for path in conversation.images)
    return tokens + visual + sum(media.video.max_tokens - 1 for _ in conversation.videos)


class SftDataset(Dataset):
    """Samples of stage 1; decodes images when asked for a row.

    Args:
        conversations: rows, lazily indexed.
        processor: the model's processor; the media budget is already applied to it.
        media: how images and videos are read.
        plan: turns to keep per row; default keeps everything.
    """

    def __init__(
        self,
        conversations: Sequence[Conversation],
        processor: Any,
        media: MediaOptions,
        plan: LengthPlan | None = None,
    ) -> None:
        self.conversations, self.processor, self.media, self.plan = conversations, processor, media, plan
        self.rows = plan.kept_rows() if plan is not None else np.arange(len(conversations))
        if not len(self.rows):
            raise InputError("no row fits --max_seq_length: raise it or lower --image_max_pixels")
        self._header = processor.tokenizer(f"{IM_START}assistant\n")["input_ids"]
        self._end = processor.tokenizer.convert_tokens_to_ids(IM_END)

    def __len__(self) -> int:
        return len(self.rows)

    def conversation(self, index: int) -> Conversation:
        """The row at a position, with the turns that are trained on."""
        row = int(self.rows[index])
        conversation = self.conversations[row]
        return conversation if self.plan is None else first_turns(conversation, int(self.plan.turns[row]))

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        sample = encode(self.conversation(index), self.processor, self.media)
        sample["labels"] = assistant_labels(sample["input_ids"], self._header, self._end)
        return sample


def encode(
    conversation: Conversation, processor: Any, media: MediaOptions, *, add_generation_prompt: bool = False
) -> dict[str, torch.Tensor]:
    """Tokenize a conversation and its media; with add_generation_prompt the assistant's turn is opened.

    Returns:
        input_ids, attention_mask, mm_token_type_ids, each (T,) int64, and where
        the row has media pixel_values (patches, 1176) float32 with
        image_grid_thw (images, 3), or their video twins.
    """
    text = processor.apply_chat_template(
        conversation.messages(), tokenize=False, add_generation_prompt=add_generation_prompt
    )
    images = [media.read(path) for path in conversation.images] or None
    videos: dict[str, Any] = {}
    if conversation.videos:
        clips = [load_video(path, media.video) for path in conversation.videos]
        videos = {
            "videos": [clip.frames for clip in clips],
            "videos_kwargs": {
                "video_metadata": [clip.metadata for clip in clips],
                # Frames come sampled and sized by load_video.
                "do_sample_frames": False,
                "do_resize": False,
            },
        }
    batch = processor(text=[text], images=images, return_tensors="pt", **videos)
    per_token = ("input_ids", "attention_mask", "mm_token_type_ids")
    return {key: value[0] if key in per_token else value for key, value in batch.items()}


def assistant_labels(input_ids: torch.Tensor, header: list[int], end: int) -> torch.Tensor:
    """Labels of a rendered dialogue: the text and end token of every assistant turn, nothing else.

    Args:
        input_ids: (T,) int64 of the whole dialogue.
        header: token ids that open an assistant turn.
        end: token id that closes a turn.

    Returns:
        (T,) int64, IGNORE_INDEX outside assistant turns.
    """
    ids = input_ids.tolist()
    labels = torch.full_like(input_ids, IGNORE_INDEX)
    position, width = 0, len(header)
    while position <= len(ids) - width:
        if ids[position] != header[0] or ids[position : position + width] != header:
            position += 1
            continue
        start = position + width
        stop = ids.index(end, start) + 1 if end in ids[start:] else len(ids)
        labels[start:stop] = input_ids[start:stop]
        position = stop
    return labels
