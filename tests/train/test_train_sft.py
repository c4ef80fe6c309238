"""Stage 1 on tiny models: what moves, what does not, what is refused."""

import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from src.dataset.converters import CONVERTERS
from src.train import train_sft
from tests.nano_data import write_sft
from tests.runs import SFT, losses, run


@pytest.fixture
def train(monkeypatch, tiny):
    """Run stage 1 in this process."""

    def call(data: Path, out: Path, *flags: object, folder: Path | None = None) -> Path:
        argv = ["train_sft", "--model_id", tiny, "--data_path", data, "--image_folder", folder or data.parent]
        monkeypatch.setattr(sys, "argv", [str(a) for a in [*argv, "--output_dir", out, *SFT, *flags]])
        train_sft.main()
        return out

    return call


def _adapter(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "adapter_model.safetensors")


def test_adapters_move_and_are_saved_as_an_adapter(train, tmp_path):
    """The predecessor saved LoRA weights in a file that loaded as random ones."""
    out = train(write_sft(tmp_path / "d", 6, text_only=2), tmp_path / "out", "--max_steps", 3)
    weights = _adapter(out)
    assert (out / "adapter_config.json").exists()
    assert {"visual" in name for name in weights} == {True, False}
    assert all(weight.abs().max() > 0 for name, weight in weights.items() if "lora_B" in name)
    assert not any("merger" in name or "lm_head" in name or "embed" in name for name in weights)
    history = losses(out)
    assert sorted(history) == [1, 2, 3]


def test_merger_trains_with_lora_when_asked(train, tmp_path, tiny):
    """--freeze_merger False under LoRA had no effect in the predecessor."""
    out = train(write_sft(tmp_path / "d", 6), tmp_path / "out", "--max_steps", 2, "--freeze_merger", "False")
    base = load_file(tiny / "model.safetensors")
    merger = {name: w for name, w in _adapter(out).items() if "merger" in name}
    assert len(merger) == 5
    for name, weight in merger.items():
        original = next(w for key, w in base.items() if key.endswith(name.split("merger.")[1]) and "merger" in key)
        assert not torch.equal(weight.float(), original.float()), name


def test_own_learning_rates_reach_the_optimizer(train, tmp_path):
    """A rate of zero for the vision tower leaves exactly its adapters untouched."""
    out = train(write_sft(tmp_path / "d", 6), tmp_path / "out", "--max_steps", 2, "--vision_lr", "0")
    moved = {name: bool(w.abs().max() > 0) for name, w in _adapter(out).items() if "lora_B" in name}
    assert {moved[name] for name in moved if "visual" in name} == {False}
    assert {moved[name] for name in moved if "visual" not in name} == {True}


def test_loss_is_weighted_by_tokens_over_accumulation(train, tmp_path):
    """Four accumulated rows of different length give the update of one batch of four."""
    data = write_sft(tmp_path / "d", 3, text_only=1)
    flags = ["--max_steps", 1, "--optim", "sgd", "--lora_dropout", 0, "--max_grad_norm", 0]
    one = train(data, tmp_path / "one", *flags, "--per_device_train_batch_size", 4)
    four = train(
        data, tmp_path / "four", *flags, "--per_device_train_batch_size", 1, "--gradient_accumulation_steps", 4
    )
    assert losses(one)[1] == pytest.approx(losses(four)[1], rel=1e-5)
    for name, weight in _adapter(one).items():
        torch.testing.assert_close(weight, _adapter(four)[name], rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", sorted(CONVERTERS))
def test_every_input_format_trains(train, tmp_path, format_cases, name):
    data, folder = format_cases[name]
    out = train(data, tmp_path / "out", "--max_steps", 1, folder=folder)
    assert losses(out)[1] > 0


def test_there_is_a_fixture_for_every_format(format_cases):
    assert set(format_cases) == set(CONVERTERS)
    assert len(CONVERTERS) == 8


@pytest.mark.parametrize("bits", [4, 8])
def test_quantised_base_trains_its_adapter(train, tmp_path, bits):
    out = train(
        write_sft(tmp_path / "d", 4), tmp_path / "out", "--max_steps", 1, "--bits", bits, "--vision_lora", "False"
    )
    assert all(w.abs().max() > 0 for name, w in _adapter(out).items() if "lora_B" in name)


def test_whole_model_resumes_from_its_own_weights(train, tmp_path):
    """The stock Trainer matched no weight name of a whole Qwen-VL model and went on from random weights."""
    data = write_sft(tmp_path / "d", 8)
    flags = ["--lora_enable", "False", "--vision_lora", "False", "--freeze_llm", "False", "--max_steps", 4]
    flags += ["--save_strategy", "steps", "--save_steps", 2, "--per_device_train_batch_size", 2]
    whole = train(data, tmp_path / "whole", *flags)
    cut = tmp_path / "cut"
    cut.mkdir()
    shutil.copytree(whole / "checkpoint-2", cut / "checkpoint-2")
    train(data, cut, *flags)
    assert losses(cut) == pytest.approx(losses(whole), abs=1e-5)
    expected = load_file(whole / "model.safetensors")
    for name, weight in load_file(cut / "model.safetensors").items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-6, msg=name)


def test_answers_are_logged_after_each_evaluation(train, tmp_path):
    data = write_sft(tmp_path / "d", 4)
    out = train(
        data,
        tmp_path / "out",
        *("--max_steps", 2, "--eval_strategy", "steps", "--eval_steps", 1, "--eval_path", data, "--log_images", 2),
        *("--report_to", "tensorboard"),
    )
    samples = json.loads((out / "samples" / "step_000002.json").read_text())
    assert [sample["question"] for sample in samples] == ["Is there water?"] * 2
    assert set(samples[0]) == {"id", "question", "reference", "answer"}
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    runs = [path for path in out.rglob("events.out.tfevents*")]
    tags = EventAccumulator(str(runs[0].parent)).Reload().Tags()
    assert "samples/0" in tags["images"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--fps", "1", "--nframes", "4"], "exclude each other"),
        (["--bits", "3"], "expected 4, 8 or 16"),
        (["--freeze_llm", "False"], "needs --freeze_llm True"),
        (["--unknown_flag", "1"], "unknown_flag"),
        (["--warmup_ratio", "1.5"], "warmup_ratio"),
        (["--max_seq_length", "10"], "max_seq_length"),
        (["--lora_namespan_exclude", "nothing"], "lora_namespan_exclude"),
    ],
)
def test_bad_flags_are_refused_with_the_reason(train, tmp_path, flags, message):
    from src.errors import InputError

    with pytest.raises(InputError, match=message):
        train(write_sft(tmp_path / "d", 3), tmp_path / "out", "--max_steps", 1, *flags)


def test_command_exits_2_on_bad_input_and_trains_nothing(tmp_path, tiny):
    data = write_sft(tmp_path, 3)
    out = tmp_path / "out"
    shared = ["--model_id", tiny, "--data_path", data, "--output_dir", out, *SFT]
    output = run("src.train.train_sft", *shared, "--bits", 5, code=2)
    assert "InputError: --bits 5: expected 4, 8 or 16" in output
    assert not out.exists()


def test_deepspeed_optimizer_block_is_refused(train, tmp_path):
    """An optimizer block silently bypassed --vision_lr and --merger_lr."""
    from src.errors import InputError
    from src.params import ModelArguments
    from src.train.setup import check_deepspeed

    path = tmp_path / "z.json"
    path.write_text(json.dumps({"optimizer": {"type": "AdamW"}, "zero_optimization": {"stage": 3}}))

    class Args:
        deepspeed = str(path)

    with pytest.raises(InputError, match="optimizer block"):
        check_deepspeed(Args(), ModelArguments(model_id="m"))
    path.write_text(json.dumps({"zero_optimization": {"stage": 3}}))
    with pytest.raises(InputError, match="bitsandbytes"):
        check_deepspeed(Args(), ModelArguments(model_id="m", bits=4))
