"""Trainer of stage 2: TRL's GRPOTrainer, mended for images and watched for silent failure."""

import json
import logging
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch

from src.errors import TrainingError
from src.trainer.param_groups import ComponentOptimizer
from src.trainer.shared_groups import SharedGroups

logger = logging.getLogger(__name__)

# Generation batches in a row without any reward spread before a run is stopped: nothing can be learned from them.
_PATIENCE = 50


class GrpoTrainer(ComponentOptimizer, SharedGroups):
    """GRPO with component learning rates, mixed text and image prompts, and reward watchdogs.

    Extra metrics: ``spread/<type>`` (mean within-group standard deviation of
    the reward) and ``flat/<type>`` (share of groups without variance). Every
    scored completion is appended to ``OUTPUT_DIR/completions.jsonl``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._flat_batches = 0

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[Any, Any, Any]:
        """Keep [] for a prompt without images: TRL makes it None, which the processor cannot take."""
        prompt_ids, images, fields = super()._tokenize_prompts(prompts)
        if images is not None:
            images = [pictures or [] for pictures in images]
        return prompt_ids, images, fields

    def _calculate_rewards(
        self, inputs: list[dict[str, Any]], prompts: list[Any], completions: list[Any], completion_ids_list: list[Any]
    ) -> torch.Tensor:
        rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
        model: Any = self.model
        mode = "train" if model.training else "eval"
        start = self.accelerator.process_index * len(prompts)
        local = rewards[start : start + len(prompts)].nansum(dim=1).tolist()
        self._watch(inputs, local, mode, start)
        self._write_completions(inputs, completions, local, mode)
        return rewards

    def _watch(self, inputs: list[dict[str, Any]], rewards: list[float], mode: str, start: int) -> None:
        """Measure reward spread per type over the groups that lie on this process.

        A group is num_generations rows in a row over all processes; the prompt does not name it, because the same
        question is asked about many pictures.
        """
        size: Any = self.num_generations if mode == "train" else self.num_generations_eval
        groups: dict[tuple[Any, int], list[float]] = defaultdict(list)
        for position, (row, value) in enumerate(zip(inputs, rewards, strict=True), start):
            groups[(row.get("question_type"), position // size)].append(value)
        spread: dict[str, list[float]] = defaultdict(list)
        for (kind, _), values in groups.items():
            spread[str(kind)].append(float(torch.tensor(values).std(correction=0)))
        for kind, values in spread.items():
            self._metrics[mode][f"spread/{kind}"].append(sum(values) / len(values))
            self._metrics[mode][f"flat/{kind}"].append(sum(value < 1e-6 for value in values) / len(values))
        if mode == "train":
            self._alarm(max(max(values) for values in spread.values()) < 1e-6, rewards)

    def _alarm(self, flat: bool, rewards: list[float]) -> None:
        """Warn when a whole generation batch has constant rewards; stop when it goes on."""
        self._flat_batches = self._flat_batches + 1 if flat else 0
        if not flat:
            return
        logger.warning(
            "every group of this batch has constant rewards (mean %.3f): no gradient. %d batches in a row; "
            "more generations, a higher temperature or other questions are needed",
            sum(rewards) / len(rewards),
            self._flat_batches,
        )
        if self._flat_batches >= _PATIENCE:
            raise TrainingError(
                f"{_PATIENCE} generation batches in a row had constant rewards, so nothing is learned: check the "
                "reward on real answers (python -m src.train.doctor), raise --num_generations or --temperature"
            )

    def _write_completions(
        self, inputs: list[dict[str, Any]], completions: list[Any], rewards: list[float], mode: str
    ) -> None:
        if not self.accelerator.is_main_process:
            return
        rows = zip(inputs, completions, rewards, strict=True)
        with (Path(str(self.args.output_dir)) / "completions.jsonl").open("a", encoding="utf-8") as out:
            for row, completion, value in rows:
                text = completion if isinstance(completion, str) else completion[0]["content"]
                record = {
                    "step": self.state.global_step,
                    "mode": mode,
                    "type": row.get("question_type"),
                    "question": row.get("question"),
                    "answer": row.get("answer"),
                    "completion": text,
                    "reward": round(value, 4),
                }
                out.write(json.dumps(record, ensure_ascii=False) + "\n")
