"""Packed dialogues give the loss and the gradients of padded ones; packed attention is attention part by part."""

from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers import AutoModelForImageTextToText

from src.budget import PixelBudget
from src.constants import IGNORE_INDEX
from src.dataset.collate import SftCollator
from src.dataset.schema import Conversation, Turn
from src.dataset.sft_dataset import MediaOptions, SftDataset
from src.model.load import load_processor
from src.model.lora import prepare_trainable
from src.model.nano import build_variant
from src.model.packed_attention import PACKED, pack_vision_windows, packed_attention
from src.model.patches import vision_language_core
from src.params import LoraArguments, ModelArguments, SftArguments
from src.trainer.packing import pack_dialogues, packed_text_attention
from src.trainer.sft_trainer import SftTrainer
from tests.tiny import move, picture

FAMILIES = ("qwen2_5_vl", "qwen2_vl")


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    return build_variant(tmp_path_factory.mktemp("packing") / request.param, "tiny", request.param)


@pytest.fixture(scope="module")
def samples(folder, tmp_path_factory):
    """Dialogues without, with one and with two pictures, of one to three turns."""
    place = tmp_path_factory.mktemp("pictures")
    rows = []
    for index, (pictures, turns) in enumerate([(0, 1), (1, 3), (2, 2), (1, 1)]):
        paths = []
        for number in range(pictures):
            paths.append(str(place / f"{index}_{number}.png"))
            picture(84 + 56 * number, 84 + 28 * index, seed=index).save(paths[-1])
        made = []
        for turn in range(turns):
            content = [{"type": "image"}] * (pictures if turn == 0 else 0)
            made.append(Turn("user", (*content, {"type": "text", "text": f"Question {turn} about {'land ' * index}?"})))
            made.append(Turn("assistant", ({"type": "text", "text": f"Answer {turn}: {'yes ' * (index + turn)}."},)))
        rows.append(Conversation(str(index), tuple(paths), (), tuple(made), {}))
    processor = load_processor(str(folder))
    dataset = SftDataset(rows, processor, MediaOptions(PixelBudget(784, 784 * 64, 0)))
    return processor, [dataset[index] for index in range(len(rows))]


def make_trainer(folder, out, *, packed: bool, checkpointing: bool = False, vision_lora: bool = True) -> SftTrainer:
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    if packed:
        pack_vision_windows(model)
    lora = LoraArguments(lora_enable=True, vision_lora=vision_lora, lora_rank=4, lora_dropout=0.0)
    model = prepare_trainable(model, ModelArguments(model_id=str(folder), freeze_merger=False), lora)
    if checkpointing:
        model.enable_input_require_grads()
    args = SftArguments(
        output_dir=str(out),
        use_cpu=True,
        report_to=[],
        padding_free=packed,
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False},
    )
    trainer = SftTrainer(model, args)
    move(trainer.model, 0.02)
    if checkpointing:
        trainer.model.gradient_checkpointing_enable({"use_reentrant": False})
    return trainer


@pytest.mark.parametrize("checkpointing", [False, True])
def test_same_loss_and_gradients(folder, samples, tmp_path, checkpointing):
    processor, rows = samples
    batch = SftCollator(processor.tokenizer.pad_token_id)(rows)
    found = []
    for packed in (False, True):
        trainer = make_trainer(folder, tmp_path / str(packed), packed=packed, checkpointing=checkpointing)
        model = trainer.model.train()
        count = int((batch["labels"] != IGNORE_INDEX).sum())
        trainer.current_gradient_accumulation_steps = 1
        loss = trainer.training_step(model, dict(batch), num_items_in_batch=torch.tensor(count))
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        found.append((loss, gradients))
    (loss_a, grads_a), (loss_b, grads_b) = found
    torch.testing.assert_close(loss_a, loss_b, rtol=1e-5, atol=1e-6)
    assert set(grads_a) == set(grads_b)
    assert any("visual" in name and "lora_A" in name for name in grads_a)
    total_a, total_b = (torch.cat([g.flatten() for g in grads.values()]) for grads in (grads_a, grads_b))
    assert (total_a - total_b).norm() / total_a.norm() < 1e-5


def test_pictures_of_a_frozen_tower_are_encoded_once(folder, samples, tmp_path):
    """Four pictures, one of them in two dialogues; the second pass encodes none, and the merger trains alike."""
    processor, rows = samples
    batch = SftCollator(processor.tokenizer.pad_token_id)([*rows, rows[1]])
    found = []
    for packed in (False, True):
        trainer = make_trainer(folder, tmp_path / str(packed), packed=packed, vision_lora=False)
        model = trainer.model.train()
        assert (trainer.vision_cache is not None) == packed
        for _ in range(2):
            trainer.compute_loss(model, dict(batch)).backward()
        found.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert trainer.vision_cache.encoded == 4
    assert any("merger" in name for name in found[0])
    stock, ours = (torch.cat([gradient.flatten() for gradient in one.values()]) for one in found)
    assert (stock - ours).norm() / stock.norm() < 1e-5


def test_evaluation_packs_too_and_generation_is_left_alone(folder, samples, tmp_path):
    processor, rows = samples
    trainer = make_trainer(folder, tmp_path, packed=True)
    batch = SftCollator(processor.tokenizer.pad_token_id)(rows)
    model = trainer.model.eval()
    with torch.no_grad():
        packed = trainer.compute_loss(model, dict(batch))
        stock = model(**batch).loss
    torch.testing.assert_close(packed, stock, rtol=1e-5, atol=1e-6)
    assert vision_language_core(model).language_model.config._attn_implementation == "sdpa"


def test_nothing_is_computed_on_padding(folder, samples, tmp_path):
    """The row is as long as its dialogues; logits exist where labels are."""
    processor, rows = samples
    batch = SftCollator(processor.tokenizer.pad_token_id)(rows)
    core = vision_language_core(make_trainer(folder, tmp_path, packed=True).model)
    inputs, targets = pack_dialogues(core, batch)
    assert inputs["input_ids"].shape == (1, int(batch["attention_mask"].sum()))
    assert inputs["input_ids"].shape[1] < batch["input_ids"].numel()
    assert len(inputs["logits_to_keep"]) == len(targets) == int((batch["labels"] != IGNORE_INDEX).sum())
    starts = (inputs["position_ids"][0, 0] == 0).nonzero()[:, 0].tolist()
    lengths = batch["attention_mask"].sum(1)
    assert starts == [0, *lengths.cumsum(0)[:-1].tolist()]


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_part_by_part(causal):
    """Parts of 3, 2, 3 and 1 tokens, two query heads on one key head."""
    torch.manual_seed(0)
    lengths = [3, 2, 3, 1]
    query, key, value = torch.randn(1, 2, 9, 4), torch.randn(1, 1, 9, 4), torch.randn(1, 1, 9, 4)
    layer = SimpleNamespace(is_causal=causal)
    borders = torch.tensor([0, *lengths]).cumsum(0)
    ours, _ = packed_attention(layer, query, key, value, None, cu_seq_lens_q=borders)
    by_positions = torch.cat([torch.arange(n) for n in lengths])[None]
    again, _ = packed_attention(layer, query, key, value, None, position_ids=by_positions)
    keys, values = key.expand(1, 2, -1, -1), value.expand(1, 2, -1, -1)
    parts = [
        scaled_dot_product_attention(*(rows[:, :, a:b] for rows in (query, keys, values)), is_causal=causal)
        for a, b in zip(borders[:-1], borders[1:], strict=True)
    ]
    torch.testing.assert_close(ours, torch.cat(parts, dim=2).transpose(1, 2))
    assert torch.equal(ours, again)


def test_padding_is_refused():
    rows = torch.zeros(2, 1, 3, 4)
    with pytest.raises(ValueError, match="one packed row"):
        packed_attention(SimpleNamespace(is_causal=True), rows, rows, rows, None)


def test_vision_tower_is_unchanged_by_packing(folder):
    """Pictures whose windows are whole and cut."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    grid = torch.tensor([[1, 16, 16], [1, 10, 6]])
    pixels = torch.randn(int(grid.prod(-1).sum()), 1176, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        stock = model.model.visual(pixels, grid_thw=grid).pooler_output
        pack_vision_windows(model)
        assert model.model.visual.config._attn_implementation == PACKED
        packed = model.model.visual(pixels, grid_thw=grid).pooler_output
    torch.testing.assert_close(stock, packed, rtol=1e-5, atol=1e-6)


def test_packed_attention_ends_with_the_step(folder):
    model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="sdpa")
    with packed_text_attention(model.model):
        assert model.model.language_model.config._attn_implementation == PACKED
    assert model.model.language_model.config._attn_implementation == "sdpa"
