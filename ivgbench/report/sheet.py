"""The frames of a clip laid out in a grid, as one picture: a page shows a frame by drawing its part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


class Grid(NamedTuple):
    """Where frames are: frame k in column k % columns of row k // columns, each width x height pixels."""

    frames: int
    width: int
    height: int
    columns: int

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the whole picture."""
        return self.columns * self.width, -(-self.frames // self.columns) * self.height


def sheet(video: np.ndarray, place: Grid, resampling: int) -> Image.Image:
    """The frames of a clip uint8 [F,H,W,3] where a grid has them. resampling: Pillow's, for frames of another size."""
    from PIL import Image

    whole = Image.new("RGB", place.size)
    size = place.width, place.height
    for number, frame in enumerate(video):
        drawn = Image.fromarray(np.ascontiguousarray(frame))
        if drawn.size != size:
            drawn = drawn.resize(size, resampling)
        whole.paste(drawn, (number % place.columns * place.width, number // place.columns * place.height))
    return whole
