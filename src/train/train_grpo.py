"""Stage 2: GRPO with rewards routed by question type, from stage 1's policy.

    bash scripts/finetune_grpo.sh
    python -m src.train.train_grpo --model_id assets/nano --stage1 output/lora_vision --data_path D.jsonl \\
        --output_dir OUT --lora_enable True --use_cpu True

Stage 1 is folded into the base in memory; a fresh adapter (and the merger, with
--freeze_merger False) is trained on top. The KL reference is that policy: the
same model with the new adapter switched off.
"""

import logging
from pathlib import Path
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, set_seed

from src.dataset.grpo_dataset import build_grpo_dataset
from src.errors import InputError, MissingPathError, run_command
from src.model.adapters import is_adapter
from src.model.load import load_model, load_policy, load_processor
from src.model.lora import freeze_base, lora_config, prepare_trainable, require_trainable
from src.model.patches import always_run_vision
from src.params import DataArguments, GrpoArguments, LoraArguments, ModelArguments
from src.train import setup
from src.train.reward_funcs import select_rewards
from src.trainer.grpo_trainer import GrpoTrainer

logger = logging.getLogger(__name__)


def load_start(model_args: ModelArguments, args: GrpoArguments) -> PreTrainedModel:
    """The policy that stage 2 starts from: base, with stage 1 folded in where given.

    Raises:
        MissingPathError: --stage1 names a folder that is not there.
    """
    quantised: dict[str, Any] = {
        "bits": model_args.bits,
        "double_quant": model_args.double_quant,
        "quant_type": model_args.quant_type,
    }
    common: dict[str, Any] = {
        "dtype": setup.model_dtype(args),
        "disable_flash_attn2": model_args.disable_flash_attn2,
        "cache_dir": model_args.cache_dir,
    }
    if args.stage1.lower() == "none":
        return load_model(model_args.model_id, **common, **quantised)
    if not Path(args.stage1).is_dir():
        raise MissingPathError(
            f"--stage1 {args.stage1}: no such folder; run stage 1 first, or give --stage1 none to start from the base"
        )
    if not is_adapter(args.stage1):
        return load_model(args.stage1, **common, **quantised)
    if model_args.bits < 16:
        raise InputError(f"--bits {model_args.bits} with a stage 1 adapter: merge it first (scripts/merge_lora.sh)")
    return load_policy(model_args.model_id, [args.stage1], **common)


def check_reference(lora_args: LoraArguments, args: GrpoArguments) -> None:
    """Refuse full training from stage 1 with a KL term: TRL would load the base as its reference.

    Raises:
        InputError: no LoRA, a stage 1 folder and beta above 0.
    """
    if not lora_args.lora_enable and args.stage1.lower() != "none" and args.beta:
        raise InputError(
            "--stage1 without --lora_enable True and with --beta > 0: the reference would be the base, not stage 1; "
            "enable LoRA, or merge stage 1 first (scripts/merge_lora.sh) and give it as --model_id with --stage1 none"
        )


def check_generations(args: GrpoArguments) -> None:
    """Say so when the group is too small for a learning signal."""
    if (args.num_generations or 0) < 4:
        logger.warning(
            "--num_generations %d: with rewards of 0 and 1 most groups agree and give no gradient; use 8 or more",
            args.num_generations,
        )


def build_trainer(
    model_args: ModelArguments,
    lora_args: LoraArguments,
    args: GrpoArguments,
    rewards: list[Any],
    processor: Any,
    train_set: Dataset,
    eval_set: Dataset | None = None,
) -> GrpoTrainer:
    """The trainer of stage 2 around stage 1's policy, as this script and the doctor run it."""
    model: Any = load_start(model_args, args)
    peft_config = None
    if lora_args.lora_enable and not lora_args.lora_weight_path:
        model = freeze_base(model, model_args, lora_args)
        peft_config = lora_config(model, model_args, lora_args)
    else:
        model = prepare_trainable(model, model_args, lora_args, autocast_adapter_dtype=setup.zero_stage(args) != 3)
    trainer = GrpoTrainer(
        model,
        reward_funcs=rewards,
        args=args,
        train_dataset=train_set,
        eval_dataset=eval_set,
        processing_class=processor,
        peft_config=peft_config,
        shared_prefix=args.shared_prefix,
        vision_cache_mib=args.vision_cache_mib,
        resample_flat=args.resample_flat,
    )
    policy: Any = trainer.model
    if model_args.bits < 16:
        # TRL casts what is trained on a quantised base to bfloat16: that loses small updates, and the merger's
        # inputs are float32 there.
        for parameter in policy.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
    always_run_vision(policy)
    return trainer


def main() -> None:
    """Parse, load stage 1's policy, train, save; resumes by itself from the newest complete checkpoint."""
    model_args, data_args, lora_args, args = setup.parse_arguments(
        (ModelArguments, DataArguments, LoraArguments, GrpoArguments)
    )
    setup.check_deepspeed(args, model_args)
    setup.checkpointing_mode(args)
    setup.use_liger(model_args, args)
    check_generations(args)
    check_reference(lora_args, args)
    rewards = select_rewards(args.rewards.split(","))
    set_seed(args.seed)

    # Data
    processor = load_processor(model_args.model_id, cache_dir=model_args.cache_dir)
    media = setup.media_options(data_args, processor)
    store = setup.open_store(data_args.data_path, data_args.image_folder, data_args, args.output_dir)
    train_set = build_grpo_dataset(store, processor, media, args.max_prompt_length)
    eval_set = None
    if data_args.eval_path:
        folder = data_args.eval_image_folder or data_args.image_folder
        eval_store = setup.open_store(data_args.eval_path, folder, data_args, None)
        eval_set = build_grpo_dataset(eval_store, processor, media, args.max_prompt_length)

    # Training
    trainer = build_trainer(model_args, lora_args, args, rewards, processor, train_set, eval_set)
    policy: Any = trainer.model
    require_trainable(policy)
    setup.print_plan(policy, args, media, len(train_set))
    trainer.train(resume_from_checkpoint=setup.resume_point(args))
    trainer.save_state()
    trainer.save_model()


if __name__ == "__main__":
    run_command(main)
