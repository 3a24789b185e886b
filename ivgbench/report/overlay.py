"""The asked boxes drawn into a clip's pixels, for people. numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ivgbench.errors import UserError
from ivgbench.report.figures import BOX_COLOURS

#: A line has one pixel of width for so many of the frame's short side, and at least two.
SHORT_SIDE_PER_PIXEL = 160
#: What is beside the line: it is then seen on a ground of its own colour too.
EDGE = (0, 0, 0)


def draw_boxes(video: np.ndarray, tracks: Sequence[np.ndarray]) -> np.ndarray:
    """A copy of a clip uint8 [F,H,W,3] with the boxes of its subjects, in a colour for each.

    Lines are sharp: whole pixels, an even number wide and on even places, so that H.264, which stores colours for 2x2
    pixels together, keeps them too. Enlarge a small clip first.

    Args:
        tracks: [F,4] for each subject, xyxy in fractions of the frame; a row with a NaN draws nothing.
    Raises:
        UserError: boxes for another number of frames.
    """
    drawn = video.copy()
    frames, height, width = video.shape[:3]
    line = 2 * max(1, round(min(height, width) / SHORT_SIDE_PER_PIXEL / 2))
    for subject, track in enumerate(tracks):
        if np.shape(track) != (frames, 4):
            raise UserError(f"boxes to draw: need [{frames},4], got {list(np.shape(track))}")
        colour = tuple(bytes.fromhex(BOX_COLOURS[subject % len(BOX_COLOURS)][1:]))
        for picture, box in zip(drawn, np.asarray(track, float), strict=True):
            if np.isfinite(box).all():
                x0, y0, x1, y1 = (2 * np.rint(box * [width, height, width, height] / 2)).astype(int)
                _outline(picture, (x0 - 1, y0 - 1, x1 + 1, y1 + 1), line + 2, EDGE)
                _outline(picture, (x0, y0, x1, y1), line, colour)
    return drawn


def _outline(picture: np.ndarray, box: tuple[int, int, int, int], line: int, colour: tuple[int, ...]) -> None:
    """Paints the rim of a box in whole pixels, `line` wide, inwards; what is outside of the picture is cut off."""
    x0, y0, x1, y1 = (max(edge, 0) for edge in box)
    left, top = max(min(box[0] + line, x1), 0), max(min(box[1] + line, y1), 0)
    right, bottom = max(box[2] - line, x0), max(box[3] - line, y0)
    picture[y0:top, x0:x1] = picture[bottom:y1, x0:x1] = colour
    picture[y0:y1, x0:left] = picture[y0:y1, right:x1] = colour
