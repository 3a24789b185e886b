"""GIF and WebP: every frame, at the right time, for ever, in its own colours."""

import io

import numpy as np
import pytest
from PIL import Image, ImageSequence

from ivgbench.errors import UserError
from ivgbench.store import video
from ivgbench.store.animation import gif, webp
from ivgbench.world import BACKGROUNDS, COLOURS


def noisy(frames=8, height=48, width=80):
    """A grey ground with noise, and a small square of each of the pocket world's colours that moves."""
    rng = np.random.default_rng(0)
    made = np.array(BACKGROUNDS["grey"], float) + rng.normal(0, 6, (frames, height, width, 3))
    made = made.clip(0, 255).astype(np.uint8)
    for frame in range(frames):
        for number, colour in enumerate(COLOURS.values()):
            left = 8 * number + frame
            made[frame, 20:25, left : left + 5] = colour
    return made


def played(data):
    """(frames [F,H,W,3], milliseconds of each, how often it plays: 0 for ever) as another library reads them."""
    image = Image.open(io.BytesIO(data))
    pictures = [(np.asarray(one.convert("RGB")), one.info["duration"]) for one in ImageSequence.Iterator(image)]
    return np.stack([one for one, _ in pictures]), [time for _, time in pictures], image.info["loop"]


@pytest.mark.parametrize("fps", [8, 24, 10])
@pytest.mark.parametrize("make", [gif, webp])
def test_all_frames_are_shown_at_their_time_for_ever(make, fps):
    made = noisy(24, 12, 20)
    shown, times, loop = played(make(made, fps))
    assert shown.shape == made.shape and loop == 0
    # A GIF counts hundredths of a second, a WebP thousandths.
    assert np.abs(np.cumsum(times) - np.arange(1, 25) * 1000 / fps).max() <= (10 if make is gif else 1)


def test_webp_has_exact_pixels():
    assert np.array_equal(played(webp(noisy()))[0], noisy())


def test_a_gif_keeps_small_subjects_and_smooth_grounds():
    made = noisy()
    apart = np.abs(played(gif(video.enlarged(made, 192)))[0][:, ::4, ::4].astype(int) - made)
    assert apart.mean() < 3 and apart.max() <= 16
    assert apart[:, 20:25].max() <= 16  # the subjects: few pixels of colours that are nowhere else


def test_more_colours_than_a_palette_chooses_from():
    rng = np.random.default_rng(1)
    made = rng.integers(0, 256, (1, 90, 160, 3), dtype=np.uint8)
    made[:, :4, :4] = (255, 0, 0)
    shown = video.decode(gif(made))
    assert shown.shape == made.shape and np.abs(shown.astype(int) - made).mean() < 20


def test_equal_frames_of_a_gif_are_frames():
    still = np.repeat(noisy(1), 5, axis=0)
    assert len(video.decode(gif(still))) == 5
    assert sum(played(webp(still))[1]) in (0, 625)  # one picture, or one that is shown as long


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 7), (3, 5, 1)])
@pytest.mark.parametrize("make", [gif, webp])
def test_the_smallest_clips(make, shape):
    assert played_size(make(np.zeros((*shape, 3), np.uint8))) == (shape[2], shape[1])


def played_size(data):
    return Image.open(io.BytesIO(data)).size


@pytest.mark.parametrize(("make", "side"), [(gif, 65_536), (webp, 16_384)])
def test_what_a_format_cannot_hold_is_one_line(make, side):
    with pytest.raises(UserError, match=f"a clip of {side}x1 pixels cannot be stored as"):
        make(np.zeros((2, 1, side, 3), np.uint8))


def test_the_same_clip_gives_the_same_bytes():
    assert gif(noisy()) == gif(noisy()) and webp(noisy()) == webp(noisy())


@pytest.mark.parametrize("name", ["clip.gif", "clip.WEBP", "clip.mp4"])
def test_a_small_clip_is_saved_large_enough_to_watch(tmp_path, name):
    video.save(tmp_path / name, noisy())
    data = (tmp_path / name).read_bytes()
    width, height = video.decode(data).shape[2:0:-1] if name.endswith("mp4") else played_size(data)
    assert (width, height) == (560, 336)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_ending_that_is_none_names_those_there_are(tmp_path):
    for name in ("clip", "clip.avi", "clip.png"):
        with pytest.raises(UserError, match=r"written as .mp4, .gif or .webp \(to look at\) or .mkv"):
            video.save(tmp_path / name, noisy())
