"""Clips as GIF and WebP: they play in a page or a chat without a player, and for ever."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from ivgbench.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Of a GIF frame's 256 colours: those that are chosen to be far from each other; the others are the most common ones.
FAR = 96
#: Colours that they are chosen from, and pixels that the common ones are counted in: more would take seconds a frame.
CHOSEN_FROM, COUNTED = 4096, 1 << 16


def gif(video: np.ndarray, fps: int = 8) -> bytes:
    """A GIF of a clip uint8 [F,H,W,3], with all its frames, also those that equal the one before.

    Each frame has 256 colours of its own: some near to every colour in it, so that a small subject keeps its colour,
    the others for what fills it, so that the ground stays smooth. Nothing is dithered: that is noise of a pixel's size.

    Raises:
        UserError: frames of more pixels a side than the format has (65,535).
    """
    import av

    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format="gif", options={"loop": "0"}) as container:
            stream = container.add_stream("gif", rate=Fraction(fps))
            stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], "pal8"
            stream.codec_context.thread_count = 1
            for frame in video:
                drawn = _with_palette(np.ascontiguousarray(frame))
                opaque = np.full((256, 4), 255, np.uint8)  # alpha, red, green, blue
                chosen = np.array(_colours(drawn), np.uint8).reshape(-1, 3)
                opaque[: len(chosen), 1:] = chosen
                # Of pal8 it takes pixels and palette; its annotation knows single arrays only.
                pixels: Any = (np.asarray(drawn), opaque)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="pal8")))
            container.mux(stream.encode())
    except av.FFmpegError as fault:
        raise _too_large(video, "GIF", fault.strerror) from None
    return buffer.getvalue()


def webp(video: np.ndarray, fps: int = 8) -> bytes:
    """An animated WebP of a clip uint8 [F,H,W,3] with exact pixels. Equal frames after each other become a longer one.

    Raises:
        UserError: frames of more pixels a side than the format has (16,383).
    """
    from PIL import Image

    first, *rest = (Image.fromarray(np.ascontiguousarray(frame)) for frame in video)
    buffer = io.BytesIO()
    # What is shown from when, in whole milliseconds: rounded durations would add up to another length.
    times = np.rint(np.arange(len(video) + 1) * 1000 / fps).astype(int)
    shown = {"duration": np.diff(times).tolist(), "loop": 0}
    try:
        first.save(buffer, "WEBP", save_all=True, append_images=rest, lossless=True, quality=50, method=4, **shown)
    except (OSError, ValueError, RuntimeError) as fault:
        raise _too_large(video, "WebP", fault) from None
    return buffer.getvalue()


def _too_large(video: np.ndarray, kind: str, why: object) -> UserError:
    return UserError(f"a clip of {video.shape[2]}x{video.shape[1]} pixels cannot be stored as {kind} ({why})")


def _with_palette(frame: np.ndarray) -> Image:
    """A frame uint8 [H,W,3] in at most 256 of its colours, each pixel in the nearest one."""
    from PIL import Image

    far = Image.fromarray(_distinct(frame)[None]).quantize(FAR, Image.Quantize.MAXCOVERAGE)
    every = max(1, math.isqrt(frame.shape[0] * frame.shape[1] // COUNTED))
    counted = Image.fromarray(np.ascontiguousarray(frame[::every, ::every]))
    common = counted.quantize(256 - FAR, Image.Quantize.MEDIANCUT)
    palette = Image.new("P", (1, 1))
    palette.putpalette([*_colours(far), *_colours(common)])
    return Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)


def _colours(image: Image) -> list[int]:
    """The palette of an image that has one: red, green, blue, one colour after another."""
    return image.getpalette("RGB") or []


def _distinct(frame: np.ndarray) -> np.ndarray:
    """The colours of a frame, uint8 [N,3]; at most CHOSEN_FROM that stand for all."""
    red, green, blue = frame.reshape(-1, 3).astype(np.uint32).T
    colours, counts = np.unique(red << 16 | green << 8 | blue, return_counts=True)
    colours = colours[np.argsort(-counts, kind="stable")]
    for bits in range(8):
        # Of colours that differ in their last bits only, the most common stands for all; what is alone stays.
        cells = colours & (0x010101 * (0xFF << bits & 0xFF))
        kept = np.sort(np.unique(cells, return_index=True)[1])
        if len(kept) <= CHOSEN_FROM:
            break
    return np.stack([colours[kept] >> 16, colours[kept] >> 8 & 0xFF, colours[kept] & 0xFF], axis=-1).astype(np.uint8)
