"""45,000 rows reach the first sample within a minute, with flat memory."""

import json
import time

import psutil
import pytest

from src.budget import PixelBudget
from src.dataset.grpo_dataset import build_grpo_dataset
from src.dataset.sft_dataset import MediaOptions, SftDataset, plan_lengths
from src.dataset.store import ConversationStore
from src.model.load import load_processor
from src.model.nano import NANO_DIR
from tests.nano_data import SIDE, write_pictures

ROWS = 45_000


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_many_rows_start_within_a_minute(tmp_path, stage):
    write_pictures(tmp_path, 30)
    answer = "The picture shows fields, a river and a village. " * 8
    with (tmp_path / "rows.jsonl").open("w") as out:
        for index in range(ROWS):
            turns = [{"from": "human", "value": "<image>\nWhat is shown?"}, {"from": "gpt", "value": answer}]
            turns += [{"from": "human", "value": "Is there water?"}, {"from": "gpt", "value": "yes"}] * 8
            out.write(json.dumps({"id": index, "image": f"{index % 30}.png", "conversations": turns}) + "\n")
    processor = load_processor(str(NANO_DIR))
    media = MediaOptions(PixelBudget(SIDE * SIDE, 4 * SIDE * SIDE, 32768))
    before, started = psutil.Process().memory_info().rss, time.time()
    store = ConversationStore(str(tmp_path / "rows.jsonl"), str(tmp_path))
    if stage == "sft":
        dataset = SftDataset(store, processor, media, plan_lengths(store, processor, media))
    else:
        dataset = build_grpo_dataset(store, processor, media, 4096)
    assert len(dataset) == ROWS
    assert dataset[ROWS - 1]
    assert time.time() - started < 60
    # Every row in memory would be 100 MB of text alone; pictures far more.
    assert psutil.Process().memory_info().rss - before < 300e6
