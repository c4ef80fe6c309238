"""What the doctor's tests share: its checks, quick flags, data with and without faults."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from src.model.load import load_model
from tests.nano_data import write_pictures
from tests.runs import SFT

SFT_CHECKS = ["data", "lengths", "dropped", "labels", "components", "images", "gradients", "movement", "memory"]
GRPO_CHECKS = [*SFT_CHECKS[:5], "rewards", "logprobs", *SFT_CHECKS[5:]]
STATES = ("pass", "warn", "fail")
QUICK = ["--steps", "2", "--rows", "4", "--gradient_accumulation_steps", "1"]
# Language model only: no fault of the picture's path shows as a missing gradient.
TEXT_LORA = [*SFT, "--vision_lora", "False"]
Diagnosis = Callable[..., dict[str, Any]]


def write_captions(folder: Path) -> Path:
    """Captions: their rewards are graded, so that even random answers differ. Prompts differ in length."""
    classes = write_pictures(folder, 10)
    questions = ("Describe it.", "What does this picture of a county show, in a few words of English?")
    rows = [
        {
            "id": str(index),
            "image": f"{index}.png",
            "conversations": [
                {"from": "human", "value": f"<image>\n{questions[index % 2]}"},
                {"from": "gpt", "value": f"some {name} and a few buildings near the road"},
            ],
            "question_type": "caption",
        }
        for index, name in enumerate(classes)
    ]
    question = {"from": "human", "value": "What grows in a field?"}
    answer = {"from": "gpt", "value": "wheat and other crops near the road"}
    rows += [{"id": f"t{i}", "conversations": [question, answer], "question_type": "caption"} for i in range(2)]
    path = folder / "vqa.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    return path


def frozen(model: nn.Module, part: str) -> nn.Module:
    """The model with one part's weights untrainable."""
    for name, parameter in model.named_parameters():
        if part in name:
            parameter.requires_grad_(False)
    return model


def save_adapter(tiny: Path, out: Path, *targets: str) -> Path:
    """A fresh adapter on these layers."""
    model = load_model(str(tiny), dtype=torch.float32)
    get_peft_model(model, LoraConfig(r=2, target_modules=list(targets))).save_pretrained(out)
    return out


def with_bad_rows(path: Path, *bad: dict[str, Any]) -> Path:
    """The data file with more rows at its end."""
    rows = json.loads(path.read_text(encoding="utf-8"))
    out = path.with_name("bad.json")
    out.write_text(json.dumps([*rows, *bad]), encoding="utf-8")
    return out


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    """LLaVA turns."""
    return [{"from": role, "value": text} for role, text in pairs]
