"""Load a base model, its processor, and the policy that adapters make of it.

The family (Qwen2-VL or Qwen2.5-VL) is read from the config, never from the
name of the folder. Adapters are folded in float32, in the order in which they
were trained, and only then cast. Quantised bases (4 and 8 bits) keep the
vision tower, the merger and the head in full precision.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoProcessor,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
)
from transformers.integrations import deepspeed
from transformers.utils import is_flash_attn_2_available

from src.errors import InputError, MissingPathError
from src.model.adapters import adapter_base, attach_adapter, check_lineage, fingerprint_adapter, is_adapter
from src.model.packed_attention import pack_vision_windows

logger = logging.getLogger(__name__)

MODEL_CLASSES: dict[str, Any] = {
    "qwen2_vl": Qwen2VLForConditionalGeneration,
    "qwen2_5_vl": Qwen2_5_VLForConditionalGeneration,
}
# Nothing below these names is quantised. The vision tower with its merger is small, and the merger must stay
# trainable; the head shares its weight with the embeddings on the 2B and 3B models.
QUANT_SKIP_MODULES = ("model.visual", "lm_head")


def check_exists(model_id: str) -> None:
    """Refuse a path that does not exist; names such as ``Qwen/Qwen2.5-VL-3B-Instruct`` pass as hub ids.

    Raises:
        MissingPathError: the text is a path, and nothing is there.
    """
    looks_like_hub_id = model_id.count("/") <= 1 and not model_id.startswith((".", "/", "~"))
    if not Path(model_id).is_dir() and (not looks_like_hub_id or Path(model_id).exists()):
        raise MissingPathError(f"{model_id}: no such folder; expected a model folder or a hub id such as owner/name")


def model_family(model_id: str, cache_dir: str | None = None) -> str:
    """Read the family from a model's config.

    Returns:
        "qwen2_vl" or "qwen2_5_vl".

    Raises:
        MissingPathError: there is no such folder, or no config in it or on the hub.
        InputError: it is an adapter, or a model of another family.
    """
    if is_adapter(model_id):
        raise InputError(
            f"{model_id} is an adapter, not a model: give its base ({adapter_base(model_id)}) and this folder "
            "as adapter, or merge both with scripts/merge_lora.sh"
        )
    check_exists(model_id)
    try:
        config, _ = PreTrainedConfig.get_config_dict(model_id, cache_dir=cache_dir)
    except OSError as error:
        raise MissingPathError(f"{model_id}: no config.json on the hub or in its cache ({error})") from error
    if not config:
        raise MissingPathError(f"{model_id}: no config.json; expected a model folder")
    family = config.get("model_type")
    if family not in MODEL_CLASSES:
        raise InputError(f"{model_id}: model_type {family!r}; expected one of {list(MODEL_CLASSES)}")
    return family


def attention_implementation(disable_flash_attn2: bool) -> str:
    """Choose flash attention where it is installed and CUDA is there, else PyTorch's own (sdpa)."""
    chosen = "sdpa"
    if not disable_flash_attn2 and torch.cuda.is_available() and is_flash_attn_2_available():
        chosen = "flash_attention_2"
    logger.info("attention implementation: %s", chosen)
    return chosen


def load_processor(model_id: str, cache_dir: str | None = None) -> Any:
    """Load the processor, set to pad on the left (generation, and GRPO's mm_token_type_ids, need that).

    Raises:
        InputError: the folder holds no processor, or one without a chat template.
    """
    check_exists(model_id)
    try:
        processor = AutoProcessor.from_pretrained(model_id, cache_dir=cache_dir)
    except (OSError, ValueError) as error:
        raise InputError(f"{model_id}: no processor found ({error}); copy it from the base model") from error
    if not hasattr(processor, "image_processor"):
        raise InputError(f"{model_id}: only a tokenizer, no image processor; copy processor_config.json from the base")
    if not processor.chat_template:
        raise InputError(f"{model_id}: no chat template; copy chat_template.jinja from the base model")
    processor.tokenizer.padding_side = "left"
    return processor


def processor_source(adapters: Sequence[str], base: str) -> str:
    """Folder of the processor that a policy was trained with: the last adapter's that holds one, else the base's."""
    names = ("processor_config.json", "preprocessor_config.json")
    for adapter in reversed(adapters):
        if any((Path(adapter) / name).is_file() for name in names):
            return adapter
    return base


def load_model(
    model_id: str,
    *,
    dtype: torch.dtype,
    bits: int = 16,
    double_quant: bool = True,
    quant_type: str = "nf4",
    disable_flash_attn2: bool = False,
    cache_dir: str | None = None,
    device_map: Any = None,
    quant_skip_modules: Sequence[str] = QUANT_SKIP_MODULES,
) -> PreTrainedModel:
    """Load a whole model of either family.

    Args:
        model_id: model folder or hub id; not an adapter.
        dtype: dtype of the weights, and of the arithmetic of 4-bit layers.
        bits: 16 (no quantisation), 8 or 4 by bitsandbytes; works on CPU too.
        double_quant: quantise the quantisation constants (4 bits).
        quant_type: "nf4" or "fp4" (4 bits).
        disable_flash_attn2: use sdpa even where flash-attn is installed.
        cache_dir: hub cache.
        device_map: as in transformers; None leaves a 16-bit model on the CPU and
            puts a quantised one on the current CUDA device where there is one.
        quant_skip_modules: modules below these names stay unquantised.

    Raises:
        MissingPathError: no such model.
        InputError: an adapter, an unknown family, or weights that do not cover the model.
    """
    family = model_family(model_id, cache_dir)
    # flash-attn computes in half precision only.
    attention = attention_implementation(disable_flash_attn2 or dtype == torch.float32)
    quantization = None
    if bits != 16:
        quantization = BitsAndBytesConfig(
            load_in_4bit=bits == 4,
            load_in_8bit=bits == 8,
            llm_int8_skip_modules=list(quant_skip_modules),
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=double_quant,
            bnb_4bit_quant_type=quant_type,
        )
    model, info = MODEL_CLASSES[family].from_pretrained(
        model_id,
        dtype=dtype,
        attn_implementation=attention,
        quantization_config=quantization,
        cache_dir=cache_dir,
        device_map=device_map,
        output_loading_info=True,
    )
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise InputError(f"{model_id}: not a whole model, {len(missing)} weights are missing, e.g. {missing[0]}")
    pack_vision_windows(model)
    return model


def cast_parameters(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """Cast the weights in place and leave the buffers alone.

    ``model.to(bfloat16)`` would also round the rotary frequencies, which
    ``from_pretrained`` keeps in float32: positions would shift.
    """
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    for config in (model.config, model.config.get_text_config(), model.config.vision_config):
        config.dtype = dtype
    return model


@contextmanager
def _whole_weights() -> Iterator[None]:
    # ZeRO-3 would split the weights while loading, and matrices cannot be folded into empty shards.
    saved = deepspeed._hf_deepspeed_config_weak_ref
    deepspeed.unset_hf_deepspeed_config()
    try:
        yield
    finally:
        deepspeed._hf_deepspeed_config_weak_ref = saved


def load_policy(
    model_id: str,
    adapters: Sequence[str],
    *,
    dtype: torch.dtype,
    disable_flash_attn2: bool = False,
    cache_dir: str | None = None,
    device_map: Any = None,
) -> PreTrainedModel:
    """Load a base with adapters folded in, in order, in float32; then cast.

    Every process holds a float32 copy of the base meanwhile: 4 bytes a parameter.
    Under ZeRO-3 the weights are loaded whole, and DeepSpeed splits them when it
    starts.

    Args:
        model_id: base model folder or hub id.
        adapters: adapter folders in the order in which they were trained; may be empty.
        dtype: dtype of the returned weights.
        disable_flash_attn2: use sdpa even where flash-attn is installed.
        cache_dir: hub cache.
        device_map: as in transformers.

    Returns:
        A plain model; adapters trained on it later record what was folded in.

    Raises:
        InputError: an adapter does not belong on this base at this place.
    """
    if not adapters:
        return load_model(
            model_id, dtype=dtype, disable_flash_attn2=disable_flash_attn2, cache_dir=cache_dir, device_map=device_map
        )
    for position, adapter in enumerate(adapters):
        check_lineage(adapter, model_id, adapters[:position], cache_dir)
    with _whole_weights():
        model: Any = load_model(model_id, dtype=torch.float32, cache_dir=cache_dir, device_map=device_map)
    for adapter in adapters:
        model = attach_adapter(model, adapter).merge_and_unload(safe_merge=True)
    model = cast_parameters(model, dtype)
    model.set_attn_implementation(attention_implementation(disable_flash_attn2 or dtype == torch.float32))
    pack_vision_windows(model)
    model.folded_adapters = tuple((str(adapter), fingerprint_adapter(adapter)) for adapter in adapters)
    return model
