"""The merged model is the base plus the adapters, and nothing is written that was not proved."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from src.budget import PixelBudget
from src.errors import InputError, VerificationError, run_command
from src.model import merge
from src.model.adapters import attach_adapter
from src.model.load import load_model, load_policy, load_processor
from src.model.lora import prepare_trainable
from src.model.merge import (
    check_target,
    merge_adapters,
    relative_difference,
    sample_inputs,
    sample_logits,
    score_difference,
)
from src.model.nano import build_variant
from src.params import LoraArguments, ModelArguments
from tests.tiny import make_adapter, move

Q_PROJ = "language_model.layers.1.self_attn.q_proj"


@pytest.fixture(scope="module")
def merged(base, stage1, stage2, tmp_path_factory):
    """Both stages merged in float32, with the report."""
    out = tmp_path_factory.mktemp("merged") / "model"
    return str(out), merge_adapters([stage1, stage2], out, dtype=torch.float32)


def contents(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


def test_a_merged_weight_is_the_weight_plus_scale_times_b_times_a(base, stage1, tmp_path):
    merge_adapters([stage1], tmp_path / "out", dtype=torch.float32)
    before = load_model(base, dtype=torch.float32).state_dict()[f"model.{Q_PROJ}.weight"]
    after = load_model(str(tmp_path / "out"), dtype=torch.float32).state_dict()[f"model.{Q_PROJ}.weight"]
    adapter = load_file(Path(stage1) / "adapter_model.safetensors")
    a, b = (adapter[f"base_model.model.model.{Q_PROJ}.lora_{half}.weight"] for half in "AB")
    assert a.shape[0] == 32 and (b @ a).abs().max() > 1e-3
    # Scale is alpha / rank = 16 / 32.
    torch.testing.assert_close(after, before + 0.5 * b @ a, rtol=0, atol=1e-7)


def test_the_merged_model_answers_as_base_and_adapters_do(merged, base, stage1, stage2, processor):
    out, report = merged
    inputs = sample_inputs(processor)
    policy = attach_adapter(load_policy(base, [stage1], dtype=torch.float32), stage2)
    expected = sample_logits(policy, inputs)
    found = sample_logits(load_model(out, dtype=torch.float32), inputs)
    assert relative_difference(expected, found) <= 1e-5
    assert report["adapters"] == [stage1, stage2] and report["base"] == base
    assert all(difference <= 1e-5 for difference in report["fold_relative_difference"].values())
    assert all(effect > 1e-2 for effect in report["adapter_effect"].values())
    assert report["cast_relative_difference"] == report["reload_relative_difference"] == 0
    assert report["max_abs_logit"] == pytest.approx(float(expected.abs().max()), rel=1e-4)


def test_the_merged_merger_is_the_trained_one(merged, base, stage2):
    """The predecessor kept the merger in a side file that its merge forgot."""
    trained = load_file(Path(stage2) / "adapter_model.safetensors")
    start = load_model(base, dtype=torch.float32).model.visual.merger.state_dict()
    for name, value in load_model(merged[0], dtype=torch.float32).model.visual.merger.state_dict().items():
        assert torch.equal(value, trained[f"base_model.model.model.visual.merger.{name}"]), name
        assert not torch.equal(value, start[name]), name


def test_half_precision_is_checked_and_scored(base, stage1, tmp_path):
    report = merge_adapters([stage1], tmp_path / "out")
    assert report["dtype"] == "bfloat16"
    assert 0 < report["cast_relative_difference"] <= 3e-2
    assert report["reload_relative_difference"] <= 1e-6
    assert 0 < report["cast_score_difference"]["mean_abs_log_probability"] < 0.1
    assert report["cast_score_difference"]["same_best_token"] > 0.9
    weights = load_file(tmp_path / "out" / "model.safetensors")
    assert {value.dtype for value in weights.values()} == {torch.bfloat16}


def test_score_difference_by_hand():
    # Two tokens; log-probabilities of the best: log(0.8) against log(0.5), and log(0.5) both times, order swapped.
    reference = torch.tensor([[0.8, 0.2], [0.5, 0.5]]).log()
    other = torch.tensor([[0.5, 0.5], [0.5, 0.5]]).log()
    found = score_difference(reference, other)
    assert found["mean_abs_log_probability"] == pytest.approx(0.4700036 / 2, abs=1e-6)
    assert found["same_best_token"] == 1.0


def test_relative_difference_by_hand():
    assert relative_difference(torch.tensor([1.0, -4.0]), torch.tensor([1.5, -4.0])) == 0.125
    assert relative_difference(torch.tensor([1.0]), torch.tensor([float("nan")])) == float("inf")


def test_merging_again_gives_the_same_files(base, stage1, tmp_path):
    out = tmp_path / "out"
    merge_adapters([stage1], out)
    first = contents(out)
    merge_adapters([stage1], out)
    assert contents(out) == first
    assert [path.name for path in tmp_path.iterdir()] == ["out"], "no scratch folder is left"


def test_the_model_that_was_merged_can_be_trained_on(merged, processor, tmp_path):
    """A later adapter on the merged model stands on that model alone."""
    model = load_model(merged[0], dtype=torch.float32)
    adapter = make_adapter(tmp_path / "next", model, merged[0], {"lora_rank": 4})
    report = merge_adapters([adapter], tmp_path / "out")
    assert report["base"] == merged[0]


def test_dora_adapters_merge(base, tmp_path):
    model = load_model(base, dtype=torch.float32)
    adapter = make_adapter(tmp_path / "dora", model, base, {"use_dora": True, "vision_lora": True})
    assert any("lora_magnitude_vector" in name for name in load_file(Path(adapter) / "adapter_model.safetensors"))
    report = merge_adapters([adapter], tmp_path / "out", dtype=torch.float32)
    assert report["fold_relative_difference"][adapter] <= 1e-5 < report["adapter_effect"][adapter]


def test_the_pixel_budget_and_template_of_the_last_adapter_survive(base, stage1, tmp_path):
    adapter = tmp_path / "adapter"
    shutil.copytree(stage1, adapter)
    processor = load_processor(base)
    PixelBudget(12544, 25088).apply(processor)
    processor.chat_template += "{# trained with this #}"
    processor.save_pretrained(adapter)
    merge_adapters([str(adapter)], tmp_path / "out")
    kept = load_processor(str(tmp_path / "out"))
    assert PixelBudget.of(kept) == PixelBudget(12544, 25088)
    assert kept.chat_template.endswith("{# trained with this #}")
    assert json.loads((tmp_path / "out" / "generation_config.json").read_text())["eos_token_id"] is not None


def test_an_adapter_that_changes_nothing_is_reported(base, tmp_path, caplog):
    model = prepare_trainable(
        load_model(base, dtype=torch.float32), ModelArguments(model_id=base), LoraArguments(lora_enable=True)
    )
    model.save_pretrained(tmp_path / "idle")
    report = merge_adapters([str(tmp_path / "idle")], tmp_path / "out")
    assert report["adapter_effect"] == {str(tmp_path / "idle"): 0.0}
    assert "changes nothing" in caplog.text


def foreign_adapter(base: str, folder: Path, targets: list[str]) -> str:
    """An adapter as other tools make it: no record of its base's weights."""
    model = get_peft_model(load_model(base, dtype=torch.float32), LoraConfig(target_modules=targets, r=4))
    move(model)
    model.save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("target", ["lm_head", "embed_tokens"])
def test_lora_on_a_tied_matrix_is_refused(base, tmp_path, target):
    """Both deltas land in one matrix: merged and unmerged logits differed by 0.85 on a scale of 0.93."""
    adapter = foreign_adapter(base, tmp_path / "tied", ["q_proj", target])
    with pytest.raises(InputError, match="embeddings and head are one matrix"):
        merge_adapters([adapter], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_adapter_of_another_shape_is_refused(base, family, tmp_path):
    adapter = foreign_adapter(base, tmp_path / "adapter", ["q_proj"])
    config = {"base": str(build_variant(tmp_path / "small" / "base", "small", family))}
    with pytest.raises(InputError, match="has no place for .*q_proj.lora_A.weight .4, 64."):
        merge_adapters([adapter], tmp_path / "out", **config)


def test_an_adapter_of_the_other_family_is_refused(base, family, tmp_path):
    other = "qwen2_vl" if family == "qwen2_5_vl" else "qwen2_5_vl"
    vision = "gate_proj" if family == "qwen2_5_vl" else "fc1"
    adapter = foreign_adapter(base, tmp_path / "adapter", [f"mlp.{vision}"])
    elsewhere = str(build_variant(tmp_path / "other" / "base", "tiny", other))
    with pytest.raises(InputError, match="has no place for"):
        merge_adapters([adapter], tmp_path / "out", base=elsewhere)


def test_an_adapter_of_other_weights_is_refused(base, family, stage1, tmp_path):
    elsewhere = str(build_variant(tmp_path / "base", "tiny", family, seed=1))
    with pytest.raises(InputError, match="another base"):
        merge_adapters([stage1], tmp_path / "out", base=elsewhere)


def test_a_quantised_base_is_refused(base, stage1, tmp_path):
    """Merging into 4-bit weights rounds the adapter away."""
    load_model(base, dtype=torch.float32, bits=8).save_pretrained(tmp_path / "base")
    load_processor(base).save_pretrained(tmp_path / "base")
    adapter = foreign_adapter(base, tmp_path / "adapter", ["q_proj"])
    with pytest.raises(InputError, match="is quantised"):
        merge_adapters([adapter], tmp_path / "out", base=str(tmp_path / "base"))


@pytest.mark.parametrize(("name", "stage"), [("FOLD_TOLERANCE", "folding"), ("CAST_TOLERANCE", "cast to")])
def test_a_failed_check_writes_nothing(base, stage1, tmp_path, monkeypatch, name, stage):
    monkeypatch.setattr(merge, name, -1.0)
    with pytest.raises(VerificationError, match=stage):
        merge_adapters([stage1], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_does_not_read_back_is_not_published(base, stage1, tmp_path, monkeypatch):
    """A write that loses a weight must not leave a folder that looks finished, nor harm an older one."""
    merge_adapters([stage1], tmp_path / "out")
    older = contents(tmp_path / "out")
    original = type(load_model(base, dtype=torch.float32)).save_pretrained

    def damaged(self, folder, **options):
        original(self, folder, **options)
        weights = load_file(folder / "model.safetensors")
        weights["visual.merger.mlp.2.bias"] += 1
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(type(load_model(base, dtype=torch.float32)), "save_pretrained", damaged)
    with pytest.raises(VerificationError, match="reading back"):
        merge_adapters([stage1], tmp_path / "out")
    assert contents(tmp_path / "out") == older
    with pytest.raises(VerificationError, match="reading back"):
        merge_adapters([stage1], tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_changed_processor_is_not_published(base, stage1, tmp_path, monkeypatch):
    original = merge.load_processor

    def other_budget(folder, cache_dir=None):
        processor = original(folder, cache_dir)
        PixelBudget(784 * len(folder), 784 * 10000).apply(processor)
        return processor

    monkeypatch.setattr(merge, "load_processor", other_budget)
    with pytest.raises(VerificationError, match="pixel budget or chat template"):
        merge_adapters([stage1], tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_other_folders_are_not_overwritten(base, stage1, tmp_path):
    (tmp_path / "empty").mkdir()
    check_target(tmp_path / "empty", [base])
    check_target(tmp_path / "new", [base])
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    for out, message in ((tmp_path / "notes", "holds no model"), (Path(stage1), "one of the inputs")):
        with pytest.raises(InputError, match=message):
            merge_adapters([stage1], out)
    shutil.copytree(stage1, tmp_path / "adapter")
    with pytest.raises(InputError, match="holds no model"):
        check_target(tmp_path / "adapter", [base])
    assert contents(tmp_path / "notes") == {"a.txt": b"mine"}


def run(monkeypatch, *arguments) -> int:
    """Exit code of the command with these arguments."""
    monkeypatch.setattr(sys, "argv", ["merge", *arguments])
    with pytest.raises(SystemExit) as stopped:
        run_command(merge.main)
    return stopped.value.code


def test_the_command_keeps_old_spellings_and_says_what_was_proved(base, stage1, stage2, tmp_path, monkeypatch, capsys):
    out, report = tmp_path / "out", tmp_path / "reports" / "merge.json"
    old = ["--model-path", stage1, stage2, "--model-base", base, "--save-model-path", str(out), "--safe-serialization"]
    assert run(monkeypatch, *old, "--report", str(report)) == 0
    shown = capsys.readouterr().out
    assert "read back: 0.0e+00" in shown and f"{stage2}: changes logits by" in shown
    assert json.loads(report.read_text())["out"] == str(out)
    assert load_model(str(out), dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_command_tells_bad_input_from_a_failed_check(stage1, stage2, tmp_path, monkeypatch, capsys):
    flags = ["--out", str(tmp_path / "out")]
    assert run(monkeypatch, "--adapters", stage2, *flags) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"InputError: {stage2} was trained on")
    monkeypatch.setattr(merge, "FOLD_TOLERANCE", -1.0)
    assert run(monkeypatch, "--adapters", stage1, *flags) == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("VerificationError: ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("family", ["qwen2_5_vl"], indirect=True, scope="session")
def test_the_script_reads_its_environment(stage1, tmp_path, repo):
    script = ["bash", str(repo / "scripts" / "merge_lora.sh")]
    shown = subprocess.run([*script, "--help"], capture_output=True, text=True, check=True).stdout
    assert "ADAPTERS" in shown and "OUTPUT_DIR" in shown
    env = os.environ | {"ADAPTERS": stage1, "OUTPUT_DIR": str(tmp_path / "out"), "BASE": ""}
    done = subprocess.run([*script, "--dtype", "float32"], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert load_model(str(tmp_path / "out"), dtype=torch.float32).dtype == torch.float32
