"""Previews: the frames of a clip in a grid, as one WebP picture. A page shows a frame by drawing its part of it."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ivgbench.report.sheet import Grid, sheet

#: Pixels of a frame's short side: larger frames are made smaller. WebP halves the resolution of colours, so frames
#: below SMALL are enlarged by a whole number first: a small subject keeps its edges.
SHORT_SIDE, SMALL = 192, 96
#: A browser holds a picture with four bytes for each pixel; and what WebP can store at most on a side.
MOST_PIXELS, LONGEST = 1 << 24, 16_000
#: WebP's quality, and how hard it tries.
QUALITY, EFFORT = 85, 2
#: Raised when any of the above changes: the preview's name has it.
VERSION = 1


def grid(shape: Sequence[int]) -> Grid:
    """The preview of a clip of a shape [F,H,W,...]."""
    frames, height, width = shape[:3]
    short = min(height, width)
    scale = min(SHORT_SIDE / short, 1) if short >= SMALL else -(-SMALL // short)
    scale = min(scale, LONGEST / max(height, width))
    while True:
        wide, high = max(1, round(width * scale)), max(1, round(height * scale))
        columns = min(max(1, round(math.sqrt(frames * high / wide)), -(-frames // (LONGEST // high))), frames)
        made = Grid(frames, wide, high, columns)
        if (max(made.size) <= LONGEST and math.prod(made.size) <= MOST_PIXELS) or (wide, high) == (1, 1):
            return made
        scale *= 0.9


def name(video_sha256: str) -> str:
    """The file of a clip's preview: the same for the same clip, so what is there already need not be made again."""
    return f"{video_sha256[:20]}-{VERSION}.webp"


def is_whole(path: Path) -> bool:
    """Whether a preview is there as it was written: WebP begins with how many bytes follow."""
    try:
        with path.open("rb") as file:
            head = file.read(12)
        size = 8 + int.from_bytes(head[4:8], "little")
        return head[:4] == b"RIFF" and head[8:] == b"WEBP" and path.stat().st_size == size
    except OSError:
        return False


def picture(video: np.ndarray) -> bytes:
    """The preview of a clip uint8 [F,H,W,3], as `grid` lays it out. The same clip gives the same bytes."""
    from PIL import Image

    place = grid(video.shape)
    larger = place.height >= video.shape[1]
    whole = sheet(video, place, Image.Resampling.NEAREST if larger else Image.Resampling.BOX)
    buffer = io.BytesIO()
    whole.save(buffer, "WEBP", quality=QUALITY, method=EFFORT)
    return buffer.getvalue()
