"""FreeTraj's noise and attention along a path (Qiu et al. 2024, arXiv 2406.16863), as released.

The release is arthur-qiu/FreeTraj at 1e0f64b. A path is boxes float64 [F,4], xyxy in 0..1. Every map of the network has
its cells from these, and not from another map's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from ivgbench.generator.backbones.base import Site
from ivgbench.generator.edits.masked import Mask, Rule
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

    def attend(self, site: Site, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Attention [B,heads,N,d] of a layer, rows (half, clip, frame)."""
        scale, hidden = query.shape[-1] ** -0.5, -torch.finfo(query.dtype).max
        maps = self._maps(site, key.shape[2], query.device, query.dtype)
        parts = zip(*(one.split(len(self.paths[0])) for one in (query, key, value)), strict=True)
        results = []
        for number, (q, k, v) in enumerate(parts):
            seen, more = maps[number % len(maps)]
            logits = (q @ k.transpose(-1, -2) * scale).masked_fill(~seen[:, None], hidden)
            results.append((torch.softmax(logits, dim=-1) + more[:, None]) @ v)
        return torch.cat(results)

    def _maps(
        self, site: Site, length: int, device: torch.device, dtype: torch.dtype
    ) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """For each clip: which pairs are seen, bool, and what is added, both [F,cells,length]; made once."""
        key = (site.grid, length, device, dtype)
        if key not in self._made:
            self._made[key] = [
                (seen.to(device), added.to(device))
                for path, tokens in zip(self.paths, self.tokens, strict=True)
                for seen, added in [self._of_clip(path, tokens, site.grid, length, dtype)]
            ]
        return self._made[key]

    def _of_clip(
        self, path: np.ndarray, tokens: Sequence[int], grid: tuple[int, int], length: int, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        subject = torch.zeros(length, dtype=torch.bool)
        subject[list(tokens)] = True
        covered = inside(path, *grid, self.size).flatten(1)[:, :, None]
        seen = ~covered & ~subject | covered & subject & (self.rule == "intent")
        added = raised(path, *grid, len(tokens), self.size).flatten(1)[:, :, None].to(dtype)
        return seen, added * subject
