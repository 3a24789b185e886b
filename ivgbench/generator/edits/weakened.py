"""Attention in which pairs of groups keep a part of their logit or weight, without their pairs.

All queries of a group weaken the same keys alike, and q (c k) is c (q k): with keys of its own each group attends as
ordinary attention does. Equal to the spelled-out form up to rounding.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True, eq=False)
class Bucket:
    """A group of queries in rows in which it is of one size; such rows are attended to together.

    queries: indices into the tokens of all rows, [count x size]; rows: which these are, [count]; weakened: keys of each
    that are, bool [count,M].
    """

    queries: torch.Tensor
    rows: torch.Tensor
    weakened: torch.Tensor


class Weakened:
    """Who weakens whom, for the rows of one guidance half.

    Args:
        queries: group of each query, int [rows,N]; keys: of each key, int [rows,M]; both on the CPU.
        sees: bool [G,G'] for each row: what is not seen is weakened. left: what a pair keeps: of its logit with
            multiply, else of its weight.
    """

    def __init__(
        self, queries: torch.Tensor, keys: torch.Tensor, sees: Sequence[torch.Tensor], device: torch.device,
        left: float, multiply: bool,
    ):  # fmt: skip
        self.count, self.length, self.left, self.multiply = len(queries), queries.shape[1], left, multiply
        found: dict[int, list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]] = defaultdict(list)
        for row, (own, other, table) in enumerate(zip(queries, keys, sees, strict=True)):
            for group in own.unique().tolist():
                of_group = (own == group).nonzero()[:, 0]
                found[len(of_group)].append((of_group + row * self.length, torch.tensor([row]), ~table[group][other]))
        self.buckets = []
        for same in found.values():
            of_groups, rows, weakened = zip(*same, strict=True)
            made = torch.cat(of_groups), torch.cat(rows), torch.stack(weakened)
            self.buckets.append(Bucket(*(one.to(device) for one in made)))

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of queries [B,heads,N,d], keys and values [B,heads,M,d]; B a multiple of the rows."""
        flat = query.transpose(1, 2).flatten(0, 1)
        result = torch.empty_like(flat, memory_format=torch.contiguous_format)
        for half in range(len(query) // self.count):
            for bucket in self.buckets:
                own, rows = bucket.queries + half * self.count * self.length, bucket.rows + half * self.count
                q = flat.index_select(0, own).unflatten(0, (len(rows), -1)).transpose(1, 2)
                made = self._attend(q, key[rows], value[rows], bucket)
                result.index_copy_(0, own, made.transpose(1, 2).flatten(0, 1))
        return result.unflatten(0, (len(query), -1)).transpose(1, 2)

    def _attend(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, bucket: Bucket) -> torch.Tensor:
        """Of a bucket's queries [count,heads,n,d]."""
        weakened = bucket.weakened[:, None]
        if self.multiply:
            return F.scaled_dot_product_attention(q, torch.where(weakened[..., None], k * self.left, k), v)
        bias = torch.zeros_like(weakened, dtype=q.dtype).masked_fill_(weakened, math.log(self.left))
        return F.scaled_dot_product_attention(q, k, v, attn_mask=bias[:, :, None])
