"""Each prompt once per group: the completions of a group side by side behind one copy of their prompt.

GRPO draws G completions of every prompt, and the stock way runs the prompt G
times in generation, in the reference and in the policy. Of a question about a
picture almost all tokens are prompt. Here a group is one row:

    [ padding | prompt without its last token | last token, completion 1 | last token, completion 2 | ... ]

Every completion sees the prompt and itself (block-causal mask) and continues
the prompt's rotary positions, so its log-probabilities and gradients are those
of the stock row. The last prompt token is repeated because it predicts the
first token of each completion.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

_PADDING = -1


@dataclass(frozen=True, eq=False)
class Prompt:
    """A prompt as the processor made it, once per group.

    Args:
        input_ids: (P,) int64.
        mm_token_type_ids: (P,) int64, 1 at visual tokens.
        pixel_values: (patches, dim), or None without pictures.
        image_grid_thw: (pictures, 3), or None without pictures.
        keys: content hash of each picture.
    """

    input_ids: torch.Tensor
    mm_token_type_ids: torch.Tensor
    pixel_values: torch.Tensor | None = None
    image_grid_thw: torch.Tensor | None = None
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prompts:
    """Several prompts, padded on the left, with the rotary positions of the model.

    Args:
        input_ids: (U, P) int64.
        attention_mask: (U, P) int64, 0 at padding.
        position_ids: (3, U, P) int64.
        media: pixel_values and image_grid_thw of all pictures; empty without.
        keys: of all pictures, in order.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    position_ids: torch.Tensor
    media: dict[str, torch.Tensor]
    keys: tuple[str, ...]


def join_prompts(core: Any, prompts: Sequence[Prompt], pad_id: int, device: torch.device) -> Prompts:
    """Pad prompts on the left and number their positions.

    Args:
        core: owner of ``get_rope_index``.
        prompts: at least one.
        pad_id: fills input_ids.
        device: of the result.
    """

    def padded(rows: list[torch.Tensor], value: int) -> torch.Tensor:
        return pad_sequence(rows, batch_first=True, padding_value=value, padding_side="left").to(device)

    input_ids = padded([prompt.input_ids for prompt in prompts], pad_id)
    attention_mask = padded([torch.ones_like(prompt.input_ids) for prompt in prompts], 0)
    types = padded([prompt.mm_token_type_ids for prompt in prompts], 0)
    pixels = [prompt.pixel_values for prompt in prompts if prompt.pixel_values is not None]
    grids = [prompt.image_grid_thw for prompt in prompts if prompt.image_grid_thw is not None]
    media = {}
    if pixels:
        media = {"pixel_values": torch.cat(pixels).to(device), "image_grid_thw": torch.cat(grids).to(device)}
    positions, _ = core.get_rope_index(
        input_ids,
        image_grid_thw=media.get("image_grid_thw"),
        attention_mask=attention_mask,
        mm_token_type_ids=types,
    )
    keys = tuple(key for prompt in prompts for key in prompt.keys)
    return Prompts(input_ids, attention_mask, positions[-3:], media, keys)


@dataclass(frozen=True, eq=False)
class Packed:
    """Groups as rows for one forward pass.

    Args:
        inputs: input_ids (U, L), attention_mask (U, 1, L, L) bool, position_ids (3, U, L), media, and logits_to_keep,
            the columns whose logits are wanted: K slots of C columns.
        keys: of the pictures.
        row: (B,) row of the pack that holds each completion.
        slot: (B,) its slot there.
        slots: K.
    """

    inputs: dict[str, Any]
    keys: tuple[str, ...]
    row: torch.Tensor
    slot: torch.Tensor
    slots: int


def pack_groups(prompts: Prompts, owner: torch.Tensor, completion_ids: torch.Tensor) -> Packed:
    """Put completions behind their prompts.

    Args:
        prompts: of the groups.
        owner: (B,) int64, index of each completion's prompt; groups may differ in size.
        completion_ids: (B, C) int64, padded on the right.
    """
    device, length = completion_ids.device, completion_ids.shape[1]
    slot = _rank_within(owner)
    slots = int(slot.max()) + 1
    rows = prompts.input_ids.shape[0]
    last, last_position = prompts.input_ids[:, -1], prompts.position_ids[:, :, -1]
    tails = last[:, None, None].expand(rows, slots, length).clone()
    # Position j of a slot holds completion token j - 1; the last token of a completion predicts nothing.
    tails[owner, slot, 1:] = completion_ids[:, :-1]
    steps = last_position[:, :, None, None] + torch.arange(length, device=device).expand(slots, -1)
    prefix = torch.where(prompts.attention_mask[:, :-1] > 0, 0, _PADDING)
    numbers = torch.arange(1, slots + 1, device=device).repeat_interleave(length)
    segments = torch.cat([prefix, numbers.expand(rows, -1)], dim=1)
    start = prefix.shape[1]
    inputs = {
        "input_ids": torch.cat([prompts.input_ids[:, :-1], tails.flatten(1)], dim=1),
        "attention_mask": block_causal(segments),
        "position_ids": torch.cat([prompts.position_ids[:, :, :-1], steps.flatten(2)], dim=2),
        "logits_to_keep": torch.arange(start, start + slots * length, device=device),
        **prompts.media,
    }
    return Packed(inputs, prompts.keys, owner, slot, slots)


def block_causal(segments: torch.Tensor) -> torch.Tensor:
    """What each token may look at: earlier tokens of the prefix and of its own segment.

    Args:
        segments: (U, L) int64, 0 prefix, k the k-th completion, -1 padding.

    Returns:
        (U, 1, L, L) bool; padding sees itself alone, so that no row is empty.
    """
    length = segments.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=segments.device).tril()
    own = segments[:, :, None] == segments[:, None, :]
    shared = segments[:, None, :] == 0
    allowed = causal & (own | shared) & (segments != _PADDING)[:, :, None]
    return (allowed | torch.eye(length, dtype=torch.bool, device=segments.device))[:, None]


def completion_scores(
    logits: torch.Tensor, packed: Packed, completion_ids: torch.Tensor, mask: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of each completion token, and the entropy it was drawn at.

    Args:
        logits: (U, K * C, V) of the packed pass.
        packed: the pack.
        completion_ids: (B, C).
        mask: (B, C), 0 at padding.
        temperature: the logits are divided by.

    Returns:
        log-probabilities and entropies, (B, C) float32, 0 at padding.
    """
    length = completion_ids.shape[1]
    own = logits.unflatten(1, (packed.slots, length))[packed.row, packed.slot].float() / temperature
    log_probs = own.log_softmax(-1)
    chosen = log_probs.gather(-1, completion_ids[..., None])[..., 0]
    with torch.no_grad():
        entropy = -(log_probs.exp() * log_probs).sum(-1)
    return chosen.masked_fill(mask == 0, 0.0), entropy.masked_fill(mask == 0, 0.0)


def _rank_within(owner: torch.Tensor) -> torch.Tensor:
    """How many earlier rows have the same owner: [0, 0, 1, 0] gives [0, 1, 0, 2]."""
    same = owner[:, None] == owner[None, :]
    return same.tril(-1).sum(1)
