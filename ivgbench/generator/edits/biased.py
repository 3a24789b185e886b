"""Numbers added to the logits of text attention, for each clip, frame, cell and token, of one guidance half."""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F

from ivgbench.generator.backbones.sites import Site


class Bias:
    """An edit of text attention within frames, of the conditional half, the same for all heads.

    of_grid: rows and columns of a map -> what is added to its logits, [NF,cells,L], clip by clip; -inf hides a token.
    Every cell must see some token.
    """

    def __init__(self, of_grid: Mapping[tuple[int, int], torch.Tensor]):
        self._of_grid = dict(of_grid)

    def attend(self, site: Site, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [NF,heads,cells,d] of the conditional half's queries, keys and values."""
        bias = self._of_grid[site.grid] = self._of_grid[site.grid].to(query.device, query.dtype)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias[:, None])
