"""Prompt to first token, and one token for many rows at a time, on explicit positions and own keys and values.

``model.generate`` keeps rotary offsets in one field of the model, so two
dialogues disturb each other, and it fails where a later turn brings a new
picture. Here every row carries its positions. Rows of different lengths are
padded on the left; they join and leave between two tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad
from transformers import (
    DynamicCache,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)
from transformers.cache_utils import DynamicLayer

from src.constants import END_OF_TEXT, IM_END, SPECIAL_TOKENS
from src.model.dialogue_cache import KeyValues
from src.model.prompt import Prompt, PromptEncoder
from src.model.reply import FinishReason, GenerateOptions, Reply


class Sampler:
    """Chooses the tokens of one row.

    Args:
        options: how to choose.
        tokenizer: its structural tokens are never chosen, but for the two that end an answer: a placeholder in an
            answer would be read as a picture in the next turn.
        device: of the logits.
    """

    def __init__(self, options: GenerateOptions, tokenizer: Any, device: torch.device) -> None:
        never = [token for token in SPECIAL_TOKENS if token not in (IM_END, END_OF_TEXT)]
        steps: list[Any] = [SuppressTokensLogitsProcessor(tokenizer.convert_tokens_to_ids(never), device=str(device))]
        if options.repetition_penalty != 1.0:
            steps.append(RepetitionPenaltyLogitsProcessor(options.repetition_penalty))
        self.reads_ids = options.repetition_penalty != 1.0
        self._generator: torch.Generator | None = None
        if options.temperature > 0:
            # The order of transformers' own generate.
            steps.append(TemperatureLogitsWarper(options.temperature))
            if options.top_k > 0:
                steps.append(TopKLogitsWarper(options.top_k))
            if options.top_p < 1:
                steps.append(TopPLogitsWarper(options.top_p))
            self._generator = torch.Generator(device)
            if options.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(options.seed)
        self._steps: Any = LogitsProcessorList(steps)

    def __call__(self, ids: torch.Tensor, logits: torch.Tensor) -> int:
        """The next token, for ids (1, T) so far and logits (1, V)."""
        scores = self._steps(ids, logits.float())
        if self._generator is None:
            return int(scores.argmax(-1))
        return int(torch.multinomial(scores.softmax(-1), 1, generator=self._generator))


class TextStream:
    """Token ids to text, holding back the bytes of a character that is not whole yet."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._held: list[int] = []

    def add(self, token: int, *, last: bool = False) -> str:
        """Text that became readable with this token."""
        self._held.append(token)
        text = self._tokenizer.decode(self._held, skip_special_tokens=True)
        if text.endswith("\ufffd") and not last:
            return ""
        self._held.clear()
        return text


class Row:
    """One request on its way through the model.

    ``prompt`` is set when it is encoded; ``layers`` holds its keys and values while it is outside a batch.
    """

    def __init__(self, messages: Sequence[Any], options: GenerateOptions, session: str, reply: Reply) -> None:
        self.messages, self.options, self.session, self.reply = messages, options, session, reply
        self.prompt: Prompt | None = None
        self.layers: KeyValues | None = None
        self.sampler: Sampler | None = None
        self.stream: TextStream | None = None
        self.generated: list[int] = []
        self.length = 0
        self.position = 0
        self.in_slice = 0

    def accept(self, logits: torch.Tensor, tokenizer: Any) -> FinishReason | None:
        """Choose the next token from logits (1, V) and stream its text; the reason when the answer ends with it."""
        assert self.prompt is not None and self.sampler is not None and self.stream is not None
        ids = self.prompt.ids[None]
        if self.sampler.reads_ids:
            ids = torch.cat([ids, torch.tensor([self.generated], dtype=torch.long)], 1).to(logits.device)
        token = self.sampler(ids, logits)
        if token in (tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(END_OF_TEXT)):
            self.reply.push(self.stream.add(token, last=True))
            return "stop"
        self.generated.append(token)
        self.in_slice += 1
        full = len(self.generated) >= self.options.max_new_tokens
        self.reply.push(self.stream.add(token, last=full))
        return "length" if full else None


class Decoder:
    """The rows that are being answered, and the model that answers them.

    Args:
        model: a Qwen2-VL or Qwen2.5-VL model, plain or wrapped by PEFT, in evaluation mode.
        encoder: of the same model.
    """

    def __init__(self, model: Any, encoder: PromptEncoder) -> None:
        self.model, self.encoder = model, encoder
        self.rows: list[Row] = []
        self._layers: KeyValues = []

    def prefill(self, prompt: Prompt, known: int, layers: KeyValues) -> tuple[torch.Tensor, KeyValues]:
        """Compute what is new of a prompt; the rows are not touched.

        Args:
            prompt: the prompt.
            known: leading tokens whose keys and values are given; must not split a picture.
            layers: those.

        Returns:
            Logits (1, V) after the last token, and keys and values of the whole prompt.
        """
        device = self.model.device
        fresh = [media for media in prompt.media if media.start >= known]
        inputs = {name: value.to(device) for name, value in self.encoder.pixel_inputs(fresh).items()}
        cache = _cache_of(layers)
        output = self.model(
            input_ids=prompt.ids[None, known:].to(device),
            position_ids=prompt.positions[:, None, known:].to(device),
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
            **inputs,
        )
        return output.logits[:, -1], _layers_of(cache)

    def join(self, row: Row) -> None:
        """Take a row, with its keys and values, into the batch."""
        assert row.layers is not None
        own, row.layers = row.layers, None
        length = max([row.length, *(other.length for other in self.rows)])
        if self.rows:
            own = [
                (_merge(keys, own_keys, length), _merge(values, own_values, length))
                for (keys, values), (own_keys, own_values) in zip(self._layers, own, strict=True)
            ]
        self._layers = own
        self.rows = [*self.rows, row]

    def leave(self, rows: Sequence[Row]) -> None:
        """Take rows out; each gets its keys and values back, without the padding."""
        if not rows:
            return
        width = max(row.length for row in self.rows)
        for row in rows:
            place = self.rows.index(row)
            row.layers = [_cut(layer, [place], width - row.length) for layer in self._layers]
        stay = [place for place, row in enumerate(self.rows) if row not in rows]
        kept = [self.rows[place] for place in stay]
        longest = max((row.length for row in kept), default=0)
        # Rows and layers change together: if there is no memory for the copies, the batch is as before.
        self._layers = [_cut(layer, stay, width - longest) for layer in self._layers] if stay else []
        self.rows = kept

    def clear(self) -> list[Row]:
        """Drop the batch and return its rows."""
        rows, self.rows, self._layers = self.rows, [], []
        return rows

    def step(self) -> torch.Tensor:
        """Feed the last token of every row.

        Returns:
            Logits (rows, V). If the model raises, the rows are as before.
        """
        device = self.model.device
        width = max(row.length for row in self.rows) + 1
        lengths = torch.tensor([row.length + 1 for row in self.rows])
        mask = (torch.arange(width)[None] >= width - lengths[:, None]).long().to(device)
        cache = _cache_of(self._layers)
        output = self.model(
            input_ids=torch.tensor([[row.generated[-1]] for row in self.rows], device=device),
            position_ids=torch.tensor([row.position for row in self.rows], device=device).expand(3, -1)[..., None],
            attention_mask=None if len(self.rows) == 1 else mask,
            past_key_values=cache,
            use_cache=True,
        )
        self._layers = _layers_of(cache)
        for row in self.rows:
            row.length += 1
            row.position += 1
        return output.logits[:, -1]

    def score(self, prompt: Prompt, logits: torch.Tensor, layers: KeyValues, tails: Sequence[list[int]]) -> list[float]:
        """Log-probability of each continuation of a prompt that was prefilled.

        Args:
            prompt: the prompt.
            logits: (1, V) after it.
            layers: its keys and values.
            tails: token ids, one list per continuation.
        """
        device = self.model.device
        first = logits.float().log_softmax(-1)[0]
        width = max(len(tail) for tail in tails)
        ids = torch.tensor([tail + [0] * (width - len(tail)) for tail in tails], device=device)
        scores = first[ids[:, 0]]
        if width > 1:
            spread = [
                (keys.expand(len(tails), -1, -1, -1), values.expand(len(tails), -1, -1, -1)) for keys, values in layers
            ]
            start = int(prompt.positions.max()) + 1
            positions = torch.arange(start, start + width - 1, device=device).expand(3, len(tails), -1)
            # Padding is on the right: under a causal mask nothing before it sees it.
            output = self.model(
                input_ids=ids[:, :-1], position_ids=positions, past_key_values=_cache_of(spread), use_cache=True
            )
            later = output.logits.float().log_softmax(-1).gather(-1, ids[:, 1:, None])[..., 0]
            lengths = torch.tensor([len(tail) - 1 for tail in tails], device=device)
            inside = torch.arange(width - 1, device=device)[None] < lengths[:, None]
            scores = scores + later.masked_fill(~inside, 0.0).sum(-1)
        return [float(score) for score in scores]


def _cache_of(layers: KeyValues) -> DynamicCache:
    # Given to the constructor, they would be copied once more. An update makes new tensors and leaves these alone.
    cache = DynamicCache()
    for keys, values in layers:
        layer = DynamicLayer()
        layer.lazy_initialization(keys, values)
        layer.keys, layer.values = keys, values
        cache.layers.append(layer)
    return cache


def _layers_of(cache: Any) -> KeyValues:
    return [(layer.keys, layer.values) for layer in cache.layers]


def _merge(batch: torch.Tensor, own: torch.Tensor, length: int) -> torch.Tensor:
    """Batches (B, H, T, D) and (1, H, U, D) as one, padded on the left to a length."""
    return torch.cat([pad(part, (0, 0, length - part.shape[2], 0)) for part in (batch, own)])


def _cut(layer: tuple[torch.Tensor, torch.Tensor], places: list[int], start: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows at some places from a column on; a copy, so that the batch's memory can be freed."""
    keys, values = layer
    index = torch.tensor(places, device=keys.device)
    return keys[:, :, start:].index_select(0, index), values[:, :, start:].index_select(0, index)
