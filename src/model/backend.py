"""One interface to a model, two ways to run it: Transformers in this process, or an OpenAI-compatible server.

backend = load_backend("assets/nano")
reply = backend.stream([{"role": "user", "content": "Is there water?"}], GenerateOptions(), session="s1")
async for piece in reply: ...
"""

import os
from typing import Literal

import torch

from src.errors import InputError
from src.model.batcher import TransformersBackend
from src.model.engine import Engine
from src.model.openai_backend import OpenAIBackend
from src.model.reply import Backend, BackendError, GenerateOptions, NotScorable, Reply

__all__ = ["Backend", "BackendError", "GenerateOptions", "NotScorable", "Reply", "load_backend"]

API_KEY_VARIABLE = "OPENAI_API_KEY"


def load_backend(
    model_path: str,
    model_base: str | None = None,
    *,
    backend: Literal["transformers", "openai"] = "transformers",
    api_base: str | None = None,
    device: str = "auto",
    bits: int = 16,
    disable_flash_attention: bool = False,
    dtype: torch.dtype | None = None,
    max_rows: int = 8,
    context_tokens: int = 16384,
    cache_gib: float = 2.0,
    cache_dir: str | None = None,
) -> Backend:
    """Load a model, or connect to a server that holds one.

    Args:
        model_path: model folder, hub id or adapter folder; for a server, the name under which it offers the model.
        model_base: base of an adapter; default: the one that it names.
        backend: "transformers" or "openai".
        api_base: address of the server, for example ``http://127.0.0.1:8000/v1``; its key is read from the
            environment variable OPENAI_API_KEY, "none" where unset.
        device: auto, cpu, cuda or cuda:N.
        bits: 16, or 8 or 4 by bitsandbytes.
        disable_flash_attention: use sdpa even where flash-attn is installed.
        dtype: default: bfloat16 on CUDA, float32 on the CPU.
        max_rows: requests answered together.
        context_tokens: longest dialogue with its answer; older turns are dropped.
        cache_gib: memory for what is kept of dialogues between their turns.
        cache_dir: hub cache.

    Raises:
        InputError: parts that do not go together.
    """
    if backend == "openai":
        if not api_base:
            raise InputError("--backend openai needs --api-base, for example http://127.0.0.1:8000/v1")
        if model_base:
            raise InputError(f"--model-base {model_base}: the server at {api_base} chose its base itself; leave it out")
        key = os.environ.get(API_KEY_VARIABLE) or "none"
        return OpenAIBackend(api_base, model_path, key, context_tokens=context_tokens)
    if backend != "transformers":
        raise InputError(f"--backend {backend}: expected transformers or openai")
    if api_base:
        raise InputError(f"--api-base {api_base} goes with --backend openai")
    engine = Engine.load(
        model_path,
        model_base,
        device=device,
        bits=bits,
        disable_flash_attn2=disable_flash_attention,
        dtype=dtype,
        cache_dir=cache_dir,
    )
    return TransformersBackend(
        engine,
        name=model_path,
        max_rows=max_rows,
        context_tokens=context_tokens,
        cache_bytes=int(cache_gib * 2**30),
    )
