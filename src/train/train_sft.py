"""Stage 1: supervised fine-tuning with LoRA on language model and vision tower.

bash scripts/finetune_lora_vision.sh
python -m src.train.train_sft --model_id assets/nano --data_path D.json --output_dir OUT --use_cpu True
"""

from typing import Any

from torch.utils.data import Dataset
from transformers import set_seed

from src.dataset.collate import SftCollator
from src.dataset.sft_dataset import SftDataset, plan_lengths
from src.errors import run_command
from src.model.load import load_model, load_processor
from src.model.lora import prepare_trainable, require_trainable
from src.model.patches import always_run_vision
from src.params import DataArguments, LoraArguments, ModelArguments, SftArguments
from src.train import setup
from src.trainer.sample_log import AnswerSamples
from src.trainer.sft_trainer import SftTrainer


def build_model(model_args: ModelArguments, lora_args: LoraArguments, args: SftArguments) -> Any:
    """The base with the weights that the flags train, ready for a forward and a backward pass."""
    model = load_model(
        model_args.model_id,
        dtype=setup.model_dtype(args),
        bits=model_args.bits,
        double_quant=model_args.double_quant,
        quant_type=model_args.quant_type,
        disable_flash_attn2=model_args.disable_flash_attn2,
        cache_dir=model_args.cache_dir,
    )
    model = prepare_trainable(model, model_args, lora_args, autocast_adapter_dtype=setup.zero_stage(args) != 3)
    if args.gradient_checkpointing:
        model.enable_input_require_grads()
    always_run_vision(model)
    return model


def build_trainer(
    model: Any, args: SftArguments, processor: Any, train_set: Dataset, eval_set: Dataset | None = None
) -> SftTrainer:
    """The trainer of stage 1, as this script and the doctor run it."""
    return SftTrainer(
        model,
        args,
        data_collator=SftCollator(processor.tokenizer.pad_token_id),
        train_dataset=train_set,
        eval_dataset=eval_set,
        processing_class=processor,
    )


def main() -> None:
    """Parse, load, train, save; resumes by itself from the newest complete checkpoint."""
    model_args, data_args, lora_args, args = setup.parse_arguments(
        (ModelArguments, DataArguments, LoraArguments, SftArguments)
    )
    setup.check_deepspeed(args, model_args)
    setup.checkpointing_mode(args)
    setup.use_liger(model_args, args)
    set_seed(args.seed)

    # Data
    processor = load_processor(model_args.model_id, cache_dir=model_args.cache_dir)
    media = setup.media_options(data_args, processor)
    store = setup.open_store(data_args.data_path, data_args.image_folder, data_args, args.output_dir)
    plan = plan_lengths(store, processor, media)
    setup.report_lengths(plan, store)
    train_set = SftDataset(store, processor, media, plan)
    eval_set = None
    if data_args.eval_path:
        folder = data_args.eval_image_folder or data_args.image_folder
        eval_store = setup.open_store(data_args.eval_path, folder, data_args, None)
        eval_set = SftDataset(eval_store, processor, media, plan_lengths(eval_store, processor, media))

    # Model
    model = build_model(model_args, lora_args, args)
    require_trainable(model)
    setup.print_plan(model, args, media, len(train_set))

    # Training
    trainer = build_trainer(model, args, processor, train_set, eval_set)
    if eval_set is not None and args.log_images:
        trainer.add_callback(AnswerSamples(trainer, eval_set, args.log_images))
    trainer.train(resume_from_checkpoint=setup.resume_point(args))
    trainer.save_state()
    trainer.save_model()


if __name__ == "__main__":
    run_command(main)
