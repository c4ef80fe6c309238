"""The doctor passes a healthy run of either stage, and names each planted fault of weights, pictures and sampling."""

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn

import src.model.lora as lora
import src.train.doctor_checks as checks
import src.train.reward_funcs as reward_funcs
import src.train.train_grpo as train_grpo
import src.train.train_sft as train_sft
import src.trainer.param_groups as param_groups
from src.dataset.collate import SftCollator
from src.dataset.sft_dataset import MediaOptions
from src.model.components import COMPONENTS
from src.model.load import load_model
from src.model.patches import vision_language_core
from src.train import doctor
from src.trainer.grpo_trainer import GrpoTrainer
from tests.runs import GRPO, SFT
from tests.train.doctor_cases import (
    GRPO_CHECKS,
    QUICK,
    SFT_CHECKS,
    TEXT_LORA,
    Diagnosis,
    frozen,
    save_adapter,
    turns,
)

# --- healthy runs


def test_healthy_sft_run_passes(diagnose: Diagnosis, sft_data: Path, tmp_path: Path, repo: Path) -> None:
    before = sorted(path for path in tmp_path.rglob("*"))
    flags = ("--freeze_merger", "False", "--output_dir", tmp_path / "out", "--deepspeed", repo / "scripts/zero2.json")
    record = diagnose(sft_data, *SFT, *flags)
    assert [check["name"] for check in record["checks"]] == SFT_CHECKS
    assert (record["fail"], record["warn"]) == ({}, {})
    figures = {check["name"]: check["figures"] for check in record["checks"]}
    assert (figures["data"]["rows"], figures["data"]["text_only_share"]) == (15, 0.2)
    assert figures["movement"]["moved"].keys() == {"vision", "merger", "llm"}
    assert figures["memory"]["fits"] == {"24 GB": True, "40 GB": True, "80 GB": True}
    assert record["stage"] == "sft" and record["seconds"] > 0
    # Nothing is written but the report.
    assert sorted(path for path in tmp_path.rglob("*") if path.parts[-2:] != ("report", "doctor.json")) == sorted(
        [*before, tmp_path / "report"]
    )


def test_healthy_grpo_run_passes(diagnose: Diagnosis, grpo_data: Path) -> None:
    record = diagnose(grpo_data, *GRPO)
    assert [check["name"] for check in record["checks"]] == GRPO_CHECKS
    assert record["fail"] == {}
    figures = {check["name"]: check["figures"] for check in record["checks"]}
    assert figures["rewards"]["n"] == 8 * 4 and figures["rewards"]["flat_share"] < 0.5
    assert figures["logprobs"]["largest"] < 1e-4
    assert record["stage"] == "grpo"


@pytest.mark.parametrize("bits", ["4", "8"])
def test_qlora_runs_pass(diagnose: Diagnosis, sft_data: Path, grpo_data: Path, bits: str) -> None:
    """On some CPUs bitsandbytes could not train 4-bit weights any more after a pass in evaluation mode.

    TRL made the merger of a quantised base bfloat16, which its float32 inputs did not fit.
    """
    for flags in ((sft_data, *SFT, "--gradient_checkpointing", "True"), (grpo_data, *GRPO)):
        assert diagnose(*flags, *QUICK, "--bits", bits, "--freeze_merger", "False")["fail"] == {}


def test_weights_are_put_back(tiny: Path, sft_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    build = train_sft.build_model
    monkeypatch.setattr(train_sft, "build_model", lambda *args: models.append(build(*args)) or models[-1])
    monkeypatch.setattr(sys, "argv", ["doctor", "--model_id", str(tiny), "--data_path", str(sft_data), *SFT, *QUICK])
    assert doctor.main() == 0
    matrices = [p for name, p in models[0].named_parameters() if "lora_B" in name]
    assert len(matrices) > 10 and not any(matrix.any() for matrix in matrices)


# --- planted faults of the trainable weights


def test_frozen_merger_that_should_train(diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare = train_sft.prepare_trainable
    monkeypatch.setattr(train_sft, "prepare_trainable", lambda *a, **k: frozen(prepare(*a, **k), "merger"))
    record = diagnose(sft_data, *SFT, *QUICK, "--freeze_merger", "False")
    assert list(record["fail"]) == ["components"]
    assert "ask to train the merger, but none of its weights is trainable" in record["fail"]["components"]


def test_weights_that_train_against_the_flags(
    diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unfreeze(*args: Any, **kwargs: Any) -> nn.Module:
        model = prepare(*args, **kwargs)
        vision_language_core(model).visual.merger.requires_grad_(True)
        return model

    prepare = train_sft.prepare_trainable
    monkeypatch.setattr(train_sft, "prepare_trainable", unfreeze)
    record = diagnose(sft_data, *SFT, *QUICK)
    assert list(record["fail"]) == ["components"]
    assert "freeze the merger, but 24,800 of its weights train" in record["fail"]["components"]


def test_lora_pattern_that_matches_nothing(
    diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(lora.LORA_PATTERNS, "vision", re.compile(r"visual\.layers\.\d+"))
    record = diagnose(sft_data, *SFT, *QUICK)
    assert list(record["fail"]) == ["components"]
    assert "matches no module" in record["fail"]["components"]
    assert record["warn"]["gradients"] == "not run: needs a model"


def test_lora_flags_that_leave_nothing(diagnose: Diagnosis, sft_data: Path) -> None:
    record = diagnose(sft_data, *SFT, *QUICK, "--lora_namespan_exclude", "['visual']")
    assert list(record["fail"]) == ["components"]
    assert "no LoRA module is left in component 'vision'" in record["fail"]["components"]


def test_lora_on_a_tied_head_in_either_stage(
    diagnose: Diagnosis, sft_data: Path, grpo_data: Path, tiny: Path, tmp_path: Path
) -> None:
    adapter = save_adapter(tiny, tmp_path / "adapter", "lm_head", "q_proj")
    for flags in ((sft_data, *TEXT_LORA, "--lora_weight_path", adapter), (grpo_data, *GRPO, "--stage1", adapter)):
        record = diagnose(*flags, *QUICK)
        assert list(record["fail"]) == ["components"]
        assert "embeddings and head" in record["fail"]["components"]


def test_lora_on_a_tied_head_of_the_model_itself(tiny: Path) -> None:
    model = get_peft_model(load_model(str(tiny), dtype=torch.float32), LoraConfig(r=2, target_modules=["lm_head"]))
    flags = SimpleNamespace(freeze_llm=True, unfreeze_topk_llm=0, freeze_vision_tower=True, unfreeze_topk_vision=0)
    flags.freeze_merger = True
    wishes = SimpleNamespace(lora_enable=False, vision_lora=False, lora_bias="none")
    check = checks.check_components(model, flags, wishes, dict.fromkeys(COMPONENTS, 1e-4))
    assert check.status == "fail" and "share one matrix" in check.detail


def test_adapter_loaded_untrainable(
    diagnose: Diagnosis, sft_data: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = save_adapter(tiny, tmp_path / "adapter", "q_proj")
    monkeypatch.setattr(
        train_sft, "prepare_trainable", lambda model, *a, **k: PeftModel.from_pretrained(model, str(adapter))
    )
    record = diagnose(sft_data, *TEXT_LORA, *QUICK)
    assert list(record["fail"]) == ["components"]
    assert "nothing is trainable: the adapter was loaded for inference" in record["fail"]["components"]
    assert record["warn"]["movement"] == "not run: needs a trainable weight"
    assert "images" in record["pass"]


def test_no_gradient_reaches_the_tower(diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut_off(*args: Any) -> nn.Module:
        model = build(*args)
        patches = vision_language_core(model).visual.merger
        patches.register_forward_pre_hook(lambda module, inputs: (inputs[0].detach(), *inputs[1:]))
        return model

    build = train_sft.build_model
    monkeypatch.setattr(train_sft, "build_model", cut_off)
    record = diagnose(sft_data, *SFT, *QUICK)
    assert list(record["fail"]) == ["gradients", "movement"]
    assert "no gradient reaches the vision" in record["fail"]["gradients"]
    assert "did not change the vision" in record["fail"]["movement"]


def test_optimizer_that_forgets_a_component(
    diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = param_groups.build_groups
    monkeypatch.setattr(
        param_groups, "build_groups", lambda *a: [g for g in build(*a) if not g["name"].startswith("merger")]
    )
    record = diagnose(sft_data, *SFT, *QUICK, "--freeze_merger", "False")
    assert list(record["fail"]) == ["movement"]
    assert "2 steps did not change the merger" in record["fail"]["movement"]


def test_text_only_data_for_the_tower(diagnose: Diagnosis, tmp_path: Path) -> None:
    rows = [{"conversations": turns(("human", f"Is {i} odd?"), ("gpt", "no"))} for i in range(8)]
    path = tmp_path / "text.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    record = diagnose(path, *SFT, *QUICK, "--merger_lr", "0", "--freeze_merger", "False")
    assert "no gradient reaches the vision" in record["fail"]["gradients"]
    assert "no sampled row has a picture" in record["warn"]["images"]
    assert "the merger has learning rate 0" in record["fail"]["components"]


def test_zero3_offload_is_counted(diagnose: Diagnosis, grpo_data: Path, repo: Path) -> None:
    flags = ("--deepspeed", repo / "scripts/zero3_offload.json", "--gradient_checkpointing", "True")
    record = diagnose(grpo_data, *GRPO, *QUICK, *flags)
    assert record["fail"] == {}
    assert "masters and optimizer and weights offloaded" in record["pass"]["memory"]


# --- planted faults of the pictures


def test_collator_that_drops_pictures(diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collate = SftCollator.__call__
    monkeypatch.setattr(
        SftCollator,
        "__call__",
        lambda self, samples: {k: v for k, v in collate(self, samples).items() if k not in sft_pictures},
    )
    sft_pictures = ("pixel_values", "image_grid_thw")
    # Padded, since packed rows cannot be trained blind at all.
    record = diagnose(sft_data, *TEXT_LORA, *QUICK, "--padding_free", "False")
    assert list(record["fail"]) == ["images"]
    assert "its batch has no pixel_values, so the model trains blind" in record["fail"]["images"]


def test_model_that_ignores_pictures(diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(*args: Any) -> nn.Module:
        model = build(*args)
        vision_language_core(model).visual.merger.register_forward_hook(lambda m, i, output: output * 0)
        return model

    build = train_sft.build_model
    monkeypatch.setattr(train_sft, "build_model", blind)
    record = diagnose(sft_data, *TEXT_LORA, *QUICK)
    assert list(record["fail"]) == ["images"]
    assert "blanking the picture does not change the answer's logits" in record["fail"]["images"]


def test_loader_that_always_gives_one_picture(
    diagnose: Diagnosis, sft_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, first = MediaOptions.read, str(sft_data.parent / "0.png")
    monkeypatch.setattr(MediaOptions, "read", lambda self, path: read(self, first))
    record = diagnose(sft_data, *TEXT_LORA, *QUICK)
    assert list(record["fail"]) == ["images"]
    assert "every file reaches the model as the same pixels" in record["fail"]["images"]


def test_grpo_that_drops_pictures(diagnose: Diagnosis, grpo_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predecessor's stage 2 handed over images under a key that TRL did not read."""

    def without_pictures(self: GrpoTrainer, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        text_only = [
            row
            | {
                "images": [],
                "prompt": [{**m, "content": [p for p in m["content"] if p["type"] == "text"]} for m in row["prompt"]],
            }
            for row in inputs
        ]
        return score(self, text_only)

    score = GrpoTrainer._generate_and_score_completions
    monkeypatch.setattr(GrpoTrainer, "_generate_and_score_completions", without_pictures)
    record = diagnose(grpo_data, *GRPO, *QUICK, "--freeze_merger", "True")
    assert "no pixel_values" in record["fail"]["images"]


# --- planted faults of sampling


def test_constant_rewards(diagnose: Diagnosis, grpo_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rsvqa_reward(completions: list[Any], **columns: Any) -> list[float]:
        return [0.7] * len(completions)

    monkeypatch.setitem(reward_funcs.REWARD_FUNCS, "rsvqa_reward", rsvqa_reward)
    record = diagnose(grpo_data, *GRPO, *QUICK)
    assert list(record["fail"]) == ["rewards"]
    assert "the rewards of all 4 groups of 4 are constant (mean 0.700)" in record["fail"]["rewards"]


def test_reward_of_the_wrong_length(diagnose: Diagnosis, grpo_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The predecessor's reward returned one value for any batch."""
    monkeypatch.setitem(reward_funcs.REWARD_FUNCS, "rsvqa_reward", lambda completions, **columns: [0.7])
    record = diagnose(grpo_data, *GRPO, *QUICK)
    assert "returned 1 rewards, but 8 were expected" in record["fail"]["rewards"]
    assert record["warn"]["logprobs"] == "not run: needs sampled completions"


def test_processor_that_pads_on_the_right(
    diagnose: Diagnosis, grpo_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TRL 1.16 then shifts mm_token_type_ids of shorter prompts, silently."""

    def right_padding(*args: Any, **kwargs: Any) -> Any:
        processor = load(*args, **kwargs)
        processor.tokenizer.padding_side = "right"
        return processor

    load = doctor.load_processor
    monkeypatch.setattr(doctor, "load_processor", right_padding)
    # All rows, so that short and long prompts meet in one batch.
    stock = ["--shared_prefix", "False"]
    record = diagnose(grpo_data, *GRPO, *QUICK, *stock, "--gradient_accumulation_steps", "2", "--rows", "12")
    # Where the shift leaves a placeholder count that cannot be placed, the pass itself stops.
    assert re.search("padding side|shape mismatch", " ".join(record["fail"].values()))


def test_truncated_sampling_is_named(diagnose: Diagnosis, grpo_data: Path) -> None:
    record = diagnose(grpo_data, *GRPO, *QUICK, "--top_k", "5")
    assert record["fail"] == {}
    assert "--top_k" in record["warn"]["logprobs"] and "biased" in record["warn"]["logprobs"]


def test_reference_that_is_not_the_start(diagnose: Diagnosis, grpo_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An adapter that already says something, with the bare base as its KL reference."""

    def shifted(*args: Any) -> GrpoTrainer:
        trainer = build(*args)
        with torch.no_grad():
            for name, parameter in trainer.model.named_parameters():
                if "lora_B" in name:
                    parameter.fill_(0.05)
        return trainer

    build = train_grpo.build_trainer
    monkeypatch.setattr(train_grpo, "build_trainer", shifted)
    record = diagnose(grpo_data, *GRPO, *QUICK)
    assert list(record["fail"]) == ["logprobs"]
    assert "KL reference is not the policy" in record["fail"]["logprobs"]
