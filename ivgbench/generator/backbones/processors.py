"""What the families' attention processors share: putting them on and off again, and the shape of heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def attached(network: Any, processors: dict[str, Any]) -> Iterator[None]:
    """While open, the named layers run the given processors; afterwards the model's own are back, whatever happened."""
    layers = {name: _layer(network, name) for name in processors}
    before = {name: layer.processor for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            layer.set_processor(processors[name])
        yield
    finally:
        for name, layer in layers.items():
            layer.set_processor(before[name])


def _layer(network: Any, name: str) -> Any:
    """The layer that a processor of the network's `attn_processors` belongs to: to ask for that means a walk through
    all its modules, each time as long as two layers of a small network."""
    try:
        return network.get_submodule(name.removesuffix(".processor"))
    except AttributeError:
        raise KeyError(f"no attention layer named {name}") from None


def heads_apart(attn: Any, tensor: torch.Tensor) -> torch.Tensor:
    """[B,N,heads*d] -> [B,heads,N,d]."""
    return tensor.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


def heads_together(tensor: torch.Tensor) -> torch.Tensor:
    """[B,heads,N,d] -> [B,N,heads*d]."""
    return tensor.transpose(1, 2).flatten(2)


def project_out(attn: Any, tensor: torch.Tensor) -> torch.Tensor:
    """The layer's output projection (and its dropout, idle in eval mode)."""
    return attn.to_out[1](attn.to_out[0](tensor))
