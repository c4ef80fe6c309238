"""Independent questions in one sample: the same logits as each question asked alone."""

import random

import pytest
import torch
from transformers import AutoProcessor

from src.constants import IGNORE_INDEX
from src.dataset.sft_dataset import MediaOptions, SftDataset, encode
from src.dataset.store import ConversationStore
from src.model.nano import NANO_BUDGET, NANO_DIR, build_config, build_model
from src.train.nano_questions import GroupCollator, block_mask, encode_group, group_questions
from tests.nano_data import write_vqa


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Rows, processor and a random tiny model."""
    folder = tmp_path_factory.mktemp("vqa")
    store = ConversationStore(str(write_vqa(folder, 6)), str(folder))
    processor = AutoProcessor.from_pretrained(NANO_DIR)
    model = build_model(build_config(processor.tokenizer, "tiny")).eval()
    return [store[i] for i in range(6)], processor, model


def test_groups_hold_one_picture_and_every_question_once(parts):
    rows, _, _ = parts
    again = rows * 3
    groups = group_questions(again, 2, random.Random(0))
    assert all(len({row.images for row in group}) == 1 and len(group) <= 2 for group in groups)
    assert sum(len(group) for group in groups) == len(again)


def test_block_mask_by_hand():
    """Prefix of two, questions of one and two tokens, one padding."""
    mask = block_mask(torch.tensor([[0, 0, 1, 2, 2, -1]]))[0, 0].int().tolist()
    assert mask == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_positions_are_those_of_the_model(parts):
    rows, processor, model = parts
    alone = encode(rows[0], processor, MediaOptions(NANO_BUDGET))
    names = ("input_ids", "mm_token_type_ids", "attention_mask")
    ids, kinds, mask = (alone[name][None] for name in names)
    theirs, _ = model.model.get_rope_index(ids, kinds, image_grid_thw=alone["image_grid_thw"], attention_mask=mask)
    ours = encode_group([rows[0]], processor, MediaOptions(NANO_BUDGET))["position_ids"]
    assert torch.equal(ours, theirs[:, 0, : ours.shape[1]])


def test_every_answer_is_scored_as_if_asked_alone(parts):
    """Log-probabilities of the answers in a packed group equal those of each question asked alone."""
    rows, processor, model = parts
    media = MediaOptions(NANO_BUDGET)
    group = [row for row in rows if row.images == rows[0].images] * 2
    samples = [encode_group(group, processor, media), encode_group(rows[1:2], processor, media)]
    batch = GroupCollator(processor.tokenizer.pad_token_id)(samples)
    packed = _scores(model, {key: value for key, value in batch.items() if key != "labels"}, batch["labels"])
    for number, row in enumerate(group):
        alone = SftDataset([row], processor, media)[0]
        batched = {key: value if "pixel" in key or "grid" in key else value[None] for key, value in alone.items()}
        labels = batched.pop("labels")
        assert packed[number] == pytest.approx(_scores(model, batched, labels)[0], abs=1e-5)


def _scores(model, inputs, labels):
    """Log-probabilities of the tokens of each answer of the first sample."""
    with torch.no_grad():
        scores = model(**inputs).logits.log_softmax(-1)[0]
    answers, inside = [], False
    for place, label in enumerate(labels[0].tolist()):
        if label != IGNORE_INDEX:
            answers = answers if inside else [*answers, []]
            answers[-1].append(scores[place - 1, label].item())
        inside = label != IGNORE_INDEX
    return answers
