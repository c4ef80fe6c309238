"""Attention over packed sequences with torch's own kernels, where flash-attn is not installed.

The library's other implementations either run a Python loop over every window
of the vision tower, or hold a dense mask over a whole packed batch. Here parts
of one length go through the kernel together, each sees itself alone, and no
mask exists, so causal kernels skip what is masked.

Registered under a name with "flash" in it: the library then hands over the
borders of the parts instead of looping or masking itself (transformers 5.22).
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, flash_attention_mask

PACKED = "flash_by_sdpa"


def packed_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    is_causal: bool | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    position_ids: torch.Tensor | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention of each part of a packed row over itself.

    Args:
        module: the attention layer; ``is_causal`` is read from it where not given.
        query: (1, H, N, d).
        key: (1, K, N, d), K dividing H.
        value: as key.
        attention_mask: None; packed rows have no padding.
        scaling: of the scores; None is 1 / sqrt(d).
        dropout: on the weights.
        is_causal: whether a token sees earlier ones of its part only.
        cu_seq_lens_q: (parts + 1,) borders, from 0 to N; None takes the places where ``position_ids`` start at 0.
        position_ids: (1, N) positions of text, counted in each part.

    Returns:
        (1, N, H, d), and no weights.
    """
    if attention_mask is not None or query.shape[0] != 1 or query.shape[2] != key.shape[2]:
        raise ValueError(f"{PACKED} takes one packed row without padding and without a cache, got {query.shape}")
    causal = module.is_causal if is_causal is None else is_causal
    lengths = _lengths(cu_seq_lens_q, position_ids, query.shape[2])
    groups = query.shape[1] // key.shape[1]
    if groups > 1:
        key, value = (part.repeat_interleave(groups, dim=1) for part in (key, value))
    starts = torch.tensor([0, *lengths]).cumsum(0)[:-1]
    sizes = torch.tensor(lengths)
    parts = []
    for size in sorted(set(lengths)):
        index = (starts[sizes == size][:, None] + torch.arange(size)).to(query.device)
        q, k, v = (rows[0][:, index].transpose(0, 1) for rows in (query, key, value))
        found = scaled_dot_product_attention(q, k, v, dropout_p=dropout, scale=scaling, is_causal=causal)
        parts.append((index.flatten(), found.transpose(0, 1).flatten(1, 2)))
    order = torch.cat([index for index, _ in parts])
    output = torch.cat([found for _, found in parts], dim=1)
    if len(parts) > 1:
        output = output[:, torch.argsort(order)]
    return output.transpose(0, 1)[None].contiguous(), None


def _lengths(borders: torch.Tensor | None, positions: torch.Tensor | None, total: int) -> list[int]:
    if borders is not None:
        return (borders[1:] - borders[:-1]).tolist()
    if positions is None:
        return [total]
    starts = (positions[0] == 0).nonzero()[:, 0]
    return torch.diff(starts, append=starts.new_tensor([total])).tolist()


def register_packed_attention() -> None:
    """Make the name known to transformers."""
    AttentionInterface.register(PACKED, packed_attention)
    AttentionMaskInterface.register(PACKED, flash_attention_mask)


def pack_vision_windows(model: Any) -> None:
    """Let the vision tower take all windows of one size in one call, unless flash-attn does it already."""
    config = model.config.vision_config
    if "flash" not in config._attn_implementation:
        register_packed_attention()
        config._attn_implementation = PACKED
