"""Attention between groups of tokens without their pairs: gather a group's keys, attend, put the results back.

Equal to attention with the spelled-out mask up to rounding, with the kernels that take no mask, and with less work than
ordinary attention: no forbidden pair is computed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

#: Of a row, as many of a group's queries are gathered at a time, to bound their memory.
QUERIES = 4096


@dataclass(frozen=True, eq=False)
class Bucket:
    """A group of queries in rows in which it and what it sees are of one size; such rows are attended to together.

    count: rows; queries, keys: indices into the tokens of all rows, [count x size] each.
    """

    count: int
    queries: torch.Tensor
    keys: torch.Tensor


class Groups:
    """Who sees whom, for the rows of one guidance half.

    Args:
        queries: group of each query, int [rows,N]; keys: of each key, int [rows,M]; both on the CPU.
        sees: bool [G,G'] for each row; a group that sees no key of its row sees all.
    """

    def __init__(self, queries: torch.Tensor, keys: torch.Tensor, sees: Sequence[torch.Tensor], device: torch.device):
        self.rows, self.length, self.others = len(queries), queries.shape[1], keys.shape[1]
        found: dict[tuple[int, int], list[tuple[torch.Tensor, torch.Tensor]]] = defaultdict(list)
        for row, (own, other, table) in enumerate(zip(queries, keys, sees, strict=True)):
            for group in own.unique().tolist():
                of_group = (own == group).nonzero()[:, 0]
                seen = table[group][other]
                seen = seen.nonzero()[:, 0] if seen.any() else torch.arange(self.others)
                found[len(of_group), len(seen)].append((of_group + row * self.length, seen + row * self.others))
        self.buckets = [
            Bucket(len(pairs), *(torch.cat(side).to(device) for side in zip(*pairs, strict=True)))
            for pairs in found.values()
        ]

    def attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of queries [B,heads,N,d], keys and values [B,heads,M,d]; B a multiple of the rows."""
        # Tokens in front: a token's heads lie together, and a gather copies them as one.
        q, k, v = (one.transpose(1, 2).flatten(0, 1) for one in (query, key, value))
        result = torch.empty_like(q, memory_format=torch.contiguous_format)
        for half in range(len(query) // self.rows):
            for bucket in self.buckets:
                self._attend(bucket, half, q, k, v, result)
        return result.unflatten(0, (len(query), -1)).transpose(1, 2)

    def _attend(
        self, bucket: Bucket, half: int, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, out: torch.Tensor
    ) -> None:
        """One bucket's part of a guidance half, into `out`; all [tokens,heads,d]. Holds nothing of it afterwards."""
        own = (bucket.queries + half * self.rows * self.length).unflatten(0, (bucket.count, -1))
        seen = bucket.keys + half * self.rows * self.others
        k, v = (_gathered(one, seen, bucket.count) for one in (key, value))
        for some in own.split(QUERIES, dim=1):
            at = some.flatten()
            made = F.scaled_dot_product_attention(_gathered(query, at, bucket.count), k, v)
            out.index_copy_(0, at, made.transpose(1, 2).flatten(0, 1))


def _gathered(flat: torch.Tensor, at: torch.Tensor, count: int) -> torch.Tensor:
    """Tokens [T,heads,d] at some indices, of `count` rows one after the other: [count,heads,n,d]."""
    return flat.index_select(0, at).unflatten(0, (count, -1)).transpose(1, 2)
