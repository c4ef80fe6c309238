"""GRPO that runs each prompt once per group: TRL's trainer with its passes replaced by packed ones.

What TRL does with rewards, advantages, clipping, KL and logging stays as it is.
Replaced are: preprocessing (each prompt once), generation (each prompt once,
then its group from one cache), and every log-probability pass (one row per
group). Pictures never enter TRL's batches, so nothing is repeated, shuffled or
split with them. ``--shared_prefix False`` gives back the stock path.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from trl import GRPOTrainer
from trl.data_utils import prepare_multimodal_messages
from trl.models import unwrap_model_for_generation
from trl.trainer.utils import split_tensor_dict

from src.errors import InputError
from src.model.patches import vision_language_core
from src.model.vision_cache import cache_for, picture_keys
from src.trainer.group_sampler import sample_groups
from src.trainer.resampling import flat_groups, replace_flat
from src.trainer.shared_prefix import Prompt, Prompts, completion_scores, join_prompts, pack_groups

_MEDIA = ("image", "images")


class SharedGroups(GRPOTrainer):
    """GRPOTrainer whose passes run each prompt once per group.

    Args:
        shared_prefix: False is the stock path.
        vision_cache_mib: what frozen vision blocks made of pictures is kept up to this size on the device and four
            times as much in host memory; 0 keeps nothing.
        resample_flat: rounds of further prompts, at most, to replace groups without a spread of rewards.

    Raises:
        InputError: options that exclude each other.
    """

    def __init__(
        self,
        *args: Any,
        shared_prefix: bool = True,
        vision_cache_mib: float = 512,
        resample_flat: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.shared_prefix, self.resample_flat = shared_prefix, resample_flat
        model: Any = self.model
        if shared_prefix:
            # Only attention that takes any mask can express groups; the vision tower keeps its own.
            model.config.get_text_config()._attn_implementation = "sdpa"
        self._check_resampling()
        self._further: list[int] = []
        self._further_order = torch.Generator().manual_seed(self._grpo.seed + 1)
        spread = self._parameters_are_spread()
        if shared_prefix and spread and not self._grpo.ds3_gather_for_generation:
            raise InputError(
                "--ds3_gather_for_generation False: ranks then wait for each other at every token, which only the "
                "stock path does; add --shared_prefix False"
            )
        self.vision_cache = cache_for(model, vision_cache_mib, spread=spread) if shared_prefix else None
        self._prompts: dict[str, dict[int, Prompt]] = {"train": {}, "eval": {}}
        self._rows: torch.Tensor | None = None
        self._micro_batches: list[Any] = []

    def _check_resampling(self) -> None:
        if not self.resample_flat:
            return
        if not self.shared_prefix:
            raise InputError("--resample_flat needs groups that stay together: leave out --shared_prefix False")
        rows = self._grpo.per_device_train_batch_size * self._grpo.steps_per_generation
        if rows % self._grpo.num_generations:
            raise InputError(
                f"--resample_flat: {rows} completions per process are no whole groups of {self._grpo.num_generations}; "
                "make per_device_train_batch_size x gradient_accumulation_steps a multiple of it"
            )

    @property
    def _grpo(self) -> Any:
        return self.args

    def _parameters_are_spread(self) -> bool:
        """Whether ZeRO-3 keeps each parameter in parts on all ranks."""
        plugin = getattr(self.accelerator.state, "deepspeed_plugin", None)
        return plugin is not None and plugin.zero_stage == 3

    @property
    def _mode(self) -> str:
        model: Any = self.model
        return "train" if model.training else "eval"

    def _prepare_inputs(self, generation_batch: Any) -> Any:
        """As TRL does, but groups are shuffled whole, so that a micro-batch holds whole groups."""
        if not self.shared_prefix or self._mode == "eval":
            return super()._prepare_inputs(generation_batch)
        steps = self._grpo.steps_per_generation
        if self._step % (steps * self.num_iterations) == 0 or not self._micro_batches:
            batch = self._generate_and_score_completions(generation_batch)
            if self.resample_flat:
                batch = self._resampled(batch)
            order = _shuffled_groups(batch["group"])
            batch = {key: value[order] if value.ndim > 0 else value for key, value in batch.items()}
            self._micro_batches = split_tensor_dict(batch, steps)
        return self._micro_batches[self._step % steps]

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        if not self.shared_prefix:
            return super()._generate_and_score_completions(inputs)
        text_only = [{key: value for key, value in row.items() if key not in _MEDIA} for row in inputs]
        with self.about(inputs) as groups:
            output = super()._generate_and_score_completions(text_only)
        return {"group": groups, **output}

    def _resampled(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Replace flat groups by groups of further prompts, in at most ``resample_flat`` rounds.

        All ranks go through the same rounds, because rewards are gathered in each.
        """
        known, rows, replaced = self._prompts["train"], len(batch["group"]), 0
        first_id = int(self._all_ranks(batch["group"].max()).max()) + 1
        for number in range(1, self.resample_flat + 1):
            missing = self._all_ranks(torch.tensor(len(flat_groups(batch)), device=self.accelerator.device))
            if number == 1:
                self._metrics["train"]["groups/flat"].append(
                    float(missing.sum()) / (rows / self._grpo.num_generations) / len(missing)
                )
            if not missing.sum():
                break
            fresh = self._generate_and_score_completions(self._further_rows(rows))
            shift = first_id * number
            fresh["group"] = fresh["group"] + shift
            known |= {group + shift: prompt for group, prompt in self._prompts["train"].items()}
            batch, count = replace_flat(batch, fresh, self._tokenizer.pad_token_id)
            replaced += count
        self._prompts["train"] = known
        self._metrics["train"]["groups/replaced"].append(
            float(self._all_ranks(torch.tensor(replaced, device=self.accelerator.device)).sum())
        )
        batch["num_items_in_batch"] = self._all_ranks(batch["completion_mask"].sum()).sum()
        return batch

    def _all_ranks(self, value: torch.Tensor) -> torch.Tensor:
        gathered: Any = self.accelerator.gather(value)
        return gathered.reshape(-1)

    def _further_rows(self, rows: int) -> list[dict[str, Any]]:
        """This rank's rows of the next prompts, drawn in an order of their own that is the same on all ranks."""
        groups = self._groups_of(rows).tolist()
        needed = rows * self.accelerator.num_processes // self._grpo.num_generations
        dataset: Any = self.train_dataset
        if len(self._further) < needed:
            order = torch.randperm(len(dataset), generator=self._further_order).tolist()
            self._further += order * -(-needed // len(order))
        chosen, self._further = self._further[:needed], self._further[needed:]
        return [dataset[chosen[group]] for group in groups]

    @contextmanager
    def about(self, inputs: Sequence[dict[str, Any]]) -> Iterator[torch.Tensor]:
        """Prepare the prompts of some rows; the passes inside are about their completions. Gives each row's group."""
        groups = self._groups_of(len(inputs))
        self._prompts[self._mode] = self._encode_prompts(inputs, groups)
        with self._completions_of(groups):
            yield groups

    def _groups_of(self, rows: int) -> torch.Tensor:
        """Group of each local row; groups are consecutive rows over all processes."""
        size: Any = self.num_generations if self._mode == "train" else self.num_generations_eval
        start = self.accelerator.process_index * rows
        return (start + torch.arange(rows, device=self.accelerator.device)) // size

    def _encode_prompts(self, inputs: Sequence[dict[str, Any]], groups: torch.Tensor) -> dict[int, Prompt]:
        first = {group: row for row, group in reversed(list(enumerate(groups.tolist())))}
        chosen = [inputs[row] for row in first.values()]
        pictures = [_pictures(row) for row in chosen]
        messages = [
            prepare_multimodal_messages(row["prompt"], images=images)
            for row, images in zip(chosen, pictures, strict=True)
        ]
        ids, _, fields = super()._tokenize_prompts(messages)
        return dict(zip(first, _split_prompts(ids, pictures, fields), strict=True))

    def _tokenize_prompts(self, prompts: Any) -> tuple[Any, Any, Any]:
        if not self.shared_prefix:
            return super()._tokenize_prompts(prompts)
        assert self._rows is not None
        known = self._prompts[self._mode]
        return [known[group].input_ids.tolist() for group in self._rows.tolist()], None, {}

    def _generate_single_turn(
        self, prompt_ids: Any, images: Any, multimodal_fields: Any, num_generations: int, has_tool_images: bool = False
    ) -> tuple[Any, Any]:
        if not self.shared_prefix:
            return super()._generate_single_turn(
                prompt_ids, images, multimodal_fields, num_generations, has_tool_images
            )
        assert self._rows is not None
        prompts, owner = self._join(self._rows)
        with (
            unwrap_model_for_generation(
                self.model_wrapped,
                self.accelerator,
                gather_deepspeed3_params=self._grpo.ds3_gather_for_generation,
                generation_kwargs=self.generation_kwargs,
                gradient_checkpointing_kwargs=self._grpo.gradient_checkpointing_kwargs,
            ) as model,
            self._encoding(prompts),
        ):
            return sample_groups(model, prompts, owner, self.generation_config), None

    def _get_per_token_logps_and_entropies(
        self,
        model: Any,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        logits_to_keep: int,
        batch_size: int | None = None,
        compute_entropy: bool = False,
        compute_aux_loss: bool = False,
        **fields: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        if not self.shared_prefix:
            return super()._get_per_token_logps_and_entropies(
                model,
                input_ids,
                attention_mask,
                logits_to_keep,
                batch_size=batch_size,
                compute_entropy=compute_entropy,
                compute_aux_loss=compute_aux_loss,
                **fields,
            )
        assert self._rows is not None
        completions = input_ids[:, -logits_to_keep:]
        mask = attention_mask[:, -logits_to_keep:]
        scores, entropies = [], []
        for part in _whole_groups(self._rows, batch_size or len(self._rows)):
            prompts, owner = self._join(self._rows[part])
            packed = pack_groups(prompts, owner, completions[part])
            with self.accelerator.autocast(), self._encoding(prompts):
                logits = model(**packed.inputs, use_cache=False).logits
            score, entropy = completion_scores(logits, packed, completions[part], mask[part], self.temperature)
            scores.append(score)
            entropies.append(entropy)
        return torch.cat(scores), torch.cat(entropies) if compute_entropy else None, None

    def _compute_loss(self, model: Any, inputs: dict[str, Any]) -> torch.Tensor:
        if not self.shared_prefix:
            return super()._compute_loss(model, inputs)
        with self._completions_of(inputs["group"]):
            return super()._compute_loss(model, inputs)

    @contextmanager
    def _completions_of(self, groups: torch.Tensor) -> Iterator[None]:
        """The rows that the passes inside are about."""
        self._rows = groups
        try:
            yield
        finally:
            self._rows = None

    def _join(self, groups: torch.Tensor) -> tuple[Prompts, torch.Tensor]:
        """The prompts of some rows, each once, and which of them each row has."""
        distinct, owner = torch.unique(groups, return_inverse=True)
        known = self._prompts[self._mode]
        prompts = [known[group] for group in distinct.tolist()]
        core = vision_language_core(self.accelerator.unwrap_model(self.model))
        return join_prompts(core, prompts, self._tokenizer.pad_token_id, self.accelerator.device), owner

    @contextmanager
    def _encoding(self, prompts: Prompts) -> Iterator[None]:
        if self.vision_cache is None:
            yield
            return
        with self.vision_cache.pictures(prompts.keys):
            yield


def _pictures(row: dict[str, Any]) -> list[Any]:
    if "images" in row:
        return list(row["images"] or [])
    return [row["image"]] if row.get("image") is not None else []


def _split_prompts(ids: Sequence[Any], pictures: Sequence[list[Any]], fields: dict[str, Any]) -> list[Prompt]:
    """What the processor made of several prompts, one by one."""
    types = fields.get("mm_token_type_ids")
    grids = torch.as_tensor(fields.get("image_grid_thw", []))
    patches = torch.split(torch.as_tensor(fields["pixel_values"]), grids.prod(-1).tolist()) if len(grids) else ()
    prompts, start = [], 0
    for place, row in enumerate(ids):
        tokens = torch.as_tensor(row)
        kinds = torch.zeros_like(tokens) if types is None else torch.as_tensor(types[place])
        count = len(pictures[place])
        if not count:
            prompts.append(Prompt(tokens, kinds))
            continue
        own, grid = patches[start : start + count], grids[start : start + count]
        pixels = torch.cat(list(own))
        prompts.append(Prompt(tokens, kinds, pixels, grid, tuple(picture_keys(pixels, grid))))
        start += count
    return prompts


def _shuffled_groups(groups: torch.Tensor) -> torch.Tensor:
    """Rows in an order that shuffles the groups and keeps each together."""
    distinct, owner = torch.unique(groups, return_inverse=True)
    place = torch.randperm(len(distinct)).to(groups.device)
    return torch.argsort(place[owner], stable=True)


def _whole_groups(groups: torch.Tensor, most: int) -> list[torch.Tensor]:
    """Rows in parts of at most ``most``, but never less than one whole group, in their order."""
    runs = torch.split(torch.arange(len(groups), device=groups.device), _runs(groups))
    parts: list[torch.Tensor] = []
    part: list[torch.Tensor] = []
    for run in runs:
        if part and sum(len(one) for one in part) + len(run) > most:
            parts.append(torch.cat(part))
            part = []
        part.append(run)
    return [*parts, torch.cat(part)]


def _runs(groups: torch.Tensor) -> list[int]:
    return torch.unique_consecutive(groups, return_counts=True)[1].tolist()
