"""Ask a model: one conversation, many at once, or the probability of given answers.

Transformers in this process. Batches are padded on the left through one
``model.generate`` with its attention mask and ``mm_token_type_ids``; sampling
from the full distribution (no top-k, no repetition penalty) unless asked.

    engine = Engine.load("assets/nano")
    engine.generate([{"role": "user", "content": [{"type": "image", "image": picture},
                                                  {"type": "text", "text": "Is there water?"}]}])
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from tqdm import tqdm
from transformers import GenerationConfig
from transformers.video_utils import VideoMetadata

from src.budget import PixelBudget
from src.constants import IM_END, IMAGE_PAD, SPECIAL_TOKENS, VIDEO_PAD
from src.errors import InputError
from src.model.adapters import adapter_base, adapter_chain, attach_adapter, check_lineage, is_adapter
from src.model.load import load_model, load_policy, load_processor, processor_source

Message = dict[str, Any]
Conversation = Sequence[Message]
# The library's neutral values; it warns about others when nothing is sampled.
_GREEDY: dict[str, Any] = {"temperature": 1.0, "top_p": 1.0, "top_k": 50}


def pick_device(device: str) -> torch.device:
    """The device asked for; "auto" is CUDA where there is one, else the CPU.

    Raises:
        InputError: CUDA is asked for and not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {device}: no CUDA device here; use auto or cpu")
    return torch.device(device)


def with_images(messages: Conversation, images: Sequence[Any] = ()) -> list[Message]:
    """Check a conversation and put pictures into its empty image parts, in order.

    Args:
        messages: ``{"role", "content"}``; content is text or a list of ``{"type": "text", "text"}``,
            ``{"type": "image", "image": PIL image}`` and ``{"type": "video", "frames": [PIL image], "fps": float}``
            parts; ``fps`` is the rate of the frames given.
        images: pictures for the image parts that hold none.

    Returns:
        New messages in which every content is a list of parts and every image part holds its picture.

    Raises:
        InputError: an unknown part, special tokens in the text, or counts that do not agree.
    """
    rest = list(images)
    filled = []
    for message in messages:
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        filled.append({"role": message["role"], "content": [_checked(part, rest) for part in parts]})
    if rest:
        raise InputError(f"{len(images)} pictures for {len(images) - len(rest)} empty image parts: counts must agree")
    return filled


def _checked(part: Message, rest: list[Any]) -> Message:
    if part.get("type") == "text":
        found = [token for token in SPECIAL_TOKENS if token in part["text"]]
        if found:
            raise InputError(f"text holds special tokens {found}: escape them first, see constants.escape_special")
        return part
    if part.get("type") == "video" and part.get("frames") and part.get("fps", 0) > 0:
        sizes = {frame.size for frame in part["frames"]}
        if len(sizes) > 1:
            raise InputError(f"frames of one video differ in size: {sorted(sizes)}")
        return part
    if part.get("type") != "image":
        raise InputError(
            f"content part of type {part.get('type')!r}: expected text, image, or video with frames and fps > 0"
        )
    if part.get("image") is not None:
        return part
    if not rest:
        raise InputError("an image part holds no picture and none is left in images: counts must agree")
    return {"type": "image", "image": rest.pop(0)}


def pictures_of(messages: Conversation) -> list[Any]:
    """Pictures of a filled conversation, in reading order."""
    return [part["image"] for message in messages for part in message["content"] if part["type"] == "image"]


def clips_of(messages: Conversation) -> list[Message]:
    """Video parts of a filled conversation, in reading order."""
    return [part for message in messages for part in message["content"] if part["type"] == "video"]


def video_arguments(clips: Sequence[Message]) -> dict[str, Any]:
    """What a processor needs beside the frames; without metadata it would read them as 24 frames a second."""
    if not clips:
        return {}
    metadata = [
        VideoMetadata(
            total_num_frames=len(clip["frames"]),
            fps=float(clip["fps"]),
            frames_indices=list(range(len(clip["frames"]))),
        )
        for clip in clips
    ]
    videos = [np.stack([np.asarray(frame.convert("RGB")) for frame in clip["frames"]]) for clip in clips]
    # As qwen-vl-utils does: the frames of a long video share one bound on its tokens.
    common = {"video_metadata": metadata, "do_sample_frames": False, "cap_pixels_per_frame": True}
    return {"videos": videos, "videos_kwargs": common}


class Engine:
    """A model with its processor, ready to answer.

    Args:
        model: a Qwen2-VL or Qwen2.5-VL model, plain or wrapped by PEFT; its own device and dtype are used.
        processor: as ``load_processor`` gives it.
    """

    def __init__(self, model: Any, processor: Any) -> None:
        self.model, self.processor = model, processor
        self.tokenizer = processor.tokenizer
        self.budget = PixelBudget.of(processor)

    @classmethod
    def load(
        cls,
        model_path: str,
        model_base: str | None = None,
        *,
        adapters: Sequence[str] = (),
        dtype: torch.dtype | None = None,
        device: str = "auto",
        bits: int = 16,
        disable_flash_attn2: bool = False,
        cache_dir: str | None = None,
    ) -> "Engine":
        """Load a model, or an adapter with its base.

        Args:
            model_path: model folder, hub id, or adapter folder.
            model_base: base of an adapter; default: the one that it names. Adapters that were folded in
                before it was trained are folded in too.
            adapters: adapters to fold into a model, in order.
            dtype: default: bfloat16 on CUDA, float32 on the CPU.
            device: auto, cpu, cuda or cuda:N.
            bits: 16, or 8 or 4 by bitsandbytes.
            disable_flash_attn2: use sdpa even where flash-attn is installed.
            cache_dir: hub cache.

        Raises:
            InputError: parts that do not go together.
        """
        if is_adapter(model_path):
            base, chain = model_base or adapter_base(model_path), adapter_chain(model_path)
        elif model_base:
            raise InputError(f"{model_path} is a whole model: leave out --model-base {model_base}, or give an adapter")
        else:
            base, chain = model_path, [str(adapter) for adapter in adapters]
        target = pick_device(device)
        dtype = dtype or (torch.bfloat16 if target.type == "cuda" else torch.float32)
        common: dict[str, Any] = {"dtype": dtype, "disable_flash_attn2": disable_flash_attn2, "cache_dir": cache_dir}
        processor = load_processor(processor_source(chain, base), cache_dir)
        if bits == 16 and chain:
            policy: Any = load_policy(base, chain, **common)
            return cls(policy.to(target), processor)
        if len(chain) > 1:
            raise InputError(f"{chain} with --load-{bits}bit: merge them first (scripts/merge_lora.sh)")
        model: Any = load_model(base, bits=bits, device_map={"": target}, **common)
        for adapter in chain:
            check_lineage(adapter, base, [], cache_dir)
            model = attach_adapter(model, adapter)
        return cls(model, processor)

    def generate(self, messages: Conversation, images: Sequence[Any] = (), **options: Any) -> str:
        """Answer one conversation.

        Args:
            messages: see ``with_images``.
            images: pictures for image parts that hold none.
            options: of ``generate_batch``.
        """
        return self.generate_batch([with_images(messages, images)], **options)[0]

    @torch.inference_mode()
    def generate_batch(
        self,
        conversations: Sequence[Conversation],
        *,
        max_new_tokens: int = 64,
        temperature: float = 0.0,
        top_p: float = 1.0,
        top_k: int = 0,
        repetition_penalty: float = 1.0,
        seed: int | None = None,
        num_return: int = 1,
        batch_size: int = 32,
        progress: str | None = None,
    ) -> list[Any]:
        """Answer many conversations; longest first, so that padding and surprises are small.

        Args:
            conversations: see ``with_images``; lengths and numbers of pictures may differ.
            max_new_tokens: longest answer.
            temperature: 0 takes the most probable token, otherwise answers are sampled.
            top_p: nucleus; 1 keeps all.
            top_k: most probable tokens to sample from; 0 keeps all.
            repetition_penalty: 1 is none.
            seed: makes sampling repeatable for the same conversations, options and batch size; the global
                random state is left alone. None samples from the global state.
            num_return: answers per conversation, which share its pictures.
            batch_size: conversations per pass.
            progress: label of a progress bar; None shows none.

        Returns:
            One answer per conversation, in the order given; a list of answers each when num_return > 1.

        Raises:
            InputError: a conversation that cannot be used, or contradictory options.
        """
        config = self._generation_config(max_new_tokens, temperature, top_p, top_k, repetition_penalty, num_return)
        filled = [with_images(messages) for messages in conversations]
        order = sorted(range(len(filled)), key=lambda index: -self._length(filled[index]))
        answers: list[Any] = [None] * len(filled)
        with self._ready(seed), tqdm(total=len(filled), desc=progress, disable=progress is None) as bar:
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                texts = self._answers([filled[index] for index in chosen], config)
                for place, index in enumerate(chosen):
                    own = texts[place * num_return : (place + 1) * num_return]
                    answers[index] = own if num_return > 1 else own[0]
                bar.update(len(chosen))
        return answers

    @torch.inference_mode()
    def score(self, messages: Conversation, choices: Sequence[str], *, batch_size: int = 32) -> list[float]:
        """Log-probability of each choice as the whole answer, its end token included.

        With the end token, "1" does not win over "10" by being its beginning.

        Args:
            messages: see ``with_images``.
            choices: possible answers.
            batch_size: choices per pass.

        Returns:
            Natural logarithms, one per choice.
        """
        filled = with_images(messages)
        tails = [f"{choice}{IM_END}" for choice in choices]
        scores: list[float] = []
        with self._ready(None):
            for start in range(0, len(tails), batch_size):
                scores += self._tail_scores(filled, tails[start : start + batch_size])
        return scores

    def _tail_scores(self, messages: Conversation, tails: Sequence[str]) -> list[float]:
        sizes = [len(self.tokenizer(tail)["input_ids"]) for tail in tails]
        inputs = self._encode([messages] * len(tails), tails)
        kept = max(sizes) + 1
        # Left padding puts the ends of all rows in the last columns; position t predicts token t + 1.
        log_probs = self.model(**inputs, logits_to_keep=kept).logits[:, :-1].float().log_softmax(-1)
        tokens = inputs["input_ids"][:, -kept + 1 :, None]
        per_token = log_probs.gather(-1, tokens)[..., 0]
        return [float(row[-size:].sum()) for row, size in zip(per_token, sizes, strict=True)]

    def _prompt(self, messages: Conversation) -> str:
        return self.processor.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)

    def _length(self, messages: Conversation) -> int:
        visual = sum(self.budget.visual_tokens(*picture.size) for picture in pictures_of(messages))
        return len(self.tokenizer(self._prompt(messages))["input_ids"]) + visual

    def _encode(self, conversations: Sequence[Conversation], tails: Sequence[str] | None = None) -> dict[str, Any]:
        texts = [self._prompt(messages) for messages in conversations]
        if tails is not None:
            texts = [text + tail for text, tail in zip(texts, tails, strict=True)]
        pictures = [picture for messages in conversations for picture in pictures_of(messages)]
        clips = [clip for messages in conversations for clip in clips_of(messages)]
        inputs = self.processor(
            text=texts,
            images=pictures or None,
            padding=True,
            padding_side="left",
            return_tensors="pt",
            **video_arguments(clips),
        )
        return dict(inputs.to(self.model.device))

    def _generation_config(
        self,
        max_new_tokens: int,
        temperature: float,
        top_p: float,
        top_k: int,
        repetition_penalty: float,
        num_return: int,
    ) -> GenerationConfig:
        if num_return > 1 and temperature == 0:
            raise InputError(f"num_return {num_return} needs temperature > 0: greedy answers are all the same")
        sampling: dict[str, Any] = {"temperature": temperature, "top_p": top_p, "top_k": top_k}
        # Every field is set: what is left open would be taken from the checkpoint's own generation_config.
        return GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=temperature > 0,
            **(sampling if temperature > 0 else _GREEDY),
            repetition_penalty=repetition_penalty,
            num_return_sequences=num_return,
            # Sampled placeholders would be read as pictures that are not there.
            suppress_tokens=self.tokenizer.convert_tokens_to_ids([IMAGE_PAD, VIDEO_PAD]),
            pad_token_id=self.tokenizer.pad_token_id,
        )

    def _answers(self, conversations: Sequence[Conversation], config: GenerationConfig) -> list[str]:
        inputs = self._encode(conversations)
        output = self.model.generate(**inputs, generation_config=config)
        return self.tokenizer.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)

    @contextlib.contextmanager
    def _ready(self, seed: int | None) -> Iterator[None]:
        training = self.model.training
        devices = [self.model.device] if self.model.device.type == "cuda" else []
        with torch.random.fork_rng(devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            self.model.eval()
            try:
                yield
            finally:
                self.model.train(training)
