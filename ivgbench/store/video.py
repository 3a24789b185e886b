"""Clips as files: lossless FFV1 in RGB for the store, H.264, GIF or WebP for people, and any readable file in."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ivgbench.errors import UserError
from ivgbench.files import write_atomic
from ivgbench.store import animation, containers, decoding

#: Any container that PyAV reads; these are the endings by which a folder's videos are told from its other files.
SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".m4v", ".mpg", ".mpeg", ".ts", ".wmv")


#: Pixels that a side of an enlarged clip has at most: players and H.264 end not far above.
LONGEST = 4096


def is_named_video(path: Path) -> bool:
    """Whether a path has the ending of a video, in any letter case; what begins with a dot is hidden, and is none."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def is_video(path: Path) -> bool:
    """Whether a path is a file that is named like a video."""
    return is_named_video(path) and path.is_file()


def pixel_sha256(video: np.ndarray) -> str:
    """Hash of a clip's shape and pixels, uint8 [F,H,W,3]: the same whatever file carried it."""
    video = np.ascontiguousarray(video)
    return hashlib.sha256(f"{video.dtype}{video.shape}".encode() + video.tobytes()).hexdigest()


def enlarged(video: np.ndarray, short_side: int) -> np.ndarray:
    """A clip [F,H,W,3] enlarged by a whole number, so that its short side has at least so many pixels; a copy.

    The long side stays within LONGEST, so that a strip of pixels can still be shown.
    """
    height, width = video.shape[1:3]
    scale = max(1, min(-(-short_side // min(height, width)), LONGEST // max(height, width)))
    return video.repeat(scale, 1).repeat(scale, 2)


def encode(video: np.ndarray, lossless: bool = True, fps: int = 8) -> bytes:
    """A Matroska (FFV1, exact) or MP4 (H.264, for viewing) file of a clip uint8 [F,H,W,3].

    The same clip gives the same bytes: one thread, no random ids in the container. H.264 stores colours for 2x2 pixels
    together: a side that is odd gets its last line of pixels twice, for viewing only.

    Raises:
        UserError: a size that the codec cannot store: FFV1 none of one column of pixels.
    """
    import av

    if video.dtype != np.uint8 or video.ndim != 4 or video.shape[-1] != 3:
        raise ValueError(f"a clip is uint8 [F,H,W,3], got {video.dtype} {list(video.shape)}")
    if not lossless:
        video = np.pad(video, [(0, 0), (0, video.shape[1] % 2), (0, video.shape[2] % 2), (0, 0)], mode="edge")
    video = np.ascontiguousarray(video)
    buffer = io.BytesIO()
    name, codec, pixels = ("matroska", "ffv1", "bgr0") if lossless else ("mp4", "libx264", "yuv420p")
    try:
        with av.open(buffer, "w", format=name, options={"fflags": "+bitexact"}) as container:
            stream: Any = container.add_stream(codec, rate=Fraction(fps))  # of a kind that the codec's name says
            stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], pixels
            stream.codec_context.thread_count = 1
            for frame in video:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            container.mux(stream.encode())
    except av.FFmpegError as fault:
        size = f"{video.shape[2]}x{video.shape[1]}"
        raise UserError(f"a clip of {size} pixels cannot be stored ({codec}: {fault.strerror})") from None
    return buffer.getvalue()


def decode(source: Path | bytes) -> np.ndarray:
    """All frames of a video file as a player shows them, uint8 [F,H,W,3] RGB.

    Raises:
        UserError: it is missing, no video, empty, damaged, shorter than it says, or its frame size changes.
    """
    name = "clip" if isinstance(source, bytes) else source
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as file:
            wrong = containers.fault(file)
            frames, complaint = decoding.read(file if isinstance(source, bytes) else _address(source))
    except OSError as fault:
        raise UserError(f"{name}: cannot read the video: {fault.strerror}") from None
    except decoding.NotShown as fault:
        raise UserError(f"{name}: {wrong or fault}") from None
    if wrong:
        raise UserError(f"{name}: {wrong}; {len(frames)} frames of it can be read")
    if complaint:
        raise UserError(f"{name}: the video is damaged: {complaint}")
    if not frames:
        raise UserError(f"{name}: the video has no frames")
    return np.stack(frames)


def _address(path: Path) -> str:
    """A path as FFmpeg reads it, which takes what stands before a colon for a protocol: "wolf:running.mp4"."""
    return os.path.abspath(path)


def decode_own(path: Path) -> np.ndarray:
    """All frames of a file that `encode` made, uint8 [F,H,W,3]: on all cores, and nothing is looked for.

    Whoever calls this knows what the pixels have to be. UserError when it cannot be read.
    """
    import av

    try:
        with av.open(_address(path)) as container:
            return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    except (OSError, ValueError, IndexError, av.FFmpegError) as fault:
        raise UserError(f"{path}: cannot read the video: {' '.join(str(fault).split())}") from None


#: Ending -> how a clip is written for people.
WRITTEN: dict[str, Callable[[np.ndarray], bytes]] = {
    ".mp4": lambda video: encode(video, lossless=False),
    ".gif": animation.gif,
    ".webp": animation.webp,
    ".mkv": encode,
}
#: A clip to look at has at least so many pixels a side.
WATCHABLE = 320


def check_suffix(path: Path) -> str:
    """The ending, one of WRITTEN, in small letters; UserError for anything else. For use before the work."""
    suffix = Path(path).suffix.lower()
    if suffix not in WRITTEN:
        raise UserError(f"{path}: a clip is written as .mp4, .gif or .webp (to look at) or .mkv (exact pixels)")
    return suffix


def save(path: Path, video: np.ndarray, enlarge: bool = True) -> None:
    """Writes a clip for people: .mkv is exact; in all others small frames are enlarged to WATCHABLE pixels a side."""
    suffix = check_suffix(path)
    data = WRITTEN[suffix](enlarged(video, WATCHABLE) if enlarge and suffix != ".mkv" else video)
    write_atomic(Path(path), lambda handle: handle.write(data))
