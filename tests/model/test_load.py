"""Families come from configs, adapters stand only on what they were trained on, and nothing loads by halves."""

import json
import logging
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.integrations import deepspeed

from src.errors import InputError, MissingPathError
from src.model import load
from src.model.adapters import (
    adapter_base,
    adapter_chain,
    adapter_lineage,
    check_lineage,
    fingerprint_adapter,
    fingerprint_model,
    is_adapter,
)
from src.model.load import (
    attention_implementation,
    cast_parameters,
    load_model,
    load_policy,
    load_processor,
    model_family,
    processor_source,
)
from src.model.merge import sample_inputs, sample_logits
from src.model.nano import build_variant


def copy(source: str, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def test_the_family_is_read_from_the_config_and_not_from_the_name(base, family, tmp_path):
    """The predecessor looked for "Qwen2.5" in the path and loaded merged models as the wrong class."""
    assert model_family(base) == family
    misleading = copy(base, tmp_path / ("Qwen2.5-VL" if family == "qwen2_vl" else "Qwen2-VL"))
    assert model_family(str(misleading)) == family
    model = load_model(str(misleading), dtype=torch.float32)
    assert model.config.model_type == family
    assert type(model) is load.MODEL_CLASSES[family]


def test_an_adapter_is_no_model(stage1):
    with pytest.raises(InputError, match="is an adapter"):
        load_model(stage1, dtype=torch.float32)


def test_unknown_families_and_missing_folders_are_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(InputError, match="'llama'"):
        model_family(str(tmp_path))
    with pytest.raises(MissingPathError, match="no such folder"):
        model_family(str(tmp_path / "absent"))
    with pytest.raises(MissingPathError, match="no such folder"):
        model_family("./absent")
    (tmp_path / "config.json").unlink()
    with pytest.raises(MissingPathError, match="no config.json"):
        model_family(str(tmp_path))


def test_a_hub_id_that_cannot_be_reached_says_so(monkeypatch):
    def unreachable(*args, **kwargs):
        raise OSError("no connection")

    monkeypatch.setattr(load.PreTrainedConfig, "get_config_dict", unreachable)
    with pytest.raises(MissingPathError, match="on the hub or in its cache .no connection"):
        model_family("owner/model")


@pytest.mark.parametrize(
    ("cuda", "installed", "disabled", "expected"),
    [
        (True, True, False, "flash_attention_2"),
        (True, True, True, "sdpa"),
        (True, False, False, "sdpa"),
        (False, True, False, "sdpa"),
    ],
)
def test_flash_attention_needs_cuda_and_the_package(cuda, installed, disabled, expected, monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(load, "is_flash_attn_2_available", lambda: installed)
    with caplog.at_level(logging.INFO, logger="src.model.load"):
        assert attention_implementation(disabled) == expected
    assert [record.getMessage() for record in caplog.records] == [f"attention implementation: {expected}"]


def test_the_processor_pads_left_and_keeps_its_template(base, processor):
    assert processor.tokenizer.padding_side == "left"
    assert processor.chat_template == Path(base, "chat_template.jinja").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("removed", "message"),
    [
        (["chat_template.jinja"], "no chat template"),
        (["processor_config.json"], "no processor found"),
        (["processor_config.json", "config.json", "tokenizer_config.json"], "only a tokenizer"),
    ],
)
def test_a_folder_without_a_whole_processor_is_refused(base, tmp_path, removed, message):
    folder = copy(base, tmp_path / "model")
    for name in removed:
        (folder / name).unlink()
    with pytest.raises(InputError, match=message):
        load_processor(str(folder))


def test_the_last_adapter_with_a_processor_provides_it(base, processor, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    second.mkdir()
    assert processor_source([str(first), str(second)], base) == base
    processor.save_pretrained(first)
    assert processor_source([str(first), str(second)], base) == str(first)


def test_missing_weights_are_refused_rather_than_made_up(base, tmp_path):
    """The predecessor's final file reloaded with 105 random weights and no error."""
    folder = copy(base, tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["visual.merger.ln_q.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="1 weights are missing.*merger.ln_q"):
        load_model(str(folder), dtype=torch.float32)


@pytest.mark.parametrize(("bits", "kind"), [(4, "Linear4bit"), (8, "Linear8bitLt")])
def test_only_the_language_model_is_quantised(base, bits, kind):
    model = load_model(base, dtype=torch.float32, bits=bits)
    kinds = {name: type(module).__name__ for name, module in model.named_modules()}
    quantised = [name for name, found in kinds.items() if found == kind]
    assert len(quantised) == 14 and all(".language_model.layers." in name for name in quantised)
    assert kinds["model.visual.blocks.0.attn.qkv"] == kinds["model.visual.merger.mlp.0"] == "Linear"
    assert kinds["lm_head"] == "Linear"


def test_casting_leaves_the_rotary_frequencies_alone(base, processor, tmp_path):
    """model.to(bfloat16) rounds them, so that a model in memory differs from the same model read back."""
    model = cast_parameters(load_model(base, dtype=torch.float32), torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16} == {model.dtype}
    assert {buffer.dtype for name, buffer in model.named_buffers() if "inv_freq" in name} == {torch.float32}
    assert model.lm_head.weight is model.model.language_model.embed_tokens.weight
    inputs = sample_inputs(processor)
    logits = sample_logits(model, inputs)
    model.save_pretrained(tmp_path)
    assert torch.equal(logits, sample_logits(load_model(str(tmp_path), dtype=torch.bfloat16), inputs))


def test_the_policy_is_the_base_with_the_adapters_in_order(base, stage1, stage2, processor):
    inputs = sample_inputs(processor)
    plain = sample_logits(load_policy(base, [], dtype=torch.float32), inputs)
    first = sample_logits(load_policy(base, [stage1], dtype=torch.float32), inputs)
    both = load_policy(base, [stage1, stage2], dtype=torch.float32)
    assert (plain - first).abs().max() > 1e-2 and (first - sample_logits(both, inputs)).abs().max() > 1e-2
    assert both.folded_adapters == ((stage1, fingerprint_adapter(stage1)), (stage2, fingerprint_adapter(stage2)))
    half = load_policy(base, [stage1], dtype=torch.bfloat16)
    weights = half.state_dict()
    exact = load_policy(base, [stage1], dtype=torch.float32).state_dict()
    for name, value in exact.items():
        assert torch.equal(weights[name], value.to(torch.bfloat16)), "folded in float32, then cast once"


def test_the_policy_is_loaded_whole_under_zero_3(base, stage1):
    """ZeRO-3's split loading would leave empty matrices to fold into."""
    config = deepspeed.HfDeepSpeedConfig({"zero_optimization": {"stage": 3}, "train_micro_batch_size_per_gpu": 1})
    try:
        policy = load_policy(base, [stage1], dtype=torch.float32)
        assert all(parameter.numel() for parameter in policy.parameters())
        assert deepspeed.is_deepspeed_zero3_enabled(), "the trainer still needs the setting"
    finally:
        del config
        deepspeed.unset_hf_deepspeed_config()


def test_adapters_name_their_base_and_what_came_before(base, stage1, stage2):
    assert is_adapter(stage1) and not is_adapter(base)
    assert adapter_base(stage1) == adapter_base(stage2) == base
    lineage = adapter_lineage(stage2)
    assert lineage.base_fingerprint == fingerprint_model(base) != ""
    assert lineage.folded == ((stage1, fingerprint_adapter(stage1)),)
    assert adapter_lineage(stage1).folded == ()
    assert adapter_chain(stage2) == [stage1, stage2]
    with pytest.raises(MissingPathError, match="no such adapter folder"):
        adapter_base(f"{stage1}-absent")
    with pytest.raises(InputError, match="no adapter_config.json"):
        adapter_base(base)


@pytest.mark.parametrize("chain", [["stage2"], ["stage2", "stage1"], ["stage1", "stage1"]])
def test_adapters_out_of_order_are_refused(base, stage1, stage2, chain):
    """Stage 2 on a bare base answers worse than either, without any sign of it."""
    folders = {"stage1": stage1, "stage2": stage2}
    with pytest.raises(InputError, match="was trained on"):
        load_policy(base, [folders[name] for name in chain], dtype=torch.float32)


def test_a_base_of_other_weights_is_refused(base, family, stage1, tmp_path):
    other = str(build_variant(tmp_path / "other", "tiny", family, seed=1))
    assert fingerprint_model(other) != fingerprint_model(base)
    with pytest.raises(InputError, match="was trained on another base"):
        load_policy(other, [stage1], dtype=torch.float32)


def test_an_adapter_on_a_vanished_stage_says_so(stage1, stage2, tmp_path):
    moved = copy(stage2, tmp_path / "moved")
    config = json.loads((moved / "adapter_config.json").read_text())
    config["auto_mapping"]["lineage"]["folded"][0][0] = str(tmp_path / "gone")
    (moved / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(MissingPathError, match="not there any more"):
        adapter_chain(str(moved))


def edited(adapter: str, folder: Path, **changes) -> str:
    """A copy of an adapter whose config differs; None removes a field."""
    copy(adapter, folder)
    config = json.loads((folder / "adapter_config.json").read_text()) | changes
    kept = {key: value for key, value in config.items() if value is not None}
    (folder / "adapter_config.json").write_text(json.dumps(kept))
    return str(folder)


def test_adapters_made_elsewhere_are_known_by_name_only(base, stage1, tmp_path, caplog):
    foreign = edited(stage1, tmp_path / "foreign", auto_mapping=None)
    check_lineage(foreign, base, [])
    assert not caplog.records
    check_lineage(foreign, str(tmp_path / "Other-Model"), [])
    assert "check that they are the same" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"base_model_name_or_path": None}, "does not name a base"), ({"peft_type": "IA3"}, "expected LORA")],
)
def test_unusable_adapter_configs_are_named(stage1, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        adapter_base(edited(stage1, tmp_path / "edited", **changes))


def test_a_broken_adapter_config_is_named(stage1, tmp_path):
    folder = copy(stage1, tmp_path / "broken")
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        adapter_base(folder)


def test_sharded_models_have_a_fingerprint(base, tmp_path):
    load_model(base, dtype=torch.float32).save_pretrained(tmp_path, max_shard_size="200KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 1
    before = fingerprint_model(str(tmp_path))
    shard = sorted(tmp_path.glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    assert len(before) == 16 and fingerprint_model(str(tmp_path)) != before
    assert fingerprint_model("") == ""


def test_an_adapter_whose_config_and_weights_disagree_is_refused(base, stage1, stage2, tmp_path):
    """PEFT only warns about missing weights, and the module then does nothing."""
    other_rank = edited(stage1, tmp_path / "rank", r=4)
    with pytest.raises(InputError, match="does not fit the model .*size mismatch"):
        load_policy(base, [other_rank], dtype=torch.float32)
    for source, before, lost in ((stage1, [], "layers.0.mlp.up_proj"), (stage2, [stage1], "visual.merger.ln_q")):
        folder = copy(source, tmp_path / lost)
        weights = load_file(folder / "adapter_model.safetensors")
        kept = {name: value for name, value in weights.items() if lost not in name}
        save_file(kept, folder / "adapter_model.safetensors", {"format": "pt"})
        with pytest.raises(InputError, match=f"holds nothing for .*{lost}"):
            load_policy(base, [*before, str(folder)], dtype=torch.float32)
