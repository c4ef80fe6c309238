"""Packed groups give the log-probabilities, gradients and answers of the stock path."""

import copy
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig

from src.model.load import load_processor
from src.model.nano import build_variant
from src.model.patches import vision_language_core
from src.params import GrpoArguments
from src.trainer import shared_groups
from src.trainer.group_sampler import sample_groups
from src.trainer.grpo_trainer import GrpoTrainer
from src.trainer.shared_prefix import block_causal
from tests.tiny import move, picture

FAMILIES = ("qwen2_5_vl", "qwen2_vl")
LORA = r".*language_model.*\.(q|k|v|o|gate|up|down)_proj"
VISION_LORA = rf"{LORA}|.*visual\.blocks.*\.(qkv|proj)"


def rows(count: int = 4) -> list[dict]:
    """Questions about no, one or two pictures of different sizes."""
    made = []
    for index in range(count):
        pictures = [picture(56 + 28 * (index % 3), 84, seed=index)] * min(index % 3 + (index == 3), 1)
        pictures += [picture(112, 56, seed=9)] if index == 2 else []
        content = [{"type": "image"} for _ in pictures] + [{"type": "text", "text": f"How many fields? {'ab' * index}"}]
        made.append({"prompt": [{"role": "user", "content": content}], "images": pictures, "answer": str(index)})
    return made


def varied_reward(completions, **_):
    """Differs within groups."""
    return [len(completion[0]["content"]) % 5 / 5 for completion in completions]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory) -> Path:
    return build_variant(tmp_path_factory.mktemp("shared") / request.param, "tiny", request.param)


def make_trainer(folder: Path, out: Path, *, shared: bool, target: str = LORA, **options) -> GrpoTrainer:
    """Stage 2 with LoRA and a trained merger, float32."""
    from transformers import AutoModelForImageTextToText

    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
    merger = "merger" if options.pop("train_merger", True) else None
    args = GrpoArguments(
        output_dir=str(out),
        use_cpu=True,
        bf16=False,
        num_generations=4,
        max_completion_length=6,
        report_to=[],
        **({"per_device_train_batch_size": 8, "beta": 0.04, "gradient_checkpointing": False} | options),
    )
    trainer = GrpoTrainer(
        model,
        reward_funcs=[varied_reward],
        args=args,
        train_dataset=Dataset.from_list([{"prompt": json.dumps(row["prompt"])} for row in rows()]),
        processing_class=load_processor(str(folder)),
        peft_config=LoraConfig(r=4, target_modules=target, modules_to_save=[merger] if merger else None),
        shared_prefix=shared,
    )
    move(trainer.model, 0.02)
    return trainer


def replay(monkeypatch, trainer: GrpoTrainer, completions: list[list[int]]) -> None:
    """Make generation return these completions."""
    monkeypatch.setattr(trainer, "_generate_single_turn", lambda *_, **__: (completions, None))


def some_completions(trainer: GrpoTrainer, count: int, seed: int = 0) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    end = trainer._tokenizer.eos_token_id
    return [
        torch.randint(300, 900, (int(torch.randint(0, 6, (1,), generator=generator)),), generator=generator).tolist()
        + [end]
        for _ in range(count)
    ]


def batch_of(count: int = 2, repeat: int = 4) -> list[dict]:
    return [copy.deepcopy(row) for row in rows(4)[-count:] for _ in range(repeat)]


def losses_and_gradients(monkeypatch, trainer, inputs, completions):
    replay(monkeypatch, trainer, completions)
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    torch.manual_seed(0)
    output = trainer._generate_and_score_completions(inputs)
    trainer.model.zero_grad()
    loss = trainer._compute_loss(trainer.model, output)
    loss.backward()
    gradients = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
    return output, loss.detach(), gradients


def assert_same(stock, shared):
    (a, loss_a, grad_a), (b, loss_b, grad_b) = stock, shared
    torch.testing.assert_close(
        a["ref_per_token_logps"] * a["completion_mask"], b["ref_per_token_logps"], rtol=1e-5, atol=1e-5
    )
    torch.testing.assert_close(loss_a, loss_b, rtol=1e-5, atol=1e-6)
    assert set(grad_a) == set(grad_b)
    assert len(grad_a) > 5
    for name, gradient in grad_a.items():
        scale = gradient.abs().max().clamp(min=1e-8)
        assert ((gradient - grad_b[name]).abs().max() / scale) < 1e-4, name
    total_a, total_b = (torch.cat([g.flatten() for g in grads.values()]) for grads in (grad_a, grad_b))
    assert (total_a - total_b).norm() / total_a.norm() < 1e-5


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"train_merger": False},
        {"gradient_checkpointing": True},
        {"target": VISION_LORA},
    ],
    ids=["merger", "frozen-vision", "checkpointing", "vision-lora"],
)
def test_same_log_probabilities_and_gradients(monkeypatch, family, tmp_path, options):
    """Text-only, one and several pictures, uneven completions, in one batch."""
    results = []
    for shared in (False, True):
        trainer = make_trainer(family, tmp_path / str(shared), shared=shared, **dict(options))
        completions = some_completions(trainer, 16)
        results.append(losses_and_gradients(monkeypatch, trainer, batch_of(4), completions))
    assert_same(*results)


@pytest.mark.parametrize("iterations", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_same_curve_over_fifty_steps(monkeypatch, family, tmp_path, iterations):
    """The real training loop on replayed completions, with one and with several iterations per batch."""
    curves, weights = [], []
    for shared in (False, True):
        options = {"max_steps": 50, "num_iterations": iterations, "learning_rate": 2e-3, "logging_steps": 1}
        trainer = make_trainer(
            family, tmp_path / str(shared), shared=shared, save_strategy="no", disable_tqdm=True, **options
        )
        trainer.train_dataset = rows()
        calls = iter(range(50))
        monkeypatch.setattr(
            trainer,
            "_generate_single_turn",
            lambda *_, trainer=trainer, calls=calls, **__: (some_completions(trainer, 8, next(calls)), None),
        )
        trainer.train()
        curves.append(torch.tensor([log["loss"] for log in trainer.state.log_history if "loss" in log]))
        weights.append(torch.cat([p.detach().flatten() for p in trainer.model.parameters() if p.requires_grad]))
    assert len(curves[0]) == 50 and curves[0].std() > 1e-3
    torch.testing.assert_close(curves[0], curves[1], rtol=1e-4, atol=1e-5)
    assert (weights[0] - weights[1]).norm() / weights[0].norm() < 1e-4


def test_groups_cut_by_a_micro_batch(monkeypatch, family, tmp_path):
    """Six of eight rows: the second group has two members."""
    results = []
    for shared in (False, True):
        trainer = make_trainer(family, tmp_path / str(shared), shared=shared)
        trainer._calculate_rewards = lambda *_: torch.arange(8.0)[:, None] % 3
        completions = some_completions(trainer, 8)
        replay(monkeypatch, trainer, completions)
        trainer.model.train()
        trainer.current_gradient_accumulation_steps = 1
        output = trainer._generate_and_score_completions(batch_of(2))
        if shared:
            part = {key: value[:6] if value.ndim else value for key, value in output.items()}
        else:
            pixels = output["pixel_values"]
            grids, counts = output["image_grid_thw"], output["num_images"][:6]
            images = sum(counts)
            patches = int(grids[:images].prod(-1).sum())
            part = {
                key: value[:6] if isinstance(value, list) or value.ndim else value
                for key, value in output.items()
                if key not in ("pixel_values", "image_grid_thw")
            } | {"pixel_values": pixels[:patches], "image_grid_thw": grids[:images]}
        trainer.model.zero_grad()
        loss = trainer._compute_loss(trainer.model, part)
        loss.backward()
        gradients = {n: p.grad.clone() for n, p in trainer.model.named_parameters() if p.grad is not None}
        results.append((output, loss.detach(), gradients))
    assert_same(*results)


def test_each_picture_is_encoded_once(monkeypatch, family, tmp_path):
    """Generation, reference and policy together encode the distinct pictures once, and never again."""
    trainer = make_trainer(family, tmp_path, shared=True)
    runs = []
    vision_language_core(trainer.model).visual.blocks[0].register_forward_pre_hook(
        lambda _, args, kwargs: runs.append(1), with_kwargs=True
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = 1
    for _ in range(2):
        output = trainer._generate_and_score_completions(batch_of(3))
        trainer._compute_loss(trainer.model, output).backward()
    # Rows 1 to 3 hold pictures 1, then 2 and 9, then 3 (each its own); row 3 has one.
    assert trainer.vision_cache.encoded == len({key for p in trainer._prompts["train"].values() for key in p.keys})
    assert len(runs) == 1


def test_a_small_cache_still_gives_the_same(monkeypatch, family, tmp_path):
    """With no room for anything, every pass encodes again and nothing else changes."""
    results = []
    for size in (64.0, 1e-6):
        trainer = make_trainer(family, tmp_path / str(size), shared=True)
        cache = trainer.vision_cache
        cache._budgets = {"device": size * 2**20, "host": size * 2**20}
        results.append(losses_and_gradients(monkeypatch, trainer, batch_of(4), some_completions(trainer, 16)))
        assert (len(cache._features) > 0) == (size > 1)
    assert_same(*results)


def test_generation_draws_from_the_stock_distribution(monkeypatch, family, tmp_path):
    """With the same random state and nothing dropped, the answers are those of ``generate``."""
    answers = []
    for shared in (False, True):
        trainer = make_trainer(family, tmp_path / str(shared), shared=shared)
        trainer.model.train()
        torch.manual_seed(3)
        monkeypatch.setattr(shared_groups, "sample_groups", partial(sample_groups, drop=False))
        output = trainer._generate_and_score_completions(batch_of(4))
        answers.append((output["completion_ids"] * output["completion_mask"]).tolist())
    assert answers[0] == answers[1]


def test_mask_by_hand():
    """Padding, two prefix tokens, two completions of two tokens."""
    mask = block_causal(torch.tensor([[-1, 0, 0, 1, 1, 2, 2]]))[0, 0].int().tolist()
    assert mask == [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 1, 0, 0],
        [0, 1, 1, 0, 0, 1, 0],
        [0, 1, 1, 0, 0, 1, 1],
    ]
