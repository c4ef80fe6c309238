"""A tiny model whose greedy answers depend on the question, and what the engine's tests ask it."""

import torch

from src.model.engine import Engine
from src.model.load import load_model, load_processor


def lively_engine(base: str) -> Engine:
    """Weights large enough that answers differ; sharper ones make a wrong position visible."""
    model = load_model(base, dtype=torch.float32)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return Engine(model, load_processor(base))


def ask(text, *pictures, before=()):
    """A dialogue that ends in a question with pictures."""
    parts = [{"type": "image", "image": image} for image in pictures]
    return [*before, {"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def answered(messages, answer):
    """The dialogue with its answer."""
    return [*messages, {"role": "assistant", "content": answer}]
