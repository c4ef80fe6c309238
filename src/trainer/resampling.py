"""Groups that teach: groups whose completions all got the same reward give no gradient and are replaced.

As in dynamic sampling (DAPO, arXiv 2503.14476, section 3.2), further prompts
are drawn until every group has a spread of rewards, here up to a fixed number of
further rounds. Works on the batches of ``SharedGroups``: rows of whole groups.
"""

from typing import Any

import torch
from torch.nn.functional import pad

# Padded on the left; all other two-dimensional fields on the right.
_LEFT = ("prompt_ids", "prompt_mask")
_PAD_TOKENS = ("prompt_ids", "completion_ids")
_FLAT = 1e-6


def flat_groups(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Ids (F,) of the groups whose advantages are all zero: every member got the same reward."""
    groups, owner = torch.unique(batch["group"], return_inverse=True)
    spread = torch.zeros(len(groups), device=owner.device, dtype=batch["advantages"].dtype)
    spread = spread.scatter_reduce(0, owner, batch["advantages"].abs(), "amax")
    return groups[spread < _FLAT]


def replace_flat(
    batch: dict[str, torch.Tensor], fresh: dict[str, torch.Tensor], pad_id: int
) -> tuple[dict[str, torch.Tensor], int]:
    """Put groups of a further round in the place of flat ones.

    Args:
        batch: rows of whole groups.
        fresh: the same fields, with group ids of its own.
        pad_id: fills token ids.

    Returns:
        A batch of as many rows, and how many groups were replaced. ``num_items_in_batch`` is left as it was.
    """
    flat = flat_groups(batch)
    ids = torch.unique(fresh["group"])
    useful = ids[~torch.isin(ids, flat_groups(fresh))]
    count = min(len(flat), len(useful))
    if not count:
        return batch, 0
    kept = ~torch.isin(batch["group"], flat[:count])
    taken = torch.isin(fresh["group"], useful[:count])
    merged = {
        key: value if value.ndim == 0 else _joined(key, value[kept], fresh[key][taken], pad_id)
        for key, value in batch.items()
    }
    return merged, count


def _joined(key: str, first: torch.Tensor, second: torch.Tensor, pad_id: int) -> torch.Tensor:
    if first.ndim == 1:
        return torch.cat([first, second])
    width = max(first.shape[1], second.shape[1])
    filler: Any = pad_id if key in _PAD_TOKENS else 0

    def widened(rows: torch.Tensor) -> torch.Tensor:
        missing = width - rows.shape[1]
        return pad(rows, (missing, 0) if key in _LEFT else (0, missing), value=filler)

    return torch.cat([widened(first), widened(second)])
