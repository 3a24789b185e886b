"""Contact sheets: every frame of one case under several methods, with the asked boxes drawn in."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ivgbench.errors import UserError
from ivgbench.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: A frame is enlarged by the whole number that brings its width closest to this, in pixels.
FRAME_WIDTH = 160
GAP, LABEL_WIDTH, TITLE_HEIGHT = 6, 150, 34
#: A longer label takes several lines, or it would run into the first frame.
LABEL_CHARACTERS = 18
#: In pixels, of the text in a row that has no frames.
CHARACTER_WIDTH, LINE_HEIGHT = 9, 17
DPI = 100
#: One colour per subject.
BOX_COLOURS = ("#00e5ff", "#ff3df2", "#ffe600", "#7cff3d")


def contact_sheet(
    clips: Sequence[tuple[str, np.ndarray, Sequence[np.ndarray]]], path: str | Path, title: str = ""
) -> Path:
    """Writes `sheet` as a PNG, and an SVG beside it; returns the PNG's path. The same input gives the same bytes."""
    return save(sheet(clips, title), Path(path).with_suffix(""), DPI)[0]


def sheet(clips: Sequence[tuple[str, np.ndarray | str, Sequence[np.ndarray]]], title: str = "") -> Any:
    """A matplotlib figure with a row per clip and a column per frame.

    Pixels are enlarged by a whole number and never smoothed, so what is seen is what was generated.

    Args:
        clips: (label, video uint8 [F,H,W,3], boxes of its subjects: [F,4] each, xyxy fractions; NaN: not drawn).
            All videos of one shape. Instead of a video: why there is none.
        title: the prompt.
    Raises:
        UserError: no clip, videos of different shapes, boxes for another number of frames.
    """
    videos = [video for _, video, _ in clips if not isinstance(video, str)]
    if not videos:
        raise UserError("a contact sheet needs at least one clip")
    shape = videos[0].shape
    for label, video, tracks in clips:
        if isinstance(video, str):
            continue
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or video.shape != shape:
            raise UserError(
                f"contact sheet: {label}: need uint8 videos of one shape [F,H,W,3], got {list(video.shape)}"
            )
        for track in tracks:
            if np.shape(track) != (shape[0], 4):
                raise UserError(f"contact sheet: {label}: need boxes [{shape[0]},4], got {list(np.shape(track))}")
    # Here, not at the top: tables are made without it.
    from matplotlib.figure import Figure

    frames, height, width = shape[:3]
    scale = max(round(FRAME_WIDTH / width), 1)
    wide, high = width * scale, height * scale
    # Margins in pixels; the figure's size is the sum, so that every frame's axes fall on whole pixels.
    total_wide = LABEL_WIDTH + frames * (wide + GAP)
    total_high = TITLE_HEIGHT + len(clips) * (high + GAP)
    figure = Figure(figsize=(total_wide / DPI, total_high / DPI), dpi=DPI, facecolor="white")
    figure.text(GAP / total_wide, 1 - TITLE_HEIGHT / 2 / total_high, _literal(title), va="center", fontsize=12)
    for row, (label, video, tracks) in enumerate(clips):
        bottom = total_high - TITLE_HEIGHT - (row + 1) * (high + GAP) + GAP
        middle = (bottom + high / 2) / total_high
        lines = _literal("\n".join(textwrap.wrap(label, LABEL_CHARACTERS)))
        figure.text(GAP / total_wide, middle, lines, va="center", fontsize=10, zorder=-1)  # under the frames
        if isinstance(video, str):
            room = max((total_wide - LABEL_WIDTH) // CHARACTER_WIDTH, LABEL_CHARACTERS)
            told = textwrap.wrap(video, room, max_lines=max(high // LINE_HEIGHT, 1), placeholder="...")
            figure.text(LABEL_WIDTH / total_wide, middle, _literal("\n".join(told)), va="center", fontsize=10)
            continue
        for frame in range(frames):
            left = LABEL_WIDTH + frame * (wide + GAP)
            place = (left / total_wide, bottom / total_high, wide / total_wide, high / total_high)
            _draw(figure.add_axes(place), video[frame], [track[frame] for track in tracks])
    return figure


def save(figure: Any, stem: Path, dpi: int) -> list[Path]:
    """Writes STEM.png and STEM.svg of a matplotlib figure. The same figure gives the same bytes."""
    written = []
    for suffix in (".png", ".svg"):
        written.append(stem.parent / f"{stem.name}{suffix}")
        write(figure, written[-1], suffix[1:], dpi)
    return written


def write(figure: Any, path: Path, kind: str, dpi: int) -> None:
    """Writes a matplotlib figure as one file, "png" or "svg" whatever the path's ending."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    # No pyplot: no window, no state shared with the caller.
    FigureCanvasAgg(figure)
    # Metadata would hold matplotlib's version and the date; SVG's ids are random without a salt.
    about = {"png": {"Software": None}, "svg": {"Creator": None, "Date": None}}[kind]
    with rc_context({"svg.hashsalt": "ivgbench"}):
        write_atomic(path, lambda handle: figure.savefig(handle, format=kind, dpi=dpi, metadata=about))


def _draw(axes: Axes, frame: np.ndarray, tracks: Sequence[np.ndarray]) -> None:
    """One frame with its boxes. Pixel k of the frame spans k-0.5 .. k+0.5, so a box edge at fraction x is x*W - 0.5."""
    from matplotlib.patches import Rectangle

    height, width = frame.shape[:2]
    axes.imshow(frame, interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    for subject, box in enumerate(tracks):
        if any(math.isnan(value) for value in box):
            continue
        x0, y0, x1, y1 = np.asarray(box) * [width, height, width, height]
        colour = BOX_COLOURS[subject % len(BOX_COLOURS)]
        axes.add_patch(Rectangle((x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.2))


def _literal(text: str) -> str:
    """Text that matplotlib prints as it is: a dollar sign would start a formula."""
    return text.replace("$", r"\$")
