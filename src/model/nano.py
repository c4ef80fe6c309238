"""Nano models: the real Qwen2-VL and Qwen2.5-VL classes at a few million parameters.

``assets/nano`` holds the trained one (``scripts/build_nano.sh``). This module
makes its architecture, tokenizer and processor, and untrained variants of
other sizes for tests and benchmarks:

    python -m src.model.nano --out output/tiny --size tiny --family qwen2_vl --seed 0
"""

import argparse
import importlib.resources
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import (
    AutoProcessor,
    GenerationConfig,
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2Tokenizer,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
)
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor
from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

from src.budget import TOKEN_AREA, PixelBudget
from src.constants import (
    END_OF_TEXT,
    IM_END,
    IMAGE_PAD,
    SPECIAL_TOKENS,
    VIDEO_PAD,
    VISION_END,
    VISION_START,
)
from src.errors import InputError, run_command

NANO_DIR = Path(__file__).resolve().parents[2] / "assets" / "nano"
# 112 px a side is 16 visual tokens, 256 px about 81.
NANO_BUDGET = PixelBudget(16 * TOKEN_AREA, 100 * TOKEN_AREA)
NANO_VOCAB_SIZE = 2048


@dataclass(frozen=True)
class NanoSize:
    """Widths and depths of both halves; every n-th vision block attends to the whole picture."""

    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int
    vision_hidden: int
    vision_depth: int
    vision_intermediate: int
    vision_heads: int
    full_attention_every: int = 2
    vocab_size: int | None = None


SIZES = {
    "tiny": NanoSize(64, 2, 128, 2, 1, 32, 2, 64, 1),
    "nano": NanoSize(192, 5, 512, 6, 2, 128, 4, 256, 4),
    "small": NanoSize(512, 8, 1408, 16, 4, 256, 6, 512, 8),
    # The published shapes of Qwen2.5-VL-3B-Instruct, for benchmarks: 7.5 GB in bfloat16.
    "3b": NanoSize(2048, 36, 11008, 16, 2, 1280, 32, 3420, 16, full_attention_every=8, vocab_size=151936),
}
FAMILIES: dict[str, tuple[Any, Any, Any]] = {
    "qwen2_vl": (Qwen2VLConfig, Qwen2VLForConditionalGeneration, Qwen2VLProcessor),
    "qwen2_5_vl": (Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor),
}


def build_tokenizer(texts: Iterable[str], vocab_size: int = NANO_VOCAB_SIZE) -> Qwen2Tokenizer:
    """Train a byte-level BPE tokenizer with Qwen's splitting rule and special tokens.

    Args:
        texts: training text, Chinese and English.
        vocab_size: size with the special tokens, which get the last ids.

    Returns:
        A Qwen2Tokenizer that can spell any UTF-8 text.
    """
    bpe = Tokenizer(models.BPE())
    bpe.normalizer = normalizers.NFC()
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return _qwen_tokenizer(bpe)


def _qwen_tokenizer(bpe: Tokenizer) -> Qwen2Tokenizer:
    state = json.loads(bpe.to_str())["model"]
    merges: Any = [tuple(pair) for pair in state["merges"]]
    return Qwen2Tokenizer(
        vocab=state["vocab"],
        merges=merges,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        unk_token=END_OF_TEXT,
        additional_special_tokens=[token for token in SPECIAL_TOKENS if token not in (IM_END, END_OF_TEXT)],
        model_max_length=32768,
    )


def build_processor(tokenizer: Qwen2Tokenizer, family: str = "qwen2_5_vl", budget: PixelBudget = NANO_BUDGET) -> Any:
    """Build the family's real processor with the official chat template and a small pixel budget."""
    template = importlib.resources.files("trl") / "chat_templates" / "qwen2_5_vl.jinja"
    processor = FAMILIES[family][2](
        image_processor=Qwen2VLImageProcessor(min_pixels=budget.image_min_pixels, max_pixels=budget.image_max_pixels),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(),
        chat_template=template.read_text(encoding="utf-8"),
    )
    budget.apply(processor)
    return processor


def build_config(tokenizer: Qwen2Tokenizer, size: str | NanoSize = "nano", family: str = "qwen2_5_vl") -> Any:
    """Build the family's config at a nano size, with tied embeddings as in the 3B checkpoint.

    Raises:
        InputError: the size or the family is unknown.
    """
    if family not in FAMILIES or (isinstance(size, str) and size not in SIZES):
        raise InputError(f"size {size!r}, family {family!r}: expected one of {list(SIZES)} and {list(FAMILIES)}")
    shape = SIZES[size] if isinstance(size, str) else size
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in _TOKEN_FIELDS.items()}
    end_ids = {
        "eos_token_id": tokenizer.convert_tokens_to_ids(IM_END),
        "bos_token_id": tokenizer.convert_tokens_to_ids(END_OF_TEXT),
        "pad_token_id": tokenizer.convert_tokens_to_ids(END_OF_TEXT),
    }
    config = FAMILIES[family][0](
        text_config=_text_config(shape, shape.vocab_size or len(tokenizer)) | end_ids,
        vision_config=_vision_config(shape, family),
        tie_word_embeddings=True,
        **ids,
    )
    return config


_TOKEN_FIELDS = {
    "image_token_id": IMAGE_PAD,
    "video_token_id": VIDEO_PAD,
    "vision_start_token_id": VISION_START,
    "vision_end_token_id": VISION_END,
}


def _text_config(shape: NanoSize, vocab_size: int) -> dict[str, Any]:
    half = shape.hidden // shape.heads // 2
    sections = [half - 2 * (3 * half // 8), 3 * half // 8, 3 * half // 8]
    return {
        "vocab_size": vocab_size,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": sections},
    }


def _vision_config(shape: NanoSize, family: str) -> dict[str, Any]:
    common = {"depth": shape.vision_depth, "num_heads": shape.vision_heads}
    if family == "qwen2_vl":
        ratio = shape.vision_intermediate // shape.vision_hidden
        return common | {"embed_dim": shape.vision_hidden, "hidden_size": shape.hidden, "mlp_ratio": ratio}
    return common | {
        "hidden_size": shape.vision_hidden,
        "intermediate_size": shape.vision_intermediate,
        "out_hidden_size": shape.hidden,
        "fullatt_block_indexes": list(
            range(shape.full_attention_every - 1, shape.vision_depth, shape.full_attention_every)
        ),
    }


def build_model(config: Any, seed: int = 0) -> PreTrainedModel:
    """Build the family's real model with random float32 weights from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FAMILIES[config.model_type][1](config)
    text = config.text_config
    model.generation_config = GenerationConfig(
        eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id, bos_token_id=text.bos_token_id
    )
    return model


def build_variant(out: Path, size: str | NanoSize = "tiny", family: str = "qwen2_5_vl", seed: int = 0) -> Path:
    """Save an untrained model with the shipped tokenizer, for tests and benchmarks.

    Args:
        out: folder to write; loads with from_pretrained.
        size: key of SIZES, or widths and depths.
        family: key of FAMILIES.
        seed: seed of the random weights.
    """
    tokenizer = AutoProcessor.from_pretrained(NANO_DIR).tokenizer
    build_model(build_config(tokenizer, size, family), seed).save_pretrained(out)
    build_processor(tokenizer, family).save_pretrained(out)
    return out


def main() -> None:
    """Write an untrained variant and say how large it is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--size", default="tiny", choices=list(SIZES))
    parser.add_argument("--family", default="qwen2_5_vl", choices=list(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    build_variant(args.out, args.size, args.family, args.seed)
    print(f"wrote {args.out}: {args.family}, {asdict(SIZES[args.size])}")


if __name__ == "__main__":
    run_command(main)
