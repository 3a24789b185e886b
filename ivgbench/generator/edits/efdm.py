"""Exact feature distribution matching (Zhang et al., CVPR 2022, arXiv 2203.07740): one's order, another's values."""

from __future__ import annotations

import numpy as np
import torch

#: From so many numbers on the rows are sorted in parts: an order takes twice the bytes of what it is of.
PARTED_FROM, PARTS = 2**18, 8


def match_exactly(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    """Puts the k-th smallest of `style` where `content` has its k-th smallest, per row and channel over the positions.

    Mask Normalization is this with content = masked and style = unmasked attention output: the masked order, the
    unmasked distribution. (The paper's text names the roles the other way round, which would leave the masked
    variance as it is: only this direction gives its Figure 2.)

    Args:
        content, style: [B,N,C], positions on dim 1.
    Returns:
        [B,N,C] in content's dtype. Ties are broken by position. `content` gets the gradient unchanged, `style` none.
    """
    return _Match.apply(content, style)


class _Match(torch.autograd.Function):
    """Straight-through by construction: `content + (matched - content).detach()` would be off by rounding."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
        rows = len(content) if content.numel() < PARTED_FROM else -(-len(content) // PARTS)
        parts = zip(content.detach().split(rows), style.detach().split(rows), strict=True)
        return torch.cat([_matched(*part) for part in parts])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def _matched(content: torch.Tensor, style: torch.Tensor) -> torch.Tensor:
    # At least float32, whatever the network runs in.
    order, values = _order(content.to(torch.promote_types(content.dtype, torch.float32))), _sorted(style)
    return torch.empty_like(values).scatter_(1, order, values).to(content.dtype)


def _packed(values: torch.Tensor) -> bool:
    """Whether numpy's vectorised sort is to be had: on the CPU torch's takes several times as long."""
    return values.device.type == "cpu" and values.dtype == torch.float32


def _order(values: torch.Tensor) -> torch.Tensor:
    """Positions [B,N,C] of the values [B,N,C] in ascending order over dim 1; of equal ones the first comes first."""
    if not _packed(values):
        return values.argsort(dim=1, stable=True)
    # A float's bits as a whole number of the same order (both zeros are one), above its position: no two are equal.
    bits = (values.transpose(1, 2) + 0.0).contiguous().numpy().view(np.int32)
    keys = (bits ^ (bits >> 31 & 0x7FFFFFFF)).astype(np.int64) << 32
    keys |= np.arange(values.shape[1])
    keys.sort(axis=-1)
    return torch.from_numpy(keys & 0xFFFFFFFF).transpose(1, 2)


def _sorted(values: torch.Tensor) -> torch.Tensor:
    """The values [B,N,C] in ascending order over dim 1."""
    if not _packed(values):
        return values.sort(dim=1, stable=True).values
    return torch.from_numpy(np.sort(values.transpose(1, 2).contiguous().numpy(), axis=-1)).transpose(1, 2).contiguous()
