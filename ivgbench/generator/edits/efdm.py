"""Exact feature distribution matching (Zhang et al., CVPR 2022, arXiv 2203.07740): one's order, another's values."""

from __future__ import annotations

import torch


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
        # At least float32, whatever the network runs in.
        order = content.detach().to(torch.promote_types(content.dtype, torch.float32)).argsort(dim=1, stable=True)
        values = style.detach().sort(dim=1, stable=True).values
        return torch.empty_like(values).scatter_(1, order, values).to(content.dtype)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None
