"""Keys and values of dialogues between their turns, so that a turn computes only what is new.

One entry a session: the last prompt with its answer. A prompt is matched by
its longest common prefix; pictures count by their content (``Prompt.key``), so
another picture of the same size never matches. A cache belongs to one set of
weights: the engine that owns it has one model with its adapters folded in.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch

# Per layer keys and values, each (1, heads, tokens, head size).
KeyValues = list[tuple[torch.Tensor, torch.Tensor]]


def size_of(layers: KeyValues) -> int:
    """Bytes of keys and values."""
    return sum(part.numel() * part.element_size() for layer in layers for part in layer)


def common_prefix(first: np.ndarray, second: np.ndarray) -> int:
    """Number of leading elements that agree."""
    shorter = min(len(first), len(second))
    differs = np.flatnonzero(first[:shorter] != second[:shorter])
    return int(differs[0]) if len(differs) else shorter


@dataclass(frozen=True)
class _Entry:
    key: np.ndarray
    layers: KeyValues
    bytes: int


class DialogueCache:
    """Least recently used dialogues go first when the budget is spent.

    Args:
        max_bytes: memory for keys and values; 0 keeps nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Memory in use."""
        with self._lock:
            return sum(entry.bytes for entry in self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)

    def match(self, session: str, key: np.ndarray) -> tuple[int, KeyValues]:
        """The kept beginning of a prompt.

        Args:
            session: name of the dialogue.
            key: ``Prompt.key``, (T,) int64.

        Returns:
            Number of tokens n that need not be computed, less than T, and their keys and values (views of the
            entry, which nobody changes in place); 0 and [] where nothing is kept.
        """
        with self._lock:
            entry = self._entries.get(session)
            if entry is None:
                return 0, []
            self._entries.move_to_end(session)
        # The last token is always computed: its logits choose the first token of the answer.
        length = min(common_prefix(entry.key, key), len(key) - 1)
        if length <= 0:
            return 0, []
        return length, [(keys[:, :, :length], values[:, :, :length]) for keys, values in entry.layers]

    def put(self, session: str, key: np.ndarray, layers: KeyValues) -> None:
        """Keep a dialogue; ``key`` names exactly the tokens in ``layers``. An entry over the budget is not kept."""
        size = size_of(layers)
        assert layers[0][0].shape[2] == len(key), "keys and values must belong to the tokens"
        with self._lock:
            self._entries.pop(session, None)
            if size > self.max_bytes:
                return
            self._entries[session] = _Entry(key, layers, size)
            while sum(entry.bytes for entry in self._entries.values()) > self.max_bytes:
                self._entries.popitem(last=False)

    def forget(self, session: str) -> None:
        """Drop a dialogue, if it is there."""
        with self._lock:
            self._entries.pop(session, None)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
