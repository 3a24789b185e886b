"""Where attention is: the layers of a network, and what some networks have that methods may need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

#: Where in the network a layer stands. UNet: its input, encoder, middle and decoder; DiT: halves of its blocks.
Band = Literal["input", "early", "middle", "late"]


#: What a network, or the path it was trained on, may have that not all do.
Offer = Literal["frames", "positions", "signal"]
OFFERED: dict[Offer, str] = {
    "frames": "attention within frames and between them, each by itself, as a UNet has it; a video DiT attends over "
    "the whole clip at once",
    "positions": "rotary positions, which its tokens are told and may be told otherwise, as Wan has them",
    "signal": "a noise path that keeps some of a clip to its end, to noise one back to; those of flow matching (Wan, "
    "LTX-Video) and of zero terminal SNR (CogVideoX) end in noise alone",
}


@dataclass(frozen=True, eq=False)
class Site:
    """One attention layer.

    name: the family's own; band: see `Band`;
    over: whose tokens are a sequence: the cells of a "frame", the frames of a "cell", or the whole "clip";
    reads: those tokens themselves ("self"), the prompt's ("text"), or both, which are one sequence ("joint");
    second: a second attention over the same tokens;
    grid: rows and columns of its map; stride: how many of the clip's cells apart the map's cells are;
    layer: the network's attention module.
    """

    name: str
    band: Band
    over: Literal["frame", "cell", "clip"]
    reads: Literal["self", "text", "joint"]
    second: bool
    grid: tuple[int, int]
    stride: int
    # A module of diffusers, whose attributes torch does not know.
    layer: Any

    @property
    def heads(self) -> int:
        return self.layer.heads

    def pick(self, cells: torch.Tensor) -> torch.Tensor:
        """What the clip's cells [F,h,w] hold at this map: [rows, tokens of a sequence].

        Every stride-th cell from the top left, no average.
        """
        height, width = self.grid
        held = cells[:, :: self.stride, :: self.stride][:, :height, :width].flatten(1)
        return {"frame": held, "cell": held.T, "clip": held.reshape(1, -1)}[self.over]
