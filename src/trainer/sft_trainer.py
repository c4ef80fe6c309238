"""Trainer of stage 1: token-weighted loss, one learning rate per component, logged answers."""

from typing import Any

from peft import PeftModel
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

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Load a whole model by its own loader.

        Whole Qwen-VL models are saved under the hub's weight names, which the
        stock Trainer (transformers 5.22) matches without strictness: nothing
        fits, and training goes on from random weights without an error.
        """
        target: Any = self.model if model is None else model
        if isinstance(target, PeftModel):
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = type(target).from_pretrained(resume_from_checkpoint, dtype=next(target.parameters()).dtype)
        target.load_state_dict(saved.state_dict())
