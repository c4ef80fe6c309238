"""Sampling the completions of groups: each prompt is run once, its keys and values are shared out to its group."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache, GenerationConfig, LogitsProcessorList
from transformers.generation import logits_process as processors

from src.trainer.shared_prefix import Prompts

# Finished rows are dropped once they are half of the batch: each drop copies the keys and values of the others.
_DROP_SHARE = 0.5


def sampling_steps(config: GenerationConfig, prompt_length: int) -> LogitsProcessorList:
    """What is done to the logits before a token is drawn, in the order of ``generate``."""
    steps: list[Any] = []
    if config.repetition_penalty not in (None, 1.0):
        steps.append(processors.RepetitionPenaltyLogitsProcessor(config.repetition_penalty))
    if config.suppress_tokens:
        steps.append(processors.SuppressTokensLogitsProcessor(config.suppress_tokens))
    if config.temperature not in (None, 1.0):
        steps.append(processors.TemperatureLogitsWarper(config.temperature))
    if config.top_k:
        steps.append(processors.TopKLogitsWarper(config.top_k))
    if config.top_p is not None and config.top_p < 1.0:
        steps.append(processors.TopPLogitsWarper(config.top_p))
    if config.min_p:
        steps.append(processors.MinPLogitsWarper(config.min_p))
    return LogitsProcessorList(steps)


@torch.no_grad()
def sample_groups(
    model: Any, prompts: Prompts, owner: torch.Tensor, config: GenerationConfig, *, drop: bool = True
) -> list[list[int]]:
    """Draw one completion for every entry of ``owner``.

    Args:
        model: Qwen2-VL or Qwen2.5-VL, plain or wrapped by PEFT.
        prompts: of the groups; each is run once.
        owner: (B,) index of the prompt of each completion.
        config: max_new_tokens, eos_token_id (list), pad_token_id and sampling settings.
        drop: whether finished rows leave the batch (same answers up to the random draws).

    Returns:
        Token ids per completion, up to and with the end token.
    """
    cache = DynamicCache(config=model.config.get_text_config())
    first = model(
        input_ids=prompts.input_ids,
        attention_mask=prompts.attention_mask,
        position_ids=prompts.position_ids,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
        **prompts.media,
    )
    cache.batch_select_indices(owner)
    logits = first.logits[owner, -1]
    ids: Any = prompts.input_ids[owner]
    mask, position = prompts.attention_mask[owner], prompts.position_ids[:, owner, -1:]
    steps, ends = sampling_steps(config, ids.shape[1]), _ends(config, ids.device)
    found: list[list[int]] = [[] for _ in range(len(owner))]
    rows = torch.arange(len(owner), device=ids.device)
    alive = torch.ones_like(rows, dtype=torch.bool)
    for _ in range(config.max_new_tokens):
        scores = steps(ids, logits.float())
        tokens = torch.multinomial(scores.softmax(-1), 1)[:, 0]
        _append(found, rows[alive], tokens[alive])
        alive = alive & ~torch.isin(tokens, ends)
        if not alive.any():
            break
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
        position = position + 1
        if drop and int(alive.sum()) <= _DROP_SHARE * len(alive):
            kept = alive.nonzero()[:, 0]
            cache.batch_select_indices(kept)
            ids, mask, position = ids[kept], mask[kept], position[:, kept]
            rows, alive = rows[kept], alive[kept]
        logits = model(
            input_ids=ids[:, -1:],
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
        ).logits[:, -1]
    return found


def _ends(config: GenerationConfig, device: torch.device) -> torch.Tensor:
    ends = config.eos_token_id
    return torch.tensor(ends if isinstance(ends, list) else [ends], device=device)


def _append(found: Sequence[list[int]], rows: torch.Tensor, tokens: torch.Tensor) -> None:
    for row, token in zip(rows.tolist(), tokens.tolist(), strict=True):
        found[row].append(token)
