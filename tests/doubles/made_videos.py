"""Video files of many containers and codecs, made small. What this machine's FFmpeg lacks is skipped."""

import io
from fractions import Fraction

import av
import numpy as np
import pytest

QUIET = {"x265-params": "log-level=none"}
#: Ending -> (format, codec, pixel format, options): what people's files are.
KINDS = {
    "h264.mp4": ("mp4", "libx264", "yuv420p", {}),
    "h264.mov": ("mov", "libx264", "yuv420p", {}),
    "h264.mkv": ("matroska", "libx264", "yuv420p", {}),
    "h264.ts": ("mpegts", "libx264", "yuv420p", {}),
    "h264.avi": ("avi", "libx264", "yuv420p", {"bf": "0"}),
    "open-gop.mp4": ("mp4", "libx264", "yuv420p", {"x264-params": "open-gop=1:keyint=4:min-keyint=4:bframes=3"}),
    "interlaced.mp4": ("mp4", "libx264", "yuv420p", {"x264-params": "interlaced=1:bframes=2"}),
    "hevc.mp4": ("mp4", "libx265", "yuv420p", QUIET),
    "hevc.mkv": ("matroska", "libx265", "yuv420p", QUIET),
    "mpeg4.m4v": ("mp4", "mpeg4", "yuv420p", {"bf": "2"}),
    "mpeg4.avi": ("avi", "mpeg4", "yuv420p", {}),
    "vp8.webm": ("webm", "libvpx", "yuv420p", {}),
    "vp9.webm": ("webm", "libvpx-vp9", "yuv420p", {}),
    "alpha.webm": ("webm", "libvpx-vp9", "yuva420p", {}),
    "vp9.mp4": ("mp4", "libvpx-vp9", "yuv420p", {}),
    "mpeg1.mpg": ("mpeg", "mpeg1video", "yuv420p", {}),
    "mpeg2.mpeg": ("vob", "mpeg2video", "yuv420p", {}),
    "wmv2.wmv": ("asf", "wmv2", "yuv420p", {}),
    "gif.gif": ("gif", "gif", "rgb8", {}),
    "mjpeg.mov": ("mov", "mjpeg", "yuvj420p", {}),
    "png.mov": ("mov", "png", "rgb24", {}),
    "prores.mov": ("mov", "prores_ks", "yuv422p10le", {}),
    "raw.avi": ("avi", "rawvideo", "bgr24", {}),
    "ffv1.mkv": ("matroska", "ffv1", "bgr0", {}),
    "ffv1.avi": ("avi", "ffv1", "bgr0", {"level": "3", "slicecrc": "1"}),
}


def moving(frames=8, height=64, width=96):
    """A textured square that moves over a gradient, uint8 [F,H,W,3]: every frame differs, and up is not down."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    ground = np.stack([255 * rows / height, 255 * columns / width, 0 * rows + 60], -1).astype(np.uint8)
    video = np.repeat(ground[None], frames, 0)
    patch = rng.integers(100, 255, (16, 16, 3), dtype=np.uint8)
    for number, frame in enumerate(video):
        frame[8 + number : 24 + number, 4 + 4 * number : 20 + 4 * number] = patch
    return video


def made(kind, *what, **how):
    """The bytes of a file of a kind; see `_made`. Some encoders fail now and then, on a busy machine above all."""
    for _ in range(4):
        try:
            return _made(kind, *what, **how)
        except av.FFmpegError as fault:
            failed = fault
    raise failed


def _made(kind, video=None, times=None, mux=None, sound=False, gop=None):
    """times: of the frames, in hundredths of a second. sound: a stream of it beside."""
    container, codec, pixels, options = KINDS[kind]
    if codec not in av.codec.codecs_available:
        pytest.skip(f"no encoder {codec} here")
    video = moving() if video is None else video
    rate = 25 if "mpeg1" in codec or "mpeg2" in codec else 100 if times else 8
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container, options=mux or {}) as file:
        stream = file.add_stream(codec, rate=Fraction(rate), options=options)
        stream.height, stream.width, stream.pix_fmt = video.shape[1], video.shape[2], pixels
        stream.codec_context.thread_count = 1
        if gop:
            stream.gop_size = gop
        if sound:
            file.mux(_silence(file.add_stream("pcm_s16le", rate=8000, layout="mono")))
        # Kept until all is written: an encoder looks at frames later than it is given them.
        pictures = [av.VideoFrame.from_ndarray(frame, format="rgb24") for frame in video]
        for number, picture in enumerate(pictures):
            picture.pts = times[number] if times else number
            file.mux(stream.encode(picture))
        file.mux(stream.encode())
    return buffer.getvalue()


def only_sound():
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mov") as file:
        stream = file.add_stream("pcm_s16le", rate=8000, layout="mono")
        file.mux(_silence(stream))
    return buffer.getvalue()


def _silence(stream):
    frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), format="s16", layout="mono")
    frame.sample_rate, frame.pts = 8000, 0
    return [*stream.encode(frame), *stream.encode()]


def turned(data, matrix):
    """An MP4 or MOV file with another display matrix: (a, b, c, d), each -1, 0 or 1."""
    at = data.index(b"tkhd") + 4 + 40  # version and flags, then times, number, length, layer and volume
    values = [65536 * one for one in (matrix[0], matrix[1], 0, matrix[2], matrix[3], 0, 0, 0)] + [1 << 30]
    stored = b"".join(one.to_bytes(4, "big", signed=True) for one in values)
    assert data[at : at + 4] == (65536).to_bytes(4, "big")
    return data[:at] + stored + data[at + 36 :]
