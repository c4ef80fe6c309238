"""The story's figures on hand-made answers."""

import json
import sys

import numpy as np
import pytest

from evaluation import story
from src.dataset.store import ConversationStore
from tests.nano_data import write_vqa


@pytest.fixture
def questions(tmp_path):
    path = write_vqa(tmp_path, 6)
    return story.Questions(story._rows(str(path)))


def test_score_uses_the_routers_types(questions):
    """Rows alternate presence and count; the references score 1, a wrong polarity 0."""
    references = [row.turns[-1].text() for row in questions.rows]
    assert questions.score(references).tolist() == [1.0] * 6
    flipped = ["no" if r == "yes" else "yes" if r == "no" else r for r in references]
    assert questions.score(flipped).tolist() == [0.0, 1.0] * 3


def test_majority_answers_are_per_type_and_unseen_types_get_none(questions):
    train = questions.rows[:4]  # presence: yes, no (water, built); count: 1, 3
    answers = story.majority_answers(train, questions.rows)
    assert set(answers[::2]) <= {"yes", "no"}
    assert story.majority_answers([], questions.rows) == [""] * 6


def test_other_pictures_are_never_the_own_ones(questions):
    for seed in range(5):
        chosen = story.other_pictures(questions.rows, seed)
        assert all(questions.rows[i].images != row.images for i, row in zip(chosen, questions.rows, strict=True))


def test_interval_of_a_constant_is_a_point_and_widens_with_clustering():
    clusters = np.arange(40)
    assert story.interval(np.full(40, 0.3), clusters) == [0.3, 0.3]
    values = np.repeat([0.0, 1.0], 20)
    free = np.subtract(*story.interval(values, clusters)[::-1])
    tied = np.subtract(*story.interval(values, np.repeat(np.arange(4), 10))[::-1])
    assert tied > free > 0


def test_interval_covers_the_normal_approximation():
    """Mean of 400 coin flips: half width 1.96 * 0.5 / 20 = 0.049."""
    values = np.tile([0.0, 1.0], 200)
    low, high = story.interval(values, np.arange(400))
    assert low == pytest.approx(0.451, abs=0.006)
    assert high == pytest.approx(0.549, abs=0.006)


def test_per_kind_means(questions):
    table = story.per_kind(np.array([1, 0, 1, 0, 0, 0.3]), questions)
    assert table["presence"]["n"] == 3
    assert table["presence"]["value"] == pytest.approx(0.6667, abs=1e-4)
    assert table["count"]["value"] == pytest.approx(0.1, abs=1e-4)


def test_asked_ends_before_the_answer(questions):
    messages = story.asked(questions.rows[0], questions.rows[0].images)
    assert [m["role"] for m in messages] == ["user"]
    assert messages[0]["content"][0]["image"].size == (56, 56)


def test_command_writes_the_promised_report(tmp_path, monkeypatch):
    """Base, an adapter pair of no effect and no merged model: all stages equal, gains zero."""
    from src.model.nano import build_variant
    from src.train import train_grpo, train_sft
    from tests.nano_data import write_sft
    from tests.runs import GRPO, SFT

    tiny = build_variant(tmp_path / "tiny", "tiny", seed=0)
    sft_rows, vqa = write_sft(tmp_path / "d", 6), write_vqa(tmp_path / "d", 6)

    def call(main, *argv):
        monkeypatch.setattr(sys, "argv", ["x", *map(str, argv)])
        main()

    shared = ["--model_id", tiny, "--image_folder", tmp_path / "d", "--max_steps", 1, "--per_device_train_batch_size"]
    call(train_sft.main, *shared, 2, "--data_path", sft_rows, "--output_dir", tmp_path / "sft", *SFT)
    flags = ["--data_path", vqa, "--output_dir", tmp_path / "grpo", "--stage1", tmp_path / "sft", *GRPO]
    call(train_grpo.main, *shared, 8, *flags)
    call(
        story.main,
        *("--base", tiny, "--sft", tmp_path / "sft", "--grpo", tmp_path / "grpo", "--data", vqa, "--train_data", vqa),
        *("--samples", 1, "--max_new_tokens", 3, "--dialogues", sft_rows, "--out", tmp_path / "report.json"),
    )
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(report["stages"]) == {"base", "sft", "grpo"}
    assert set(report["gain"]) == {"sft_minus_base", "grpo_minus_sft", "sft_minus_base_greedy", "grpo_minus_sft_greedy"}
    for key in ("commit", "command", "args", "versions", "hardware", "seed", "n", "seconds", "merge"):
        assert key in report
    for stage in report["stages"].values():
        assert {"n", "reward_greedy", "reward_sampled", "ci95", "accuracy", "majority", "shuffled"} <= set(stage)
        assert stage["n"] == 6
    dialogues = report["dialogues"]
    assert dialogues["n"] == 6
    assert set(dialogues["loss"]) == {"base", "sft", "grpo", "sft_minus_base", "grpo_minus_sft"}
    # Stage 1 was trained on these very dialogues.
    assert dialogues["loss"]["sft_minus_base"]["ci95"][1] < 0
    assert len(ConversationStore(str(vqa))) == 6


def test_loss_on_dialogues_is_the_training_loss(tmp_path):
    """The mean over a dialogue's answer tokens is what the model itself says of the same labels."""
    from src.dataset.sft_dataset import MediaOptions, SftDataset
    from src.model.engine import Engine
    from src.model.nano import build_variant
    from tests.nano_data import write_sft

    engine = Engine.load(str(build_variant(tmp_path / "tiny", "tiny", seed=0)))
    store = ConversationStore(str(write_sft(tmp_path / "d", 3)))
    losses = story.dialogue_losses(engine, store)
    dataset = SftDataset(store, engine.processor, MediaOptions(engine.budget))
    for index, loss in enumerate(losses):
        sample = dataset[index]
        per_token = ("input_ids", "attention_mask", "mm_token_type_ids", "labels")
        batch = {key: value[None] if key in per_token else value for key, value in sample.items()}
        assert loss.mean() == pytest.approx(engine.model(**batch).loss.item(), rel=1e-5)
        assert len(loss) == int((sample["labels"] != -100).sum())
