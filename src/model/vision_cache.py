"""Encode each picture once: what the frozen blocks of a vision tower made of it is kept.

A tower whose blocks do not train makes the same of a picture in generation, in
the reference and in the policy, and again when the picture comes back epochs
later. The merger behind the blocks may train, so what is kept is its input.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.vision_utils import get_vision_window_index

from src.model.patches import vision_language_core

_MIB = 2**20


def picture_key(pixel_values: torch.Tensor, grid: torch.Tensor) -> str:
    """Content hash of one preprocessed picture: pixels (patches, dim) and grid (3,)."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(pixel_values.contiguous().cpu().view(torch.uint8).numpy().tobytes())
    digest.update(str(grid.tolist()).encode())
    return digest.hexdigest()


def picture_keys(pixel_values: torch.Tensor, grids: torch.Tensor) -> list[str]:
    """``picture_key`` of each picture of a batch: pixels one after another, grids (n, 3)."""
    parts = torch.split(pixel_values, grids.prod(-1).tolist())
    return [picture_key(pixels, grid) for pixels, grid in zip(parts, grids, strict=True)]


def can_cache(model: nn.Module) -> bool:
    """Whether the blocks of the vision tower are frozen and carry no adapter."""
    visual = vision_language_core(model).visual
    return not any(
        parameter.requires_grad or "lora_" in name
        for name, parameter in visual.named_parameters()
        if not name.startswith("merger")
    )


def cache_for(model: nn.Module, device_mib: float, *, spread: bool) -> "VisionCache | None":
    """A cache for a model whose pictures can be encoded once, four times as large in host memory; else None.

    Args:
        model: its tower's forward is replaced.
        device_mib: budget on the device; 0 keeps nothing.
        spread: ZeRO-3 keeps each parameter in parts on all ranks. They must then run the same modules, and a cache is
            filled differently on each, so there is none.
    """
    if not device_mib or spread or not can_cache(model):
        return None
    return VisionCache(model, device_mib, 4 * device_mib)


class VisionCache:
    """Replaces the forward pass of a vision tower by one that encodes new pictures only.

    Only passes inside ``pictures`` are changed; the keys say which picture is which. Features stay on the device of
    the tower up to a budget, then in host memory up to another; the oldest leave first.

    Args:
        model: a model for which ``can_cache`` holds; its tower's forward is replaced.
        device_mib: budget on the device.
        host_mib: budget in host memory.
    """

    def __init__(self, model: nn.Module, device_mib: float = 512, host_mib: float = 2048) -> None:
        self._visual = vision_language_core(model).visual
        self._encode = self._visual.forward
        self._visual.forward = self._forward
        self._features: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._budgets = {"device": device_mib * _MIB, "host": host_mib * _MIB}
        self._bytes = {"device": 0.0, "host": 0.0}
        self._where: dict[str, str] = {}
        self._fresh: dict[str, torch.Tensor] = {}
        self._keys: Sequence[str] | None = None
        self.encoded = 0

    @contextmanager
    def pictures(self, keys: Sequence[str]) -> Iterator[None]:
        """The pictures of the passes inside, in order."""
        self._keys = keys
        try:
            yield
        finally:
            self._keys = None

    def _forward(self, hidden_states: torch.Tensor, grid_thw: torch.Tensor, **kwargs: Any) -> Any:
        if self._keys is None or len(self._keys) != len(grid_thw):
            return self._encode(hidden_states, grid_thw=grid_thw, **kwargs)
        self._fill(hidden_states, grid_thw)
        # What was just encoded may have left again under a small budget; it is in ``_fresh`` until the pass ends.
        features = [self._take(key) for key in self._keys]
        self._fresh = {}
        hidden: Any = torch.cat(features).to(hidden_states.device)
        merged = self._visual.merger(hidden)[self._order(grid_thw).to(hidden.device)]
        return BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=merged)

    @torch.no_grad()
    def _fill(self, pixel_values: torch.Tensor, grid_thw: torch.Tensor) -> None:
        assert self._keys is not None
        first = {key: place for place, key in reversed(list(enumerate(self._keys))) if key not in self._features}
        places = sorted(first.values())
        if not places:
            return
        sizes = grid_thw.prod(-1).tolist()
        pixels = torch.split(pixel_values, sizes)
        output = self._encode(torch.cat([pixels[place] for place in places]), grid_thw=grid_thw[places])
        hidden = torch.split(output.last_hidden_state, [sizes[place] for place in places])
        self.encoded += len(places)
        for place, feature in zip(places, hidden, strict=True):
            self._fresh[self._keys[place]] = feature
            self._store(self._keys[place], feature.clone())

    def _take(self, key: str) -> torch.Tensor:
        if key in self._fresh:
            return self._fresh[key]
        self._features.move_to_end(key)
        return self._features[key].to(self._visual.device)

    def _store(self, key: str, feature: torch.Tensor) -> None:
        size = feature.nbytes
        where = "device" if self._bytes["device"] + size <= self._budgets["device"] else "host"
        if where == "host":
            feature = feature.cpu()
        self._features[key], self._where[key] = feature, where
        self._bytes[where] += size
        while self._bytes["host"] > self._budgets["host"] and self._features:
            self._drop(next((old for old in self._features if self._where[old] == "host"), key))

    def _drop(self, key: str) -> None:
        self._bytes[self._where.pop(key)] -= self._features.pop(key).nbytes

    def _order(self, grid_thw: torch.Tensor) -> torch.Tensor:
        """Places of the merged tokens in reading order; blocks with windows keep them in another."""
        tower = self._visual
        if not hasattr(tower, "window_size"):
            return torch.arange(int(grid_thw.prod(-1).sum()) // tower.spatial_merge_size**2)
        index, _ = get_vision_window_index(
            grid_thw,
            spatial_merge_size=tower.spatial_merge_size,
            window_size=tower.window_size,
            patch_size=tower.patch_size,
            kwargs={},
        )
        return torch.argsort(index)
