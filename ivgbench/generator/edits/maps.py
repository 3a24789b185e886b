"""Edits of the attention maps themselves: what TrailBlazer does, where, and to which guidance half."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.edits.reweighted import spatial_edit, temporal_edit

#: The release edits a temporal map only if its first dimension, 2 x heads x cells, is this number.
OFFICIAL_GATE = 65536
Gate = Literal["official", "intent"]


class Maps(ABC):
    """An edit of the maps of one guidance half, after softmax. They are not normalised again; their absolute value is
    taken.

    conditional: which half; the other has ordinary attention.
    """

    conditional: bool

    @abstractmethod
    def change(self, probs: torch.Tensor, site: Site, clip: int) -> torch.Tensor:
        """The edited maps of one clip: [rows,heads,N,M] -> the same shape, rows as `Site.pick` has them."""


class SpatialEdit(Maps):
    """`spatial_edit` of text attention, on the conditional half. tracks: [F,4] for each clip; tokens: positions."""

    conditional = True

    def __init__(self, tracks: list[np.ndarray], tokens: list[list[int]], strengthen: float, weaken: float):
        self.tracks, self.tokens, self.strengthen, self.weaken = tracks, tokens, strengthen, weaken

    def change(self, probs: torch.Tensor, site: Site, clip: int) -> torch.Tensor:
        maps = probs.flatten(0, 1).unflatten(1, site.grid)
        edited = spatial_edit(maps, self.tracks[clip], self.tokens[clip], self.strengthen, self.weaken)
        return edited.flatten(1, 2).unflatten(0, (-1, probs.shape[1]))


class TemporalEdit(Maps):
    """`temporal_edit` of the attention between frames, on one half; see `TrailBlazer.temporal_gate`."""

    def __init__(self, tracks: list[np.ndarray], strengthen: float, weaken: float, gate: Gate):
        self.tracks, self.strengthen, self.weaken, self.gate = tracks, strengthen, weaken, gate
        self.conditional = gate == "intent"

    def applies(self, site: Site) -> bool:
        """Whether the maps of a layer are edited."""
        if self.gate == "intent":
            return True
        height, width = site.grid
        opened = 2 * site.heads * height * width == OFFICIAL_GATE
        if opened and height != width:
            raise UserError(
                f"trailblazer: the release's temporal edit is undefined on {height} x {width} cells; "
                "use a square frame, temporal_steps 0 or temporal_gate 'intent'"
            )
        return opened

    def change(self, probs: torch.Tensor, site: Site, clip: int) -> torch.Tensor:
        maps = probs.unflatten(0, site.grid).permute(2, 0, 1, 3, 4)
        edited = temporal_edit(maps, self.tracks[clip], self.strengthen, self.weaken)
        return edited.permute(1, 2, 0, 3, 4).flatten(0, 1)
