"""Optimizer groups: one learning rate per component, weight decay only where it belongs."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from transformers import Trainer

from src.model.lora import component_of


def component_learning_rates(args: Any) -> dict[str, float]:
    """Learning rate of each component: vision_lr and merger_lr where set, learning_rate elsewhere."""
    rates = dict.fromkeys(("embed", "llm", "vision", "merger", "head"), args.learning_rate)
    if args.vision_lr is not None:
        rates["vision"] = args.vision_lr
    if args.merger_lr is not None:
        rates["merger"] = args.merger_lr
    return rates


def build_groups(
    named: Iterable[tuple[str, nn.Parameter]], rates: dict[str, float], weight_decay: float
) -> list[dict[str, Any]]:
    """Group trainable parameters by component and weight decay.

    Args:
        named: names and parameters of the model.
        rates: learning rate per component.
        weight_decay: for matrices; vectors (biases, norms) get none.

    Returns:
        Optimizer groups with the keys params, lr, weight_decay, name; no empty ones.
    """
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        component = component_of(name)
        # ZeRO-3 keeps an empty placeholder; its true shape is in ds_shape.
        decays = len(getattr(parameter, "ds_shape", parameter.shape)) > 1
        key = f"{component}/{'decay' if decays else 'no_decay'}"
        group = {"params": [], "lr": rates[component], "weight_decay": weight_decay if decays else 0.0, "name": key}
        groups.setdefault(key, group)["params"].append(parameter)
    return list(groups.values())


class ComponentOptimizer(Trainer):
    """Trainer whose optimizer has one group per component; shared by both stages."""

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Build the optimizer named by --optim over the component groups."""
        if self.optimizer is None:
            target: Any = self.model if model is None else model
            groups = build_groups(
                target.named_parameters(), component_learning_rates(self.args), self.args.weight_decay
            )
            optimizer_class, options = Trainer.get_optimizer_cls_and_kwargs(self.args, target)
            self.optimizer = optimizer_class(groups, **options)
        return self.optimizer
