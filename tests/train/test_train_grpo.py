"""Stage 2 on tiny models: images arrive, rewards arrive, the merger moves, the reference is stage 1."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.budget import PixelBudget
from src.dataset.grpo_dataset import build_grpo_dataset
from src.dataset.sft_dataset import MediaOptions
from src.dataset.store import ConversationStore
from src.errors import InputError, MissingPathError, TrainingError
from src.model.load import load_policy, load_processor
from src.model.patches import vision_language_core
from src.params import GrpoArguments
from src.train import reward_funcs, train_grpo, train_sft
from src.trainer import grpo_trainer
from tests.nano_data import BUDGET_FLAGS, SIDE, write_sft, write_vqa
from tests.runs import GRPO, SFT

SMALL = ["--per_device_train_batch_size", "8", "--max_steps", "2"]


def call(monkeypatch, main, *argv: object) -> None:
    monkeypatch.setattr(sys, "argv", [str(a) for a in ["train", *argv]])
    main()


@pytest.fixture
def train(monkeypatch, tiny):
    """Run stage 2 in this process."""

    def run(data: Path, out: Path, *flags: object) -> Path:
        shared = ["--model_id", tiny, "--data_path", data, "--image_folder", data.parent, "--output_dir", out]
        call(monkeypatch, train_grpo.main, *shared, *GRPO, *SMALL, *flags)
        return out

    return run


@pytest.fixture
def varied(monkeypatch):
    """A reward that differs within every group, so that every step has a gradient."""

    def length_reward(completions, question, **_):
        return [len(completion[0]["content"]) % 5 / 5 for completion in completions]

    monkeypatch.setattr(reward_funcs, "REWARD_FUNCS", {"rsvqa_reward": length_reward})
    return length_reward


def test_merger_and_adapter_move_and_are_saved(train, varied, tmp_path, tiny):
    """--freeze_merger False had no effect in the predecessor's stage 2, and its file was no adapter."""
    out = train(write_vqa(tmp_path / "d"), tmp_path / "out")
    weights = load_file(out / "adapter_model.safetensors")
    base = load_file(tiny / "model.safetensors")
    assert (out / "adapter_config.json").exists()
    lora_b = [w for name, w in weights.items() if "lora_B" in name]
    assert lora_b
    assert all(w.abs().max() > 0 for w in lora_b)
    merger = {name: w for name, w in weights.items() if "merger" in name}
    assert len(merger) == 5
    for name, weight in merger.items():
        twin = next(w for key, w in base.items() if key.endswith(name.split("merger.")[1]) and "merger" in key)
        assert not torch.equal(weight.float(), twin.float()), name
    assert not any("lora" in name and "visual" in name for name in weights)


@pytest.mark.parametrize(("shared", "pictures"), [("True", 2), ("False", 8)])
def test_rewards_get_the_columns_and_images_reach_the_model(train, monkeypatch, tmp_path, shared, pictures):
    """The predecessor's rewards got no reference and its images were dropped: both are watched here."""
    seen: list[dict] = []
    pixels: list[int] = []

    def spy_reward(prompts, completions, question, answer, question_type, **_):
        seen.append({"n": len(completions), "question": question, "answer": answer, "type": question_type})
        assert any(part["type"] == "image" for part in prompts[0][-1]["content"])
        return [float(i % 2) for i in range(len(completions))]

    monkeypatch.setattr(reward_funcs, "REWARD_FUNCS", {"rsvqa_reward": spy_reward})
    real = grpo_trainer.GrpoTrainer.train

    def watched(self, *args, **kwargs):
        visual = vision_language_core(self.model).visual
        visual.register_forward_pre_hook(lambda _, args: pixels.append(args[0].shape[0]))
        return real(self, *args, **kwargs)

    monkeypatch.setattr(grpo_trainer.GrpoTrainer, "train", watched)
    train(write_vqa(tmp_path / "d"), tmp_path / "out", "--shared_prefix", shared)
    assert [call["n"] for call in seen] == [8, 8]
    for row in seen:
        assert set(row["type"]) <= {"presence", "count"}
        assert all(row["answer"])
        assert len(set(row["question"])) <= 2
    # Pictures of 4 x 4 patches in every pass over the prompts: one a group, or one a completion.
    assert set(pixels) == {pictures * 16}


def test_real_reward_scores_what_the_model_wrote(train, tmp_path):
    out = train(write_vqa(tmp_path / "d"), tmp_path / "out")
    rows = [json.loads(line) for line in (out / "completions.jsonl").read_text().splitlines()]
    assert len(rows) == 16
    for row in rows:
        expected = reward_funcs.REWARD_FUNCS["rsvqa_reward"](
            completions=[[{"role": "assistant", "content": row["completion"]}]],
            question=[row["question"]],
            answer=[row["answer"]],
            question_type=[row["type"]],
        )
        assert row["reward"] == pytest.approx(expected[0], abs=1e-4)


def test_mixed_text_and_image_prompts_train(train, varied, tmp_path):
    """TRL hands None for a prompt without images to the processor, which cannot take it."""
    out = train(write_vqa(tmp_path / "d", 4, text_only=4), tmp_path / "out", "--max_steps", "4")
    rows = [json.loads(line) for line in (out / "completions.jsonl").read_text().splitlines()]
    assert {"Is there water in a river?", "Is there water?"} <= {row["question"] for row in rows}


def test_sampled_logprobs_equal_the_trainers(train, varied, monkeypatch, tmp_path):
    """Log-probabilities of sampled tokens, from generation and from the trainer's pass, are the same numbers."""
    compared = []
    real = grpo_trainer.GrpoTrainer._generate_and_score_completions

    def checked(self, inputs):
        batch = real(self, inputs)
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], 1)
        mask = torch.cat([batch["prompt_mask"], batch["completion_mask"]], 1)
        keys = ("pixel_values", "image_grid_thw", "mm_token_type_ids", "num_images")
        media = {key: batch[key] for key in keys if key in batch}
        keep = batch["completion_ids"].shape[1]
        with torch.no_grad():
            ours, _, _ = self._get_per_token_logps_and_entropies(self.model, ids, mask, keep, **media)
            plain = {k: v for k, v in media.items() if k != "num_images"}
            logits = self.model(input_ids=ids, attention_mask=mask, **plain).logits[:, -keep - 1 : -1]
        logps = (logits / self.args.temperature).log_softmax(-1).gather(2, batch["completion_ids"].unsqueeze(2))
        valid = batch["completion_mask"].bool()
        compared.append((ours - logps.squeeze(2))[valid].abs().max().item())
        return batch

    monkeypatch.setattr(grpo_trainer.GrpoTrainer, "_generate_and_score_completions", checked)
    # Packed groups are compared with this path in tests/trainer/test_shared_prefix.py.
    train(write_vqa(tmp_path / "d"), tmp_path / "out", "--max_steps", "1", "--shared_prefix", "False")
    assert compared
    assert max(compared) < 1e-4


def test_starts_from_stage_1_and_refers_to_it(monkeypatch, tiny, varied, tmp_path):
    """Stage 1 was not used by the predecessor; here it is folded in and is the KL reference."""
    data = write_sft(tmp_path / "d", 6)
    sft = tmp_path / "sft"
    shared = ["--model_id", tiny, "--image_folder", data.parent]
    call(monkeypatch, train_sft.main, *shared, "--data_path", data, "--output_dir", sft, *SFT, "--max_steps", 2)
    grabbed = {}
    real = grpo_trainer.GrpoTrainer.train

    def watched(self, *args, **kwargs):
        ids = torch.arange(5, 15).unsqueeze(0)
        with torch.no_grad():
            grabbed["start"] = self.model(input_ids=ids).logits
        result = real(self, *args, **kwargs)
        self.model.eval()
        with torch.no_grad(), self.model.disable_adapter():
            grabbed["reference"] = self.model(input_ids=ids).logits
        return result

    monkeypatch.setattr(grpo_trainer.GrpoTrainer, "train", watched)
    vqa = write_vqa(tmp_path / "d")
    flags = ["--data_path", vqa, "--output_dir", tmp_path / "out", "--stage1", sft, *GRPO, *SMALL]
    call(monkeypatch, train_grpo.main, *shared, *flags)
    policy = load_policy(str(tiny), [str(sft)], dtype=torch.float32)
    base = load_policy(str(tiny), [], dtype=torch.float32)
    ids = torch.arange(5, 15).unsqueeze(0)
    with torch.no_grad():
        expected = policy(input_ids=ids).logits
        assert (base(input_ids=ids).logits - expected).abs().max() > 1e-4
    torch.testing.assert_close(grabbed["start"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(grabbed["reference"], expected, rtol=1e-4, atol=1e-5)


def test_constant_rewards_raise_an_alarm_and_stop_the_run(train, monkeypatch, caplog, tmp_path):
    """Constant rewards trained nothing for days without a word."""
    constant = {"rsvqa_reward": lambda completions, **_: [0.7] * len(completions)}
    monkeypatch.setattr(reward_funcs, "REWARD_FUNCS", constant)
    monkeypatch.setattr(grpo_trainer, "_PATIENCE", 2)
    with pytest.raises(TrainingError, match="constant rewards"):
        train(write_vqa(tmp_path / "d"), tmp_path / "out", "--max_steps", "5")
    assert "no gradient" in caplog.text


def test_missing_stage_1_is_an_error(train, tmp_path):
    with pytest.raises(MissingPathError, match="run stage 1 first"):
        train(write_vqa(tmp_path / "d"), tmp_path / "out", "--stage1", tmp_path / "absent")


def test_full_training_from_stage_1_with_a_kl_term_is_refused(train, tmp_path):
    """TRL would take the untrained base as the KL reference, not stage 1's policy."""
    flags = ["--lora_enable", "False", "--stage1", tmp_path, "--freeze_llm", "False"]
    with pytest.raises(InputError, match="reference would be the base"):
        train(write_vqa(tmp_path / "d"), tmp_path / "out", *flags)


def test_completions_are_sampled_without_dropout():
    """Sampling in training mode drew from another policy than the trained one."""
    assert GrpoArguments(output_dir="o", use_cpu=True, bf16=False).disable_dropout


def test_two_generations_are_commented(caplog):
    train_grpo.check_generations(GrpoArguments(output_dir="o", num_generations=2, use_cpu=True, bf16=False))
    assert "use 8 or more" in caplog.text


def test_unknown_reward_is_refused(train, tmp_path):
    with pytest.raises(InputError, match="nonsense"):
        train(write_vqa(tmp_path / "d"), tmp_path / "out", "--rewards", "nonsense")


def test_max_prompt_length_limits_text_and_never_visual_tokens(tmp_path, tiny, caplog):
    """The predecessor's 192 counted visual tokens and cut the system turn."""
    data = write_vqa(tmp_path / "d", 2)
    store = ConversationStore(str(data), str(data.parent))
    processor = load_processor(str(tiny))
    media = MediaOptions(PixelBudget(SIDE * SIDE, 100 * 784))
    text = processor.apply_chat_template(store[0].messages()[:-1], tokenize=False, add_generation_prompt=True)
    text_tokens = len(processor.tokenizer(text)["input_ids"]) - 1
    assert len(build_grpo_dataset(store, processor, media, 0)) == 2
    kept = build_grpo_dataset(store, processor, media, text_tokens)
    assert kept[0]["question"] == "Is there water?"
    assert kept[0]["images"][0].size == (SIDE, SIDE)
    with pytest.raises(InputError, match="max_prompt_length"):
        build_grpo_dataset(store, processor, media, 5)


def test_budget_flags_reach_the_saved_processor(train, varied, tmp_path):
    out = train(write_vqa(tmp_path / "d"), tmp_path / "out", "--max_steps", "1")
    budget = PixelBudget.of(load_processor(str(out)))
    assert [str(budget.image_min_pixels), str(budget.image_max_pixels)] == [BUDGET_FLAGS[1], BUDGET_FLAGS[3]]
