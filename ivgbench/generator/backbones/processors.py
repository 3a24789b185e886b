"""What the families' attention processors share: putting them on and off again, and the shape of heads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def attached(network: Any, processors: dict[str, Any]) -> Iterator[None]:
    """While open, the named layers run the given processors; afterwards the model's own are back, whatever happened."""
    if not processors:
        yield
        return
    before = dict(network.attn_processors)
    if unknown := processors.keys() - before.keys():
        raise KeyError(f"no attention layer named {sorted(unknown)[0]}")
    try:
        # set_attn_processor empties the dict it is given: always hand it a copy.
        network.set_attn_processor({**before, **processors})
        yield
    finally:
        network.set_attn_processor(dict(before))


def heads_apart(attn: Any, tensor: torch.Tensor) -> torch.Tensor:
    """[B,N,heads*d] -> [B,heads,N,d]."""
    return tensor.unflatten(-1, (attn.heads, -1)).transpose(1, 2)


def heads_together(tensor: torch.Tensor) -> torch.Tensor:
    """[B,heads,N,d] -> [B,N,heads*d]."""
    return tensor.transpose(1, 2).flatten(2)


def project_out(attn: Any, tensor: torch.Tensor) -> torch.Tensor:
    """The layer's output projection (and its dropout, idle in eval mode)."""
    return attn.to_out[1](attn.to_out[0](tensor))
