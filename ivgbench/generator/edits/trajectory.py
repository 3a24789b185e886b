"""FreeTraj's noise and attention along a path (Qiu et al. 2024, arXiv 2406.16863), as released.

The release is arthur-qiu/FreeTraj at 1e0f64b. A path is boxes float64 [F,4], xyxy in 0..1. Every map of the network has
its cells from these, and not from another map's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits.masked import GROUPED_FROM, Mask, Rule
from ivgbench.generator.edits.reweighted import window

#: What a pair of a cell inside and one outside keeps of its logit.
KEPT_LOGIT = 0.01
#: At the window's peak a cell's weight of each of the subject's tokens is raised by this, over the box's share of the
#: frame, over the number of tokens.
GAIN = 0.25
#: Whose size a box has: the first frame's, as released, or each frame's own.
Size = Literal["first", "frame"]
#: What the cells inside attend to: to all tokens alike, as released, or to the subject's.
Inside = Literal["official", "intent"]


class Place(NamedTuple):
    """A box on a map: rows top..top+height-1 and columns left..left+width-1."""

    top: int
    left: int
    height: int
    width: int

    def cells(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


def places(boxes: np.ndarray, height: int, width: int, size: Size = "first") -> list[Place]:
    """The box of each frame on a map of height x width cells, truncated as released.

    A box has at least one cell, and is moved inside where it leaves the map: the release fails there.
    """
    found = []
    for box, sized in zip(boxes, boxes if size == "frame" else boxes[:1].repeat(len(boxes), 0), strict=True):
        rows, columns = (max(1, int((sized[end] - sized[end - 2]) * cells)) for end, cells in ((3, height), (2, width)))
        top, left = int(box[1] * height), int(box[0] * width)
        found.append(Place(min(max(top, 0), height - rows), min(max(left, 0), width - columns), rows, columns))
    return found


def injected(base: torch.Tensor, patch: torch.Tensor, where: Sequence[Place]) -> torch.Tensor:
    """Noise [C,F,h,w] with the same patch in the box of every frame; of a larger patch [C,.,.] its top left part."""
    made = base.clone()
    for frame, place in enumerate(where):
        cells = (slice(None), frame, *place.cells())
        made[cells] = patch[:, : place.height, : place.width]
    return made


def raised(boxes: np.ndarray, height: int, width: int, tokens: int, size: Size = "first") -> torch.Tensor:
    """What is added to the weight of each of the subject's tokens: float16 [F,height,width], 0 outside the boxes."""
    found = torch.zeros(len(boxes), height, width, dtype=torch.float16)
    for frame, place in enumerate(places(boxes, height, width, size)):
        left, top, right, bottom = (float(side) for side in boxes[frame if size == "frame" else 0])
        gain = GAIN / ((bottom - top) * (right - left)) / tokens
        cells = (frame, *place.cells())
        found[cells] = window(place.height, place.width) * gain
    return found


def inside(boxes: np.ndarray, height: int, width: int, size: Size = "first") -> torch.Tensor:
    """Which cells of a map the boxes cover: bool [F,height,width]."""
    found = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for frame, place in enumerate(places(boxes, height, width, size)):
        cells = (frame, *place.cells())
        found[cells] = True
    return found


def isolated(paths: Sequence[np.ndarray], grid: tuple[int, int], size: Size = "first", multiply: bool = True) -> Mask:
    """An edit of attention within frames and between them, at maps of one grid: pairs of a token inside and one outside
    keep `KEPT_LOGIT` of their logit (as released), or with multiply False of their weight.

    Its cells are the map's own: the sites that it is for have a stride of 1.
    """
    alike = torch.eye(2, dtype=torch.bool)
    return Mask([Rule(inside(path, *grid, size).long(), sees=alike) for path in paths], multiply, left=KEPT_LOGIT)


class TextInside:
    """An edit of text attention on both guidance halves.

    Cells outside the box do not see the subject's tokens. Those inside see all tokens alike (as released: every logit
    is hidden), or with inside "intent" only the subject's. Then the weight of each of these is raised by `raised`; rows
    are not normalised again.

    Args:
        paths: boxes [F,4] for each clip. tokens: positions of the subject's tokens, for each clip.
    """

    def __init__(
        self, paths: Sequence[np.ndarray], tokens: Sequence[Sequence[int]], rule: Inside = "official",
        size: Size = "first",
    ):  # fmt: skip
        self.paths, self.tokens, self.rule, self.size = list(paths), list(tokens), rule, size
        self._made: dict[Any, list[tuple[torch.Tensor, torch.Tensor]]] = {}
        self._cells: dict[Any, tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = {}

    def attend(self, site: Site, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of a layer, rows (half, clip, frame), spelled out or by tokens, whichever is faster
        there."""
        if query.shape[2] * key.shape[2] >= GROUPED_FROM:
            return self.by_tokens(site, query, key, value)
        scale, hidden = query.shape[-1] ** -0.5, -torch.finfo(query.dtype).max
        maps = self._maps(site, key.shape[2], query.device, query.dtype)
        parts = zip(*(one.split(len(self.paths[0])) for one in (query, key, value)), strict=True)
        results = []
        for number, (q, k, v) in enumerate(parts):
            seen, more = maps[number % len(maps)]
            logits = (q @ k.transpose(-1, -2) * scale).masked_fill(~seen[:, None], hidden)
            results.append((torch.softmax(logits, dim=-1) + more[:, None]) @ v)
        return torch.cat(results)

    def by_tokens(self, site: Site, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """The same without the maps: the subject's tokens are few, and all cells read the others alike."""
        result = torch.empty_like(query)
        parts = zip(*(one.split(len(self.paths[0])) for one in (query, key, value, result)), strict=True)
        for number, (q, k, v, made) in enumerate(parts):
            covered, gain, subject = self._clip(number % len(self.paths), site, key.shape[2], query.device, query.dtype)
            own = v[:, :, subject]
            if self.rule == "intent":
                within = F.scaled_dot_product_attention(q, k[:, :, subject], own)
            else:
                within = v.mean(2, keepdim=True)
            within = within + gain[:, None] * own.sum(2, keepdim=True)
            outside = F.scaled_dot_product_attention(q, k[:, :, ~subject], v[:, :, ~subject])
            made.copy_(torch.where(covered[:, None], within, outside))
        return result

    def _clip(
        self, clip: int, site: Site, length: int, device: torch.device, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Which cells a clip's boxes cover, bool, and what the weight of each of the subject's tokens is raised by
        there, both [F,cells,1]; which tokens these are, bool [length]. Made once."""
        key = (clip, site.grid, length, device, dtype)
        if key not in self._cells:
            path, tokens, grid = self.paths[clip], self.tokens[clip], site.grid
            subject = torch.zeros(length, dtype=torch.bool)
            subject[list(tokens)] = True
            covered = inside(path, *grid, self.size).flatten(1)[:, :, None]
            added = raised(path, *grid, len(tokens), self.size).flatten(1)[:, :, None].to(dtype)
            self._cells[key] = covered.to(device), added.to(device), subject.to(device)
        return self._cells[key]

    def _maps(
        self, site: Site, length: int, device: torch.device, dtype: torch.dtype
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each clip: which pairs are seen, bool, and what is added, both [F,cells,length]; made once."""
        key = (site.grid, length, device, dtype)
        if key not in self._made:
            clips = (self._clip(clip, site, length, device, dtype) for clip in range(len(self.paths)))
            self._made[key] = [self._of_clip(*cells) for cells in clips]
        return self._made[key]

    def _of_clip(
        self, covered: torch.Tensor, added: torch.Tensor, subject: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return ~covered & ~subject | covered & subject & (self.rule == "intent"), added * subject
