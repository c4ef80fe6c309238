"""Arguments of training, evaluation and serving, checked where they are built.

The flag names are those that users of the predecessor know. A flag whose
meaning changed with today's libraries says so in its help.
"""

import ast
import math
from dataclasses import dataclass, field
from typing import Any

from transformers import TrainingArguments
from trl import GRPOConfig

from src.budget import TOKEN_AREA, PixelBudget
from src.errors import InputError


@dataclass
class ModelArguments:
    """Which model, and which of its parts are trained."""

    model_id: str = field(default="", metadata={"help": "model folder or hub id; its config decides the family"})
    cache_dir: str | None = field(default=None, metadata={"help": "hub cache"})
    disable_flash_attn2: bool = field(default=False, metadata={"help": "use sdpa even where flash-attn is installed"})
    freeze_vision_tower: bool = field(default=True, metadata={"help": "no full training of the vision blocks"})
    freeze_llm: bool = field(default=True, metadata={"help": "no full training of the language model"})
    freeze_merger: bool = field(default=True, metadata={"help": "False trains the merger in full, with LoRA too"})
    unfreeze_topk_llm: int = field(default=0, metadata={"help": "train the last k language layers in full"})
    unfreeze_topk_vision: int = field(default=0, metadata={"help": "train the last k vision blocks in full"})
    bits: int = field(default=16, metadata={"help": "4 and 8 quantise the frozen base (QLoRA)"})
    double_quant: bool = field(default=True, metadata={"help": "quantise the quantisation constants (4-bit)"})
    quant_type: str = field(default="nf4", metadata={"help": "nf4 or fp4"})
    use_liger: bool = field(default=False, metadata={"help": "Liger kernels; CUDA only, ignored with a line elsewhere"})

    def __post_init__(self) -> None:
        if not self.model_id:
            raise InputError("--model_id is missing: give a model folder such as assets/nano or a hub id")
        if self.bits not in (4, 8, 16):
            raise InputError(f"--bits {self.bits}: expected 4, 8 or 16")
        if self.quant_type not in ("nf4", "fp4"):
            raise InputError(f"--quant_type {self.quant_type}: expected nf4 or fp4")


@dataclass
class LoraArguments:
    """Low-rank adapters: one regex per component, never lm_head or embeddings."""

    lora_enable: bool = field(default=False, metadata={"help": "train LoRA adapters; needs freeze_llm True"})
    vision_lora: bool = field(default=False, metadata={"help": "LoRA on the vision blocks too"})
    use_dora: bool = field(default=False, metadata={"help": "weight-decomposed LoRA"})
    lora_rank: int = 32
    lora_alpha: int = 16
    lora_dropout: float = 0.05
    lora_bias: str = field(default="none", metadata={"help": "none, all or lora_only"})
    lora_weight_path: str = field(default="", metadata={"help": "continue training this adapter"})
    lora_namespan_exclude: str = field(default="[]", metadata={"help": "names to leave out, a Python list as text"})
    num_lora_modules: int = field(default=-1, metadata={"help": "-1 all, n only the last n modules"})

    def __post_init__(self) -> None:
        if self.lora_bias not in ("none", "all", "lora_only"):
            raise InputError(f"--lora_bias {self.lora_bias}: expected none, all or lora_only")
        if self.vision_lora and not self.lora_enable:
            raise InputError("--vision_lora True needs --lora_enable True")
        if self.lora_rank < 1 or self.lora_alpha < 1:
            raise InputError(f"--lora_rank {self.lora_rank} --lora_alpha {self.lora_alpha}: expected 1 or more")
        if self.num_lora_modules == 0 or self.num_lora_modules < -1:
            raise InputError(f"--num_lora_modules {self.num_lora_modules}: expected -1 (all) or a positive count")

    def excluded_names(self) -> list[str]:
        """Name parts of --lora_namespan_exclude.

        Raises:
            InputError: the text is not a list of strings.
        """
        try:
            names = ast.literal_eval(self.lora_namespan_exclude)
        except (SyntaxError, ValueError) as error:
            raise InputError(f"--lora_namespan_exclude {self.lora_namespan_exclude!r}: expected ['a', 'b']") from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"--lora_namespan_exclude {self.lora_namespan_exclude!r}: expected a list of strings")
        return names


@dataclass
class DataArguments:
    """Rows, images and their budget."""

    data_path: str = field(default="", metadata={"help": "JSON, JSONL or CSV; several separated by commas"})
    image_folder: str | None = field(default=None, metadata={"help": "default: the folder of the data file"})
    eval_path: str | None = None
    eval_image_folder: str | None = None
    data_format: str | None = field(default=None, metadata={"help": "a key of CONVERTERS; detected when unset"})
    skip_bad_rows: bool = field(default=False, metadata={"help": "write bad rows to rejects.jsonl and go on"})
    allow_remote_images: bool = field(default=False, metadata={"help": "allow http(s) image addresses in rows"})
    lazy_preprocess: bool = field(default=True, metadata={"help": "kept for old scripts; loading is always lazy"})
    image_min_pixels: int | None = field(default=None, metadata={"help": "default: as saved with the model"})
    image_max_pixels: int | None = field(default=None, metadata={"help": "default: as saved with the model"})
    image_resized_width: int | None = None
    image_resized_height: int | None = None
    video_min_pixels: int = 128 * TOKEN_AREA
    video_max_pixels: int = 768 * TOKEN_AREA
    video_resized_width: int | None = None
    video_resized_height: int | None = None
    fps: float | None = field(default=None, metadata={"help": "video frames a second (default 1.0); not with nframes"})
    nframes: int | None = field(default=None, metadata={"help": "frames of a video; not with fps"})
    max_seq_length: int = field(default=32768, metadata={"help": "longer dialogues lose whole trailing turns"})

    def __post_init__(self) -> None:
        if not self.data_path:
            raise InputError("--data_path is missing: give a JSON, JSONL or CSV file of rows")
        if self.fps is not None and self.nframes is not None:
            raise InputError("--fps and --nframes exclude each other: give one")
        if (self.image_resized_width is None) != (self.image_resized_height is None):
            raise InputError("--image_resized_width and --image_resized_height go together")
        if (self.video_resized_width is None) != (self.video_resized_height is None):
            raise InputError("--video_resized_width and --video_resized_height go together")

    def budget(self, processor: Any) -> PixelBudget:
        """The pixel budget: flags first, then what the processor was saved with."""
        saved = PixelBudget.of(processor)
        return PixelBudget(
            self.image_min_pixels or saved.image_min_pixels,
            self.image_max_pixels or saved.image_max_pixels,
            self.max_seq_length,
        )


@dataclass
class StageArguments:
    """What both stages add to the trainer's own arguments."""

    vision_lr: float | None = field(default=None, metadata={"help": "learning rate of the vision tower"})
    merger_lr: float | None = field(default=None, metadata={"help": "learning rate of the merger"})
    vision_cache_mib: float = field(
        default=512, metadata={"help": "frozen vision features kept on the device, four times as much on the host"}
    )
    warmup_ratio: float = field(default=0.0, metadata={"help": "fraction of the steps; becomes warmup_steps < 1"})

    def apply_warmup_ratio(self) -> None:
        """Hand warmup_ratio to transformers 5, where a float below 1 in warmup_steps is a fraction."""
        if not 0 <= self.warmup_ratio < 1 or not math.isfinite(self.warmup_ratio):
            raise InputError(f"--warmup_ratio {self.warmup_ratio}: expected 0 <= ratio < 1")
        if self.warmup_ratio and not self.warmup_steps:  # type: ignore[has-type]
            self.warmup_steps: float = self.warmup_ratio


@dataclass
class SftArguments(StageArguments, TrainingArguments):
    """Stage 1: supervised fine-tuning over dialogues."""

    padding_free: bool = field(default=True, metadata={"help": "pack the dialogues of a batch into one row"})
    log_images: int = field(default=4, metadata={"help": "images with answers logged after each evaluation"})

    def __post_init__(self) -> None:
        self.apply_warmup_ratio()
        self.remove_unused_columns = False
        super().__post_init__()


@dataclass
class GrpoArguments(StageArguments, GRPOConfig):
    """Stage 2: GRPO with rewards routed by question type."""

    stage1: str = field(default="none", metadata={"help": "stage 1 adapter or model; none starts from the base"})
    rewards: str = field(default="rsvqa_reward", metadata={"help": "names in REWARD_FUNCS, separated by commas"})
    max_prompt_length: int = field(
        default=0, metadata={"help": "longest prompt in text tokens; visual ones are not cut"}
    )
    shared_prefix: bool = field(
        default=True, metadata={"help": "run each prompt once per group; False is TRL's own path"}
    )
    resample_flat: int = field(
        default=0, metadata={"help": "rounds of further prompts, at most, to replace groups of constant reward"}
    )
    # trl 1.16 gathers the pictures of a batch for its table only on ranks that have some: a rank with text-only
    # prompts then waits for ever. Completions are logged to completions.jsonl instead.
    log_multimodal: bool = False
    # trl 1.16 samples completions in training mode: with dropout they would come from another policy than the one
    # whose log-probabilities are trained.
    disable_dropout: bool = True

    def __post_init__(self) -> None:
        self.apply_warmup_ratio()
        self.remove_unused_columns = False
        super().__post_init__()
