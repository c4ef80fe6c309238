"""What the tests of src.model do with tiny models."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from src.model.lora import prepare_trainable
from src.model.merge import sample_inputs
from src.params import LoraArguments, ModelArguments


def move(model, scale=0.05):
    """Change every trainable weight, as training would."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * scale)


def train_step(model, processor, learning_rate=1e-2):
    """One AdamW step on the merge sample; returns the names of the weights that moved."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    inputs = sample_inputs(processor)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=learning_rate)
    model.train()
    # Two steps: at the first, LoRA's A gets no gradient because B is zero.
    for _ in range(2):
        optimizer.zero_grad()
        model(**inputs, labels=inputs["input_ids"]).loss.backward()
        optimizer.step()
    return {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}


def picture(width=112, height=112, seed=0):
    """A picture of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def make_adapter(folder: Path, model, base: str, lora: dict, **flags) -> str:
    """Put LoRA on, move it, save it."""
    lora_args = LoraArguments(**({"lora_enable": True} | lora))
    wrapped = prepare_trainable(model, ModelArguments(model_id=base, **flags), lora_args)
    move(wrapped)
    wrapped.save_pretrained(folder)
    return str(folder)
