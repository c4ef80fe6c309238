"""What the flags say is trained, and nothing else; it is saved in the adapter and comes back."""

import re

import pytest
import torch
from safetensors.torch import load_file

from src.errors import InputError, TrainingError
from src.model.adapters import attach_adapter
from src.model.load import load_model, load_policy
from src.model.lora import (
    COMPONENTS,
    LORA_PATTERNS,
    check_no_embeddings,
    component_of,
    component_table,
    format_table,
    full_modules,
    lora_target_modules,
    prepare_trainable,
    require_trainable,
)
from src.model.merge import sample_inputs, sample_logits
from src.params import LoraArguments, ModelArguments
from tests.tiny import make_adapter, train_step

# Linear layers of the tiny models: 7 in each of 2 language layers; 4 (Qwen2-VL) or 5 in each of 2 vision blocks.
LLM_LAYERS = 14
VISION_LAYERS = {"qwen2_vl": 8, "qwen2_5_vl": 10}


@pytest.fixture(scope="module")
def frozen(base):
    """A model that tests only look at."""
    return load_model(base, dtype=torch.float32)


def model_args(**flags):
    return ModelArguments(model_id="tiny", **flags)


def lora_args(**flags):
    return LoraArguments(**({"lora_enable": True} | flags))


@pytest.mark.parametrize(
    ("name", "component"),
    [
        ("model.language_model.embed_tokens.weight", "embed"),
        ("lm_head.weight", "head"),
        ("model.language_model.norm.weight", "llm"),
        ("model.language_model.layers.0.self_attn.q_proj.bias", "llm"),
        ("base_model.model.model.language_model.layers.1.mlp.up_proj.lora_A.default.weight", "llm"),
        ("module.base_model.model.model.visual.blocks.0.attn.qkv.base_layer.weight", "vision"),
        ("model.visual.patch_embed.proj.weight", "vision"),
        ("_orig_mod.model.visual.merger.mlp.0.weight", "merger"),
        ("module.base_model.model.model.visual.merger.modules_to_save.default.ln_q.weight", "merger"),
        ("visual.merger.ln_q.weight", "merger"),
        ("model.layers.3.input_layernorm.weight", "llm"),
    ],
)
def test_components_are_known_under_every_prefix(name, component):
    assert component_of(name) == component


def test_a_parameter_of_no_component_is_an_error():
    with pytest.raises(InputError, match="no known component"):
        component_of("audio_tower.conv.weight")


def test_lora_sits_on_linear_layers_of_language_model_and_vision_blocks(frozen, family):
    language = lora_target_modules(frozen, model_args(), lora_args())
    assert len(language) == LLM_LAYERS and {component_of(name) for name in language} == {"llm"}
    both = lora_target_modules(frozen, model_args(), lora_args(vision_lora=True))
    assert len(both) == LLM_LAYERS + VISION_LAYERS[family]
    assert {type(frozen.get_submodule(name)) for name in both} == {torch.nn.Linear}
    assert not any(re.search("patch_embed|merger|lm_head|embed_tokens", name) for name in both)


def test_no_pattern_reaches_the_patch_embedding_or_the_head(frozen):
    """A pattern that ends in proj also hits the Conv3d visual.patch_embed.proj, which breaks ZeRO-3."""
    for name, _ in frozen.named_modules():
        if re.search("patch_embed|merger|lm_head|embed_tokens|norm", name):
            assert not any(pattern.fullmatch(name) for pattern in LORA_PATTERNS.values())


def test_excluded_names_and_the_last_modules_are_honoured(frozen, family):
    excluded = lora_args(vision_lora=True, lora_namespan_exclude="['mlp', 'lm_head']")
    names = lora_target_modules(frozen, model_args(), excluded)
    # 4 attention projections a language layer, qkv and proj a vision block.
    assert len(names) == 2 * 4 + 2 * 2 and not any("mlp" in name for name in names)
    last = lora_target_modules(frozen, model_args(), lora_args(num_lora_modules=3))
    parts = ("gate_proj", "up_proj", "down_proj")
    assert last == [f"model.language_model.layers.1.mlp.{part}" for part in parts]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"lora_namespan_exclude": "['no_such_part']"}, "in no module name"),
        ({"lora_namespan_exclude": "['language_model']"}, "no LoRA module is left in component 'llm'"),
        ({"vision_lora": True, "num_lora_modules": 2}, "no LoRA module is left in component 'vision'"),
    ],
)
def test_a_selection_that_leaves_nothing_is_an_error(frozen, flags, message):
    with pytest.raises(InputError, match=message):
        lora_target_modules(frozen, model_args(), lora_args(**flags))


def test_a_pattern_that_matches_nothing_is_an_error(frozen):
    with pytest.raises(InputError, match="component 'llm' matches no module"):
        lora_target_modules(frozen.model.visual, model_args(), lora_args())


def test_embeddings_and_head_are_refused_as_targets():
    """The predecessor adapted both halves of a tied matrix, which no merge can undo."""
    with pytest.raises(InputError, match="may be one matrix"):
        check_no_embeddings(["model.language_model.layers.0.mlp.up_proj", "lm_head"])
    with pytest.raises(InputError, match="may be one matrix"):
        check_no_embeddings(["model.language_model.embed_tokens"])


@pytest.mark.parametrize(
    ("model_flags", "lora_flags", "message"),
    [
        ({"freeze_llm": False}, {}, "needs --freeze_llm True"),
        ({"freeze_vision_tower": False}, {"vision_lora": True}, "needs --freeze_vision_tower True"),
        ({}, {"lora_enable": False}, "nothing to train"),
        ({"bits": 4, "freeze_merger": False}, {"lora_enable": False}, "quantised weights cannot be trained"),
        ({"bits": 8, "unfreeze_topk_llm": 1}, {}, "quantised layers cannot be trained"),
        ({"unfreeze_topk_llm": 3}, {"lora_enable": False}, "expected 1 to 2"),
        ({"unfreeze_topk_vision": -1}, {}, "expected 1 to 2"),
    ],
)
def test_contradictory_flags_are_refused(frozen, model_flags, lora_flags, message):
    with pytest.raises(InputError, match=message):
        prepare_trainable(frozen, model_args(**model_flags), lora_args(**lora_flags))


@pytest.mark.parametrize(
    ("flags", "trained"),
    [
        ({"freeze_llm": False}, r"model\.language_model\..*"),
        ({"freeze_vision_tower": False}, r"model\.visual\.(patch_embed|blocks)\..*"),
        ({"freeze_merger": False}, r"model\.visual\.merger\..*"),
        ({"unfreeze_topk_llm": 1, "freeze_merger": False}, r"model\.(language_model\.layers\.1|visual\.merger)\..*"),
        ({"unfreeze_topk_vision": 1}, r"model\.visual\.blocks\.1\..*"),
    ],
)
def test_full_training_unfreezes_what_the_flags_name(base, flags, trained):
    model = prepare_trainable(load_model(base, dtype=torch.float32), model_args(**flags), LoraArguments())
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == bool(re.fullmatch(trained, name)), name


def test_the_table_counts_each_component_once(base, family):
    model = prepare_trainable(
        load_model(base, dtype=torch.float32), model_args(freeze_merger=False), lora_args(lora_rank=4)
    )
    rows = {row["component"]: row for row in component_table(model, {"llm": 2e-4, "merger": 1e-5, "vision": 1e-6})}
    # Rank 4 times inputs plus outputs: q, o 64+64; k, v 64+32; gate, up 64+128; down 128+64; two layers.
    lora = 2 * 4 * (2 * 128 + 2 * 96 + 3 * 192)
    merger = 128 * 128 + 128 + 128 * 64 + 64 + (64 if family == "qwen2_vl" else 32)
    assert rows["llm"]["trainable"] == lora and rows["llm"]["learning_rate"] == 2e-4
    assert rows["merger"] == {
        "component": "merger", "parameters": merger, "trainable": merger, "share": 1.0, "learning_rate": 1e-5,
    }  # fmt: skip
    assert rows["vision"]["trainable"] == 0 and rows["vision"]["learning_rate"] is None
    frozen_size = sum(parameter.numel() for parameter in load_model(base, dtype=torch.float32).parameters())
    assert rows["all"]["parameters"] == frozen_size + lora and rows["all"]["trainable"] == lora + merger
    assert set(rows) - {"all"} < set(COMPONENTS)


def test_the_table_knows_packed_weights(base):
    whole = component_table(load_model(base, dtype=torch.float32))
    packed = component_table(load_model(base, dtype=torch.float32, bits=4))
    assert [row["parameters"] for row in packed] == [row["parameters"] for row in whole]


def test_the_table_is_readable():
    row = {"component": "llm", "parameters": 3085938688, "trainable": 59867136, "share": 0.0194, "learning_rate": 2e-4}
    assert format_table([row]).splitlines() == [
        "component       parameters     trainable    share  learning rate",
        "llm          3,085,938,688    59,867,136    1.94%        2.0e-04",
    ]


def test_stage_one_moves_the_adapters_and_nothing_else(base, family, processor):
    model = prepare_trainable(load_model(base, dtype=torch.float32), model_args(), lora_args(vision_lora=True))
    moved = train_step(model, processor)
    assert moved == {name for name, _ in model.named_parameters() if ".lora_" in name}
    assert len(moved) == 2 * (LLM_LAYERS + VISION_LAYERS[family])


def test_stage_two_moves_and_saves_the_merger(base, stage1, processor, tmp_path):
    """The predecessor's --freeze_merger False had no effect under GRPO: PEFT froze the merger again."""
    policy = load_policy(base, [stage1], dtype=torch.float32)
    before = {name: value.clone() for name, value in policy.model.visual.merger.state_dict().items()}
    model = prepare_trainable(policy, model_args(freeze_merger=False), lora_args(lora_rank=8))
    assert model.peft_config["default"].modules_to_save == ["merger"]
    moved = train_step(model, processor)
    assert {component_of(name) for name in moved} == {"llm", "merger"}
    assert all(".lora_" in name or ".modules_to_save." in name for name in moved)
    trained = sample_logits(model, sample_inputs(processor))
    model.save_pretrained(tmp_path)
    saved = load_file(tmp_path / "adapter_model.safetensors")
    for name, value in before.items():
        assert not torch.equal(saved[f"base_model.model.model.visual.merger.{name}"], value), name
    again = attach_adapter(load_policy(base, [stage1], dtype=torch.float32), str(tmp_path))
    assert torch.equal(sample_logits(again, sample_inputs(processor)), trained)
    with again.disable_adapter():
        start = sample_logits(load_policy(base, [stage1], dtype=torch.float32), sample_inputs(processor))
        assert torch.equal(sample_logits(again, sample_inputs(processor)), start), "the reference is stage 1's policy"


@pytest.mark.parametrize(
    ("flags", "lora_flags", "whole"),
    [
        ({"unfreeze_topk_llm": 1}, {}, ["model.language_model.layers.1"]),
        ({"unfreeze_topk_vision": 1}, {"vision_lora": True}, ["model.visual.blocks.1"]),
        (
            {"freeze_vision_tower": False},
            {},
            ["model.visual.patch_embed", "model.visual.blocks.0", "model.visual.blocks.1"],
        ),
    ],
)
def test_layers_trained_in_full_beside_lora_come_back(base, processor, tmp_path, flags, lora_flags, whole):
    plain = load_model(base, dtype=torch.float32)
    assert full_modules(plain, model_args(**flags)) == whole
    model = prepare_trainable(plain, model_args(**flags), lora_args(**lora_flags))
    assert model.peft_config["default"].modules_to_save == whole
    moved = train_step(model, processor)
    inner = tuple(f"base_model.model.{name}.modules_to_save." for name in whole)
    assert all(name in moved for name, _ in model.named_parameters() if name.startswith(inner))
    assert not any(".lora_" in name and name.startswith(inner) for name, _ in model.named_parameters())
    trained = sample_logits(model, sample_inputs(processor))
    model.save_pretrained(tmp_path)
    again = attach_adapter(load_model(base, dtype=torch.float32), str(tmp_path))
    assert torch.equal(sample_logits(again, sample_inputs(processor)), trained)


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_training_changes_the_adapter(base, processor, bits):
    model = load_model(base, dtype=torch.float32, bits=bits)
    model = prepare_trainable(model, model_args(bits=bits, freeze_merger=False), lora_args(vision_lora=True))
    moved = train_step(model, processor)
    assert {component_of(name) for name in moved} == {"llm", "vision", "merger"}
    assert moved == {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_every_lora_flag_reaches_peft(base):
    flags = {"use_dora": True, "lora_rank": 3, "lora_alpha": 5, "lora_dropout": 0.25, "lora_bias": "lora_only"}
    model = prepare_trainable(load_model(base, dtype=torch.float32), model_args(), lora_args(**flags))
    config = model.peft_config["default"]
    found = (config.use_dora, config.r, config.lora_alpha, config.lora_dropout, config.bias)
    assert found == (True, 3, 5, 0.25, "lora_only")
    assert any("lora_magnitude_vector" in name and p.requires_grad for name, p in model.named_parameters())
    assert any(name.endswith("q_proj.base_layer.bias") and p.requires_grad for name, p in model.named_parameters())


@pytest.mark.parametrize(("autocast", "dtype"), [(True, torch.float32), (False, torch.bfloat16)])
def test_adapters_stay_in_the_dtype_of_the_base_where_zero_3_needs_it(base, autocast, dtype):
    model = load_model(base, dtype=torch.bfloat16)
    model = prepare_trainable(model, model_args(), lora_args(), autocast_adapter_dtype=autocast)
    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {dtype}


def test_an_adapter_is_continued_trainable(base, stage1, processor):
    args = lora_args(vision_lora=True, lora_weight_path=stage1)
    model = prepare_trainable(load_model(base, dtype=torch.float32), model_args(), args)
    expected = sample_logits(load_policy(base, [stage1], dtype=torch.float32), sample_inputs(processor))
    found = sample_logits(model, sample_inputs(processor))
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert {component_of(name) for name in train_step(model, processor)} == {"llm", "vision"}


@pytest.mark.parametrize(
    ("flags", "vision"), [({}, False), ({"freeze_merger": False}, True), ({"unfreeze_topk_llm": 1}, False)]
)
def test_continuing_with_other_components_is_refused(base, stage1, flags, vision):
    args = lora_args(vision_lora=vision, lora_weight_path=stage1)
    with pytest.raises(InputError, match=r"trains \['llm', 'vision'\], the flags ask for"):
        prepare_trainable(load_model(base, dtype=torch.float32), model_args(**flags), args)


def test_continuing_stage_two_needs_stage_one_beneath(base, stage1, stage2):
    args, flags = lora_args(lora_weight_path=stage2), model_args(freeze_merger=False)
    with pytest.raises(InputError, match="folded in; got"):
        prepare_trainable(load_model(base, dtype=torch.float32), flags, args)
    model = prepare_trainable(load_policy(base, [stage1], dtype=torch.float32), flags, args)
    require_trainable(model)


def test_an_adapter_loaded_for_inference_cannot_be_trained(base, stage1):
    """TRL trains zero parameters to the end without an error."""
    with pytest.raises(TrainingError, match="no parameter is trainable"):
        require_trainable(attach_adapter(load_model(base, dtype=torch.float32), stage1))


def test_biases_can_be_trained_beside_whole_modules(base, processor, tmp_path):
    model = load_model(base, dtype=torch.float32)
    adapter = make_adapter(tmp_path / "a", model, base, {"lora_bias": "all"}, freeze_merger=False)
    args = lora_args(lora_bias="all", lora_weight_path=adapter)
    again = prepare_trainable(load_model(base, dtype=torch.float32), model_args(freeze_merger=False), args)
    folded = sample_logits(load_policy(base, [adapter], dtype=torch.float32), sample_inputs(processor))
    difference = (sample_logits(again, sample_inputs(processor)) - folded).abs().max()
    assert difference <= 1e-5 * folded.abs().max()


@pytest.mark.parametrize("use_reentrant", [True, False])
@pytest.mark.parametrize("flags", [{}, {"vision_lora": True}, {"lora_bias": "all"}])
def test_gradients_run_through_the_vision_tower_only_to_train_it(base, processor, flags, use_reentrant):
    """Checkpointing marks the patch embedding, and a backward pass ran through the frozen tower for nothing."""
    model = load_model(base, dtype=torch.float32)
    model = prepare_trainable(model, model_args(freeze_merger=False), lora_args(**flags))
    model.gradient_checkpointing_enable({"use_reentrant": use_reentrant})
    model.enable_input_require_grads()
    gradients = []

    def watch(module, inputs, output):
        output.register_hook(gradients.append)

    model.get_submodule("base_model.model.model.visual.patch_embed").register_forward_hook(watch)
    moved = train_step(model, processor)
    assert moved == {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert bool(gradients) == bool(flags)
