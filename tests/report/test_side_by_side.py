"""Methods side by side: each clip in its place under its name, boxes drawn in, and a reason where there is no clip."""

import numpy as np
import pytest
from matplotlib.image import imread

from ivgbench.errors import UserError
from ivgbench.report import figures, side_by_side
from ivgbench.report.side_by_side import CAPTION_HEIGHT, GAP, NOTHING, Shown, panels, write
from ivgbench.store.video import decode

TRACK = np.array([[0.25, 0.25, 0.75, 0.75]] * 3)
HIGH, WIDE = 192, 320  # 48 x 80 pixels, four times


def clip(shade, frames=3):
    made = np.full((frames, 48, 80, 3), shade, np.uint8)
    made += np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return made


def panel(made, at):
    """The pixels [F,H,W,3] of a panel."""
    top = (at // 3) * (CAPTION_HEIGHT + HIGH + GAP) + CAPTION_HEIGHT
    left = GAP + (at % 3) * (WIDE + GAP)
    return made[:, top : top + HIGH, left : left + WIDE]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_every_clip_has_a_panel_under_its_name(count):
    made = panels([Shown(f"method {number}", clip(20 * number)) for number in range(count)], [TRACK])
    assert made.shape[0] == 3
    for number in range(count):
        mine = panel(made, number)
        for frame in range(3):
            assert (mine[frame, :40] == 20 * number + frame).all()  # above the box
            assert (mine[frame] == (0, 0xE5, 0xFF)).all(-1).any()
        top = (number // 3) * (CAPTION_HEIGHT + HIGH + GAP)
        caption = made[0, top : top + CAPTION_HEIGHT, GAP + (number % 3) * (WIDE + GAP) :][:, :WIDE]
        assert (caption < 100).any() and (caption.max(axis=(0, 1)) == 255).all()


def test_names_are_not_all_the_same():
    made = panels([Shown("Peekaboo", clip(9)), Shown("TrailBlazer", clip(9))], [])
    assert not np.array_equal(
        made[0, :CAPTION_HEIGHT, GAP : GAP + WIDE], made[0, :CAPTION_HEIGHT, 2 * GAP + WIDE :][:, :WIDE]
    )


@pytest.mark.parametrize("reason", ["failed: no memory", "failed: " + "a very long reason " * 200, "failed: 空 " * 9])
def test_a_method_without_a_clip_says_why(tmp_path, reason):
    shown = [Shown("Plain", reason), Shown("Peekaboo", clip(60))]
    made = panels(shown, [TRACK])
    field = panel(made, 0)[0]
    assert (field == NOTHING).all(-1).any() and (field < 100).any()
    assert (panel(made, 1)[0, :40] == 60).all()
    write(tmp_path / "a.png", shown, [TRACK], "a prompt")
    sheet = np.rint(imread(tmp_path / "a.png")[..., :3] * 255)
    # One row says why, the other has its frames.
    first = sheet[figures.TITLE_HEIGHT :][:96, figures.LABEL_WIDTH :]
    second = sheet[figures.TITLE_HEIGHT + 96 + figures.GAP :][:10, figures.LABEL_WIDTH :][:, :150]
    assert (first < 100).any() and (second == 60).all()


@pytest.mark.parametrize("name", ["a.gif", "a.mp4", "a.mkv", "a.GIF"])
def test_what_plays_is_written_as_large_as_it_was_composed(tmp_path, name):
    shown = [Shown("Plain", clip(20)), Shown("Peekaboo", clip(60))]
    write(tmp_path / name, shown, [TRACK], "a prompt")
    made = panels(shown, [TRACK])
    seen = decode(tmp_path / name)
    assert seen.shape == made.shape and np.abs(seen.astype(int) - made).mean() < 8


def test_a_sheet_shows_some_frames_of_a_long_clip_and_is_one_file(tmp_path):
    write(tmp_path / "A.PNG", [Shown("Plain", clip(20, 24))], [np.repeat(TRACK, 8, axis=0)], "costs $5")
    assert [path.name for path in tmp_path.iterdir()] == ["A.PNG"]
    wide = imread(tmp_path / "A.PNG").shape[1]
    assert wide == figures.LABEL_WIDTH + side_by_side.SHEET_FRAMES * (160 + figures.GAP)


def test_what_cannot_be_shown_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"written as .mp4, .gif, .webp, .mkv \(plays\) or .png \(its frames\)"):
        write(tmp_path / "a.avi", [Shown("Plain", clip(20))], [], "")
    for shown in ([Shown("Plain", "failed")], [Shown("a", clip(1)), Shown("b", clip(1, 4))]):
        with pytest.raises(UserError, match="must be of one shape"):
            write(tmp_path / "a.gif", shown, [], "")
    assert not list(tmp_path.iterdir())
