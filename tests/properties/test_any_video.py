"""Video files of several containers, whole, cut and with bits turned: frames of one size, or one line that says why."""

import av
import numpy as np
import pytest
from damage import damaged
from generated import answer, holds_for
from hypothesis import strategies as st

from ivgbench.store import video

#: A file's ending and its codec.
KINDS = [
    ("mkv", "ffv1", "bgr0"), ("mkv", "libx264", "yuv420p"), ("mp4", "libx264", "yuv420p"), ("mp4", "mpeg4", "yuv420p"),
    ("mov", "mjpeg", "yuvj420p"), ("webm", "libvpx", "yuv420p"), ("avi", "mpeg4", "yuv420p"), ("gif", "gif", "rgb8"),
    ("mpg", "mpeg2video", "yuv420p"), ("ts", "mpeg2video", "yuv420p"), ("wmv", "wmv2", "yuv420p"),
]  # fmt: skip
FRAMES, HEIGHT, WIDTH = 5, 32, 48


def clip() -> np.ndarray:
    """A square that moves over a slope, uint8 [F,H,W,3]."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    made = np.stack([np.stack([4 * x, 6 * y, 2 * (x + y)], -1)] * FRAMES)
    for frame in range(FRAMES):
        made[frame, 8:20, 4 + 6 * frame : 16 + 6 * frame] = (250, 20, 20)
    return made.astype(np.uint8)


class Files(dict):
    """(ending, codec) -> a small file. Shown by its size where a property fails."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("videos"), Files()
    for suffix, codec, pixels in KINDS:
        path = folder / f"{codec}.{suffix}"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25)
            stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, pixels
            stream.codec_context.thread_count = 1
            for frame in clip():
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pixels)))
            container.mux(stream.encode())
        made[suffix, codec] = path.read_bytes()
    return made


def decoded(folder, suffix: str, data: bytes) -> np.ndarray | None:
    path = folder / f"clip.{suffix}"
    path.write_bytes(data)
    made = answer(video.decode, path)
    if made is not None:
        assert made.dtype == np.uint8 and made.ndim == 4 and made.shape[-1] == 3 and min(made.shape) > 0
        assert len(video.pixel_sha256(made)) == 64
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


kinds = st.sampled_from([kind[:2] for kind in KINDS])


@pytest.mark.parametrize("kind", [kind[:2] for kind in KINDS], ids="-".join)
def test_a_whole_file_is_read(files, folder, kind):
    assert decoded(folder, kind[0], files[kind]).shape == (FRAMES, HEIGHT, WIDTH, 3)


@holds_for(kinds, st.data())
def test_damaged_files(files, folder, kind, data):
    decoded(folder, kind[0], data.draw(damaged(files[kind])))


@holds_for(kinds, st.floats(0, 1))
def test_files_that_end_early_are_whole_or_refused(files, folder, kind, share):
    whole = files[kind]
    made = decoded(folder, kind[0], whole[: int(share * len(whole))])
    assert made is None or np.array_equal(made, video.decode(_at(folder, kind[0], whole)))


def _at(folder, suffix, data):
    path = folder / f"whole.{suffix}"
    path.write_bytes(data)
    return path


@holds_for(kinds, kinds, st.binary(max_size=64))
def test_files_of_another_kind_than_their_name_says(files, folder, kind, named, more):
    made = decoded(folder, named[0], files[kind])
    assert made is None or made.shape == (FRAMES, HEIGHT, WIDTH, 3)
    decoded(folder, named[0], more)


@st.composite
def clips(draw):
    shape = tuple(draw(st.lists(st.integers(1, 20), min_size=3, max_size=3)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return rng.integers(0, draw(st.sampled_from([1, 2, 256])), (*shape, 3), dtype=np.uint8)


@holds_for(clips())
def test_what_the_store_writes_comes_back_bit_for_bit(made):
    data = answer(video.encode, made)
    if data is None:
        assert made.shape[2] == 1 < made.shape[1]  # of one column: what the codec cannot do
        return
    assert np.array_equal(video.decode(data), made) and data == video.encode(made)


@holds_for(clips(), st.sampled_from([".mp4", ".mkv", ".gif", ""]))
def test_any_clip_can_be_looked_at(folder, made, suffix):
    def saved():
        video.save(folder / f"look{suffix}", made)
        return video.decode(folder / f"look{suffix}")

    again = answer(saved)
    assert again is None or len(again) == len(made)
    assert again is not None or suffix in (".gif", "") or made.shape[2] == 1
