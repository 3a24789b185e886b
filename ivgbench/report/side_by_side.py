"""One request under several methods, side by side: as a clip with a panel per method, or as a sheet of frames."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ivgbench.errors import UserError
from ivgbench.report import figures
from ivgbench.report.overlay import draw_boxes
from ivgbench.store.video import WRITTEN, enlarged, save

#: A panel has at least so many pixels on its short side; a row has at most so many panels.
PANEL, PER_ROW = 192, 3
GAP, CAPTION_HEIGHT, CAPTION_SIZE = 6, 26, 15
#: Frames that a sheet shows of a longer clip, from its first to its last.
SHEET_FRAMES = 8
PAPER, INK, NOTHING = (255, 255, 255), (20, 20, 20), (228, 228, 228)
SUFFIXES = (*WRITTEN, ".png")


class Shown(NamedTuple):
    """A method's panel: its name, and its clip uint8 [F,H,W,3] or why there is none ("failed: ...")."""

    name: str
    clip: np.ndarray | str


def check_suffix(path: Path) -> str:
    """The ending, one of SUFFIXES, in small letters; UserError for anything else. For use before the work."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{path}: a comparison is written as {', '.join(SUFFIXES[:-1])} (plays) or .png (its frames)")
    return suffix


def write(path: Path, shown: Sequence[Shown], tracks: Sequence[np.ndarray], title: str) -> None:
    """Writes panels with the asked boxes drawn in; a PNG has a row for each method and a column for each frame.

    Args:
        tracks: [F,4] for each subject, xyxy in fractions of the frame. title: the prompt, above a PNG.
    Raises:
        UserError: another ending than SUFFIXES, or no clip at all.
    """
    if check_suffix(path) != ".png":
        save(path, panels(shown, tracks), enlarge=False)
        return
    clips = []
    for one in shown:
        count = 0 if isinstance(one.clip, str) else len(one.clip)
        kept = np.linspace(0, count - 1, min(SHEET_FRAMES, count)).round().astype(int)
        clips.append((one.name, one.clip if not count else one.clip[kept], [track[kept] for track in tracks]))
    figures.write(figures.sheet(clips, title), path, "png", figures.DPI)


def panels(shown: Sequence[Shown], tracks: Sequence[np.ndarray]) -> np.ndarray:
    """All clips as one, uint8 [F,H,W,3]: a panel for each, enlarged by a whole number, its name above it.

    Raises:
        UserError: no clip at all, or clips of different shapes.
    """
    clips = [one.clip for one in shown if not isinstance(one.clip, str)]
    if len({clip.shape for clip in clips}) != 1:
        raise UserError(f"clips side by side must be of one shape, got {sorted({clip.shape for clip in clips})}")
    frames, high, wide = enlarged(clips[0], PANEL).shape[:3]
    columns = min(len(shown), PER_ROW)
    rows = math.ceil(len(shown) / columns)
    size = rows * (CAPTION_HEIGHT + high + GAP), GAP + columns * (wide + GAP)
    ground = np.full((*size, 3), PAPER, np.uint8)
    places = [
        ((at // columns) * (CAPTION_HEIGHT + high + GAP) + CAPTION_HEIGHT, GAP + (at % columns) * (wide + GAP))
        for at in range(len(shown))
    ]
    for one, (top, left) in zip(shown, places, strict=True):
        ground[top - CAPTION_HEIGHT : top, left : left + wide] = _text(one.name, CAPTION_HEIGHT, wide, PAPER)
        if isinstance(one.clip, str):
            ground[top : top + high, left : left + wide] = _text(one.clip, high, wide, NOTHING)
    made = np.repeat(ground[None], frames, axis=0)
    for one, (top, left) in zip(shown, places, strict=True):
        if not isinstance(one.clip, str):
            made[:, top : top + high, left : left + wide] = draw_boxes(enlarged(one.clip, PANEL), tracks)
    return made


def _text(text: str, height: int, width: int, ground: tuple[int, int, int]) -> np.ndarray:
    """A field uint8 [height,width,3] with a text, in lines that fit; what has no room ends in dots."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    # The font of the figures: it has more than Latin letters, and it is there wherever matplotlib is.
    font = ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), CAPTION_SIZE)
    letters = max(4, int(width / font.getlength("n")))
    lines = max(1, (height - GAP) // (CAPTION_SIZE + 4))
    shown = "\n".join(textwrap.wrap(text, letters, max_lines=lines, placeholder="..."))
    field = Image.new("RGB", (width, height), ground)
    pen = ImageDraw.Draw(field)
    pen.multiline_text((0 if ground == PAPER else GAP, height / 2), shown, fill=INK, font=font, anchor="lm", spacing=4)
    return np.asarray(field)
