"""A clip for the page: all its frames in one picture, so that clips side by side play in step to the frame."""

from __future__ import annotations

import io
import math

import numpy as np
from PIL import Image

from ivgbench.errors import UserError
from ivgbench.report.sheet import Grid, sheet
from ivgbench.store import video

#: Pixels of a frame's short side at most; no panel shows more.
SHORT_SIDE = 288
#: Up to so many pixels in all, the picture is exact.
EXACT = 1_000_000
#: How the whole clip is given away: exact, or as any player knows it.
FILES = {"mkv": "video/x-matroska", "mp4": "video/mp4"}


def columns(frames: int) -> int:
    """How many frames stand beside each other in the picture; the page reckons the same."""
    return math.ceil(math.sqrt(frames))


def picture(clip: np.ndarray) -> tuple[bytes, str]:
    """(bytes, media type) of a picture of all frames of a clip uint8 [F,H,W,3], row by row, `columns` in each."""
    frames, height, width = clip.shape[:3]
    scale = min(1.0, SHORT_SIDE / min(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    laid = sheet(clip, Grid(frames, *size, columns(frames)), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    if laid.width * laid.height <= EXACT:
        laid.save(buffer, "PNG")
        return buffer.getvalue(), "image/png"
    laid.save(buffer, "WEBP", quality=88)
    return buffer.getvalue(), "image/webp"


def file(clip: np.ndarray, ending: str) -> bytes:
    """The clip as a file of one of `FILES`; for players small frames are enlarged."""
    if ending not in FILES:
        raise UserError(f"a clip is given as one of {', '.join(FILES)}")
    if ending == "mkv":
        return video.encode(clip)
    return video.encode(video.enlarged(clip, video.WATCHABLE), lossless=False)
