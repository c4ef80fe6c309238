"""Trainer of stage 1: token-weighted loss, one learning rate per component, logged answers."""

from typing import Any

from torch import nn

from src.trainer.param_groups import ComponentOptimizer


class SftTrainer(ComponentOptimizer):
    """The transformers Trainer with the loss averaged over tokens, not over micro-batches.

    Qwen-VL classes declare ``accepts_loss_kwargs = False``, which makes the
    stock Trainer average every micro-batch on its own: a token of a long
    dialogue then counts less than one of a short dialogue. The models do accept
    ``num_items_in_batch``, so the declaration is overruled here, and the loss
    is the mean over all assistant tokens of the accumulated batch on all ranks.
    """

    def __init__(self, model: nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.model_accepts_loss_kwargs = True
