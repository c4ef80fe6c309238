"""A few images with the model's answers, logged after each evaluation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback
from trl.models import unwrap_model_for_generation

from src.dataset.schema import Conversation
from src.dataset.sft_dataset import SftDataset, encode, first_turns
from src.model.patches import vision_language_core


class AnswerSamples(TrainerCallback):
    """Answers the first question of some evaluation rows after every evaluation.

    Written to ``OUTPUT_DIR/samples/step_<n>.json``, and to TensorBoard and
    SwanLab where they run.

    Args:
        trainer: the trainer whose model answers.
        dataset: evaluation rows.
        count: how many rows, taken evenly.
        max_new_tokens: longest answer.
    """

    def __init__(self, trainer: Trainer, dataset: SftDataset, count: int, max_new_tokens: int = 64) -> None:
        self._trainer, self._dataset, self._max_new_tokens = trainer, dataset, max_new_tokens
        self._rows = np.linspace(0, len(dataset) - 1, min(count, len(dataset))).astype(int).tolist()

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Answer, then write where the run is watched; every rank generates, the first one writes."""
        samples = [self._answer(row) for row in self._rows]
        if state.is_world_process_zero:
            folder = Path(str(args.output_dir)) / "samples"
            folder.mkdir(parents=True, exist_ok=True)
            text = json.dumps([sample for sample, _ in samples], ensure_ascii=False, indent=1)
            (folder / f"step_{state.global_step:06d}.json").write_text(text, encoding="utf-8")
            self._to_tensorboard(samples, state.global_step)
            if "swanlab" in (args.report_to or ()):
                _to_swanlab(samples, state.global_step)

    def _answer(self, row: int) -> tuple[dict[str, Any], Any]:
        conversation = self._dataset.conversation(row)
        first = next(i for i, turn in enumerate(conversation.turns) if turn.role == "assistant")
        asked = first_turns(conversation, first)
        answer = self._generate(asked)
        picture = self._dataset.media.read(asked.images[0]) if asked.images else None
        sample = {
            "id": conversation.id,
            "question": asked.turns[-1].text(),
            "reference": conversation.turns[first].text(),
            "answer": answer,
        }
        return sample, picture

    @torch.no_grad()
    def _generate(self, asked: Conversation) -> str:
        processor, trainer = self._dataset.processor, self._trainer
        inputs = encode(asked, processor, self._dataset.media, add_generation_prompt=True)
        batch = {key: value.unsqueeze(0) if value.dim() == 1 else value for key, value in inputs.items()}
        batch = {key: value.to(trainer.args.device) for key, value in batch.items()}
        with unwrap_model_for_generation(trainer.model_wrapped, trainer.accelerator) as model:
            training = model.training
            model.eval()
            output = model.generate(**batch, max_new_tokens=self._max_new_tokens, do_sample=False)
            model.train(training)
            # The generation's position offsets must not leak into the next training pass.
            vision_language_core(model).rope_deltas = None
        return processor.tokenizer.decode(output[0, batch["input_ids"].shape[1] :], skip_special_tokens=True)

    def _to_tensorboard(self, samples: list[tuple[dict[str, Any], Any]], step: int) -> None:
        for callback in self._trainer.callback_handler.callbacks:
            writer = getattr(callback, "tb_writer", None) if isinstance(callback, TensorBoardCallback) else None
            if writer is None:
                continue
            for position, (sample, picture) in enumerate(samples):
                caption = f"**Q** {sample['question']}\n\n**A** {sample['answer']}\n\n**Ref** {sample['reference']}"
                writer.add_text(f"samples/{position}", caption, step)
                if picture is not None:
                    writer.add_image(f"samples/{position}", np.asarray(picture), step, dataformats="HWC")


def _to_swanlab(samples: list[tuple[dict[str, Any], Any]], step: int) -> None:
    import swanlab

    pictures = [
        swanlab.Image(picture, caption=f"Q {sample['question']} | A {sample['answer']} | Ref {sample['reference']}")
        for sample, picture in samples
        if picture is not None
    ]
    if pictures:
        swanlab.log({"samples": pictures}, step=step)
