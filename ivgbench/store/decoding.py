"""A video file's frames as a player shows them, and what the decoder says against them.

A decoder hides damage: it fills what it cannot read from neighbouring frames, and tells its log. So the log is read,
and frames that it marks are noted. VP8 and VP9 are read a second time by their makers' own decoders, which check more.
Where damage leaves a legal stream (some of it does, in HEVC, VP8, MJPEG and GIF above all) no decoder can see it;
`ivgbench.store.containers` can where the container has checksums.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

#: What decoders are told to look for besides what stops them.
CHECKS = {"err_detect": "crccheck+bitstream+buffer"}
#: FFmpeg's name of a decoder -> the one that checks more.
CHECKERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
#: Beginnings of what is said as an error of streams that are shown as they were meant: a wrong flag that is put right,
#: and a reference that is given back twice.
HARMLESS = ("low_delay flag set incorrectly", "mmco: unref short failure")
#: FFmpeg's mark of a stream that is a picture to show beside sound (AV_DISPOSITION_ATTACHED_PIC).
COVER = 0x400
#: Formats of files that only name the files to play: what such a file shows is in others, which may change.
LISTS = ("concat", "dash", "hls", "imf")
#: End of FFmpeg's name of a format that is one picture: png_pipe, jpeg_pipe.
PICTURE = "_pipe"
#: Of a display matrix: what is still a quarter turn, about one degree.
STRAIGHT = 0.0175


class NotShown(Exception):
    """Why a file has no frames that could be shown, in words."""


class Reading(NamedTuple):
    """Frames uint8 [H,W,3] RGB, all of one size, and the first `complaint` about them, None where there is none."""

    frames: list[np.ndarray]
    complaint: str | None


def read(source: Any) -> Reading:
    """All frames of a file (its path, or open as a binary file), turned and mirrored as its display matrix says.

    Pixels that are not square stay as they are stored: boxes are parts of a frame, whatever its shape on a screen.

    Raises:
        NotShown: nothing that can be opened, no video in it, a frame size that changes, or a turn that is no quarter.
    """
    import av

    frames: list[np.ndarray] = []
    stopped, strangers = None, set()
    with _listening() as heard:
        try:
            with av.open(source, metadata_errors="replace") as container:
                stream = _stream(container)
                # Sound is probed on opening too, and its faults are not the video's.
                strangers = {one.codec_context.name for one in container.streams.audio if one.codec_context}
                for frame in _decoded(container, stream, heard):
                    frames.append(_shown(frame))
                    if frames[-1].shape != frames[0].shape:
                        raise NotShown(_changed(frames))
        except (OSError, av.FFmpegError) as fault:
            stopped = fault.strerror or str(fault)
    said = [(name, " ".join(text.split())) for _, name, text in heard if name not in strangers]
    complaint = next((f"{name}: {text}" for name, text in said if not text.startswith(HARMLESS)), stopped)
    if stopped and not frames:
        raise NotShown(f"cannot read the video: {stopped}{'' if complaint == stopped else f' ({complaint})'}")
    return Reading(frames, complaint)


@contextmanager
def _listening() -> Iterator[list[tuple[int, str, str]]]:
    """What FFmpeg says at the level of errors on this thread: (level, who, text). One message after another, equal
    ones too: one that repeats the last one of another file would be left out."""
    from av import logging

    level, repeated = logging.get_level(), logging.get_skip_repeated()
    logging.set_level(logging.ERROR)
    logging.set_skip_repeated(False)
    try:
        with logging.Capture() as heard:
            yield heard
    finally:
        logging.set_level(level)
        logging.set_skip_repeated(repeated)


def _stream(container: Any) -> Any:
    """The video that a player shows: a cover is none."""
    kind = container.format.name
    if kind in LISTS:
        raise NotShown("it is no video but a list of other files")
    if kind.endswith(PICTURE):
        raise NotShown(f"it is no video but a picture ({kind.removesuffix(PICTURE)})")
    stream = container.streams.best("video")
    # An older PyAV does not tell.
    if stream is None or getattr(stream, "disposition", 0) & COVER:
        raise NotShown("there is only sound in it, no video" if container.streams.audio else "there is no video in it")
    if stream.codec_context is None:
        raise NotShown("cannot read the video: it is in a format without a decoder here")
    return stream


def _decoded(container: Any, stream: Any, heard: list[tuple[int, str, str]]) -> Iterator[Any]:
    """Frames in the order of showing; what is wrong with them goes into `heard`."""
    import av

    decoder, checker = stream.codec_context, _checker(stream.codec_context)
    # On one thread: messages of others are not heard, and many workers decode at once anyway.
    decoder.thread_count, decoder.options = 1, CHECKS
    before, gaps = None, 0
    for packet in container.demux(stream):
        gaps += packet.is_corrupt
        if None not in (before, packet.dts) and packet.dts < before:
            gaps -= 1  # two streams were joined: their packets are numbered anew, and none is lost
        before, last = packet.dts, packet.dts is None and not packet.size
        if not packet.size and not last:  # a frame that is shown longer
            continue
        for frame in decoder.decode(None if last else packet):
            if frame.is_corrupt:
                heard.append((av.logging.ERROR, decoder.name, "a frame is damaged"))
            yield frame
        if checker is not None:
            checker.decode(None if last else packet)
    if gaps > 0:
        heard.append((av.logging.ERROR, container.format.name, "a part of the stream is missing"))


def _checker(decoder: Any) -> Any | None:
    import av

    try:
        checker = av.CodecContext.create(CHECKERS[decoder.name], "r")
    except (KeyError, av.codec.codec.UnknownCodecError):
        return None
    checker.thread_count = 1
    return checker


def _shown(frame: Any) -> np.ndarray:
    from av.sidedata.sidedata import Type

    matrix = frame.side_data.get(Type.DISPLAYMATRIX)
    pixels = frame.to_ndarray(format="rgb24")
    return pixels if matrix is None else turned(pixels, struct.unpack("=9i", bytes(matrix)))


def turned(pixels: np.ndarray, matrix: tuple[int, ...]) -> np.ndarray:
    """A frame [H,W,3] under a display matrix (a b u, c d v, x y w): the pixel at (x, y) goes to (ax + cy, bx + dy).

    Quarter turns, mirrored or not; a height and a width change places with odd ones. NotShown for any other angle.
    """
    a, b, _, c, d = matrix[:5]
    straight, across = min(abs(a), abs(d)), min(abs(b), abs(c))
    if max(abs(b), abs(c)) <= STRAIGHT * straight:
        rows, columns = d, a
    elif max(abs(a), abs(d)) <= STRAIGHT * across:
        rows, columns, pixels = b, c, pixels.swapaxes(0, 1)
    else:
        raise NotShown("a player shows it at an angle that is no quarter turn; save it upright")
    return pixels[:: -1 if rows < 0 else 1, :: -1 if columns < 0 else 1]


def _changed(frames: list[np.ndarray]) -> str:
    (height, width), (now_height, now_width) = frames[0].shape[:2], frames[-1].shape[:2]
    return (
        f"the frame size changes inside the file: {len(frames) - 1} frames of {width}x{height}, then "
        f"{now_width}x{now_height}"
    )
