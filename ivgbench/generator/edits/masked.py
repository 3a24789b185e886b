"""Attention in which groups of tokens see each other or not: a label for each token, and a small table of groups.

A table is exact and never grows with the square of the tokens; the pairs are spelled out only where that is faster.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits.grouped import Groups
from ivgbench.generator.edits.weakened import Weakened

#: Added to the logit of a pair that may not attend, as in the released Peekaboo. Finite on purpose: a row in which
#: every pair is forbidden is ordinary attention then, where -inf would give NaN.
FORBIDDEN = -10000.0
#: From so many pairs of a query and a key on, groups are attended to one by one (`grouped`). On one CPU thread, in
#: units of ordinary attention, biased against grouped: 2,880 cells 1.34 and 0.71, and to a text 1.29 and 0.92; 720
#: cells 1.16 and 0.78. Below, either is a small part of a step, and the bias is kept.
GROUPED_FROM = 100_000
#: As many logits are spelled out at a time, to bound their memory.
LOGITS = 2**27


@dataclass(frozen=True, eq=False)
class Rule:
    """Who may attend to whom in one clip.

    labels: group of each cell, int [F,h,w]; keys: group of each token of the text, int [L], or None where the cells
    attend to themselves; sees: bool [G,G'], whether a group may attend to another, None for all; updated: bool [G],
    groups that get an update at all, None for all. A group without one enters as a blank and leaves as 0.

    For a "joint" site text and cells are one sequence, the text first: its groups are numbered on after the cells', and
    `sees` is of them all, bool [G+G',G+G'].
    """

    labels: torch.Tensor
    keys: torch.Tensor | None = None
    sees: torch.Tensor | None = None
    updated: torch.Tensor | None = None


class Mask:
    """An edit of attention layers: a rule for each clip of the batch.

    multiply: a forbidden pair's logit is multiplied by `left`, softmax((QK^T/sqrt(d)) o M) V, instead of its being
        hidden.
    match: the output takes the distribution of the unmasked one (`efdm.match_exactly`).
    left: how much is left of a forbidden pair: of its logit where it is multiplied, else of its weight.
    conditional: the unconditional guidance half attends without it; only where the halves are evaluated apart.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        multiply: bool = False,
        match: bool = False,
        left: float = 0.0,
        conditional: bool = False,
    ):
        self.rules, self.multiply, self.match, self.left = list(rules), multiply, match, left
        self.conditional = conditional
        self._made: dict[tuple, Any] = {}

    @property
    def acts(self) -> bool:
        """Whether any token is hidden from another in any clip."""
        return any(rule.sees is not None for rule in self.rules)

    def attend(self, site: Site, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of a layer under the mask, spelled out or by groups, whichever is faster there."""
        if self.acts and query.shape[2] * key.shape[2] >= GROUPED_FROM:
            return self.groups(site, query.device).attend(query, key, value)
        added = self.bias(site, query.device, query.dtype) if self.multiply else self.added(site, query)
        return softmax_attention(query, key, value, added, self.multiply)

    def attend_read(
        self, site: Site, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, read: torch.Tensor
    ) -> torch.Tensor:
        """The same of a text of which only some tokens are there at all, `read`, bool [B,M]: the others are seen by
        nobody. A group that may see none of those that are there sees all of them."""
        absent = torch.zeros_like(read, dtype=query.dtype).masked_fill_(~read, FORBIDDEN)[:, None]
        bias = self.bias(site, query.device, query.dtype)
        if bias is None:
            return F.scaled_dot_product_attention(query, key, value, attn_mask=absent[:, None])
        bias = bias.repeat(len(query) // len(bias), 1, 1)
        if self.multiply:
            logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 * bias[:, None]
            return torch.softmax(logits + absent[:, None], -1) @ value
        seen = (bias == 0) & read[:, None]
        pairs = torch.zeros_like(bias).masked_fill_(~seen, FORBIDDEN)
        bias = torch.where(seen.any(-1, keepdim=True), pairs, absent)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias[:, None])

    def groups(self, site: Site, device: torch.device) -> Groups | Weakened:
        """The same as `bias`, as groups; made once."""
        key = ("groups", site.over, site.reads, site.grid)
        if key not in self._made:
            queries, keys, sees = [], [], []
            for rule in self.rules:
                own, other = _sequences(rule, site)
                table = rule.sees
                if table is None:
                    own, other = torch.zeros_like(own), torch.zeros(len(own), self._width(own), dtype=torch.long)
                    table = torch.ones(1, 1, dtype=torch.bool)
                queries.append(own)
                keys.append(other)
                sees += [table] * len(own)
            rows = torch.cat(queries), torch.cat(keys), sees, device
            hidden = not (self.multiply or self.left)
            self._made[key] = Groups(*rows) if hidden else Weakened(*rows, self.left, self.multiply)
        return self._made[key]

    def _width(self, queries: torch.Tensor) -> int:
        """Number of keys that a clip without a table attends to: as the other clips' texts, or itself."""
        return next((len(rule.keys) for rule in self.rules if rule.keys is not None), queries.shape[1])

    def bias(self, site: Site, device: torch.device, dtype: torch.dtype) -> torch.Tensor | None:
        """What is added to the logits (with `multiply`: their factors) [rows,N,M], for one guidance half; made once.

        None if every clip's tokens may see all. Rows: clip by clip as `Site.pick` has them.
        """
        if not self.acts:
            return None
        key = ("bias", site.over, site.reads, site.grid)
        if key not in self._made:
            lines, at, size = self._lines(site, device, dtype)
            self._made[key] = lines.index_select(0, at).view(size)
        return self._made[key]

    def added(self, site: Site, query: torch.Tensor) -> torch.Tensor | None:
        """The bias of every row of the queries [B,heads,N,d], all guidance halves; None also where it is 0 throughout:
        the kernel takes up to twice as long with one. Made once, instead of `bias`."""
        key = ("added", site.over, site.reads, site.grid, len(query))
        if self.acts and key not in self._made:
            lines, at, (rows, *size) = self._lines(site, query.device, query.dtype)
            hides = lines.is_meta or (lines != 0).any(-1)[at].any()
            every = at.repeat(len(query) // rows)  # the halves are alike: their pairs are spelled out at once
            self._made[key] = lines.index_select(0, every).view(len(query), *size) if hides else None
        return self._made.get(key)

    def _lines(
        self, site: Site, device: torch.device, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int, int]]:
        """What the bias is made of, of all clips: a line for each group and row that has it, [lines,M]; which line is
        each query's, [rows*N]; and (rows, N, M)."""
        lines, at, count, rows = [], [], 0, 0
        for rule in self.rules:
            queries, keys = (one.to(device) for one in _sequences(rule, site))
            if rule.sees is None:
                line = torch.full((1, self._width(queries)), float(self.multiply), device=device, dtype=dtype)
                own = torch.zeros_like(queries)
            else:
                line = self._bias(rule.sees.to(device)[:, keys], dtype).flatten(0, 1)
                own = queries * len(queries) + torch.arange(len(queries), device=device)[:, None]
            lines.append(line)
            at.append(own.flatten() + count)
            count, rows = count + len(line), rows + len(queries)
        return torch.cat(lines), torch.cat(at), (rows, queries.shape[1], lines[0].shape[1])

    def _bias(self, allowed: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        if self.multiply:
            return torch.ones_like(allowed, dtype=dtype).masked_fill_(~allowed, self.left)
        if self.left:
            return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed, math.log(self.left))
        # Where a row has every pair forbidden (a subject whose words are not in the prompt), the release shifts all
        # its logits alike, which is ordinary attention. Here without the rounding of the shift: 2^-10 in float32.
        some = allowed.any(-1, keepdim=True)
        return torch.zeros_like(allowed, dtype=dtype).masked_fill_(~allowed & some, FORBIDDEN)

    def updated(self, site: Site, device: torch.device) -> torch.Tensor | None:
        """Which tokens get an update: bool [rows,N], for one guidance half; None if all do."""
        if all(rule.updated is None for rule in self.rules):
            return None
        key = ("updated", site.over, site.grid)
        if key not in self._made:
            picked = [site.pick(rule.labels).to(device) for rule in self.rules]
            parts = [
                torch.ones_like(queries, dtype=torch.bool) if rule.updated is None else rule.updated.to(device)[queries]
                for rule, queries in zip(self.rules, picked, strict=True)
            ]
            self._made[key] = torch.cat(parts)
        return self._made[key]

    def rows_updated(self, site: Site, rows: int, device: torch.device) -> torch.Tensor | None:
        """Which of a layer's rows, all guidance halves, have a token that gets an update: indices; None if all have."""
        key = ("rows updated", site.over, site.grid, rows)
        if key not in self._made:
            # Where the labels are: without content, in a plan, the layer's device cannot say.
            parts = [
                torch.ones(len(queries), dtype=torch.bool) if rule.updated is None else rule.updated[queries].any(1)
                for rule, queries in ((rule, site.pick(rule.labels)) for rule in self.rules)
            ]
            some = torch.cat(parts)
            self._made[key] = None if some.all() else some.repeat(rows // len(some)).nonzero()[:, 0].to(device)
        return self._made[key]


def _sequences(rule: Rule, site: Site) -> tuple[torch.Tensor, torch.Tensor]:
    """The groups of a layer's queries [rows,N] and keys [rows,M]."""
    cells = site.pick(rule.labels)
    if rule.keys is None:
        return cells, cells
    text = rule.keys.expand(len(cells), -1)
    if site.reads == "joint":
        whole = torch.cat([text, cells], dim=1)
        return whole, whole
    return cells, text


def softmax_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, bias: torch.Tensor | None, multiply: bool = False
) -> torch.Tensor:
    """Attention [B,heads,N,d] with a bias [b,N,M] of the logits, b dividing B: the same for each of the B/b parts (the
    guidance halves) and all heads. multiply: the bias is a factor of the logits: softmax((QK^T/sqrt(d)) * bias) V."""
    if bias is None:
        return F.scaled_dot_product_attention(query, key, value)
    halves = len(query) // len(bias)
    if not multiply:
        bias = bias if halves == 1 else bias.repeat(halves, 1, 1)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias[:, None])
    scale, rows = query.shape[-1] ** -0.5, max(1, LOGITS // (query.shape[1] * query.shape[2] * key.shape[2]))
    parts = zip(*(tensor.split(len(bias)) for tensor in (query, key, value)), strict=True)
    pieces = [piece for part in parts for piece in zip(*(one.split(rows) for one in (*part, bias)), strict=True)]
    return torch.cat([torch.softmax(q @ k.transpose(-1, -2) * scale * b[:, None], -1) @ v for q, k, v, b in pieces])
