"""Trainer of stage 1: token-weighted loss, one learning rate per component, logged answers."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from torch.nn.functional import cross_entropy
from transformers.integrations import is_deepspeed_zero3_enabled

from src.constants import IGNORE_INDEX
from src.model.patches import vision_language_core
from src.model.vision_cache import cache_for, picture_keys
from src.trainer.packing import pack_dialogues, packed_text_attention
from src.trainer.param_groups import ComponentOptimizer


class SftTrainer(ComponentOptimizer):
    """The transformers Trainer with the loss averaged over tokens, not over micro-batches.

    Qwen-VL classes declare ``accepts_loss_kwargs = False``, which makes the
    stock Trainer average every micro-batch on its own: a token of a long
    dialogue then counts less than one of a short dialogue. The models do accept
    ``num_items_in_batch``, so the declaration is overruled here, and the loss
    is the mean over all assistant tokens of the accumulated batch on all ranks.

    With ``--padding_free`` the dialogues of a batch are packed into one row, and a picture whose tower is frozen is
    encoded once for all steps.
    """

    def __init__(self, model: nn.Module, *args: Any, **kwargs: Any) -> None:
        super().__init__(model, *args, **kwargs)
        self.model_accepts_loss_kwargs = True
        given: Any = self.args
        budget = given.vision_cache_mib if given.padding_free else 0
        self.vision_cache = cache_for(model, budget, spread=is_deepspeed_zero3_enabled())

    def _packs(self, inputs: dict[str, Any]) -> bool:
        args: Any = self.args
        # Batches that bring a mask of their own (questions about one picture) are packed already.
        return args.padding_free and inputs["attention_mask"].ndim == 2

    def training_step(self, model: nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
        """Forward and backward pass; with checkpointing, the backward pass runs attention again."""
        if not self._packs(inputs):
            return super().training_step(model, inputs, *args, **kwargs)
        with packed_text_attention(vision_language_core(model)):
            return super().training_step(model, inputs, *args, **kwargs)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> Any:
        """Mean cross entropy over assistant tokens; see the class."""
        if not self._packs(inputs):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        core = vision_language_core(model)
        packed, targets = pack_dialogues(core, inputs)
        with packed_text_attention(core), self._encoding(inputs):
            if self.args.use_liger_kernel:
                # Liger fuses the head with the loss and skips ignored labels itself.
                places = packed.pop("logits_to_keep")
                packed["labels"] = torch.full_like(packed["input_ids"], IGNORE_INDEX)
                packed["labels"][0, places + 1] = targets
                return super().compute_loss(model, packed, return_outputs, num_items_in_batch)
            outputs = model(**packed, use_cache=False)
        total = cross_entropy(outputs.logits[0].float(), targets, reduction="sum")
        if num_items_in_batch is None:
            loss = total / max(len(targets), 1)
        else:
            # Gradients are averaged over the ranks, tokens are counted over all of them.
            loss = total / num_items_in_batch * self.accelerator.num_processes
        return (loss, outputs) if return_outputs else loss

    def _encoding(self, inputs: dict[str, Any]) -> AbstractContextManager[None]:
        """Inside, pictures that were encoded before are not encoded again; a batch with videos is left alone."""
        if self.vision_cache is None or "pixel_values" not in inputs or "pixel_values_videos" in inputs:
            return nullcontext()
        return self.vision_cache.pictures(picture_keys(inputs["pixel_values"], inputs["image_grid_thw"]))

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
