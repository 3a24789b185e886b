import numpy as np
import pytest
from matplotlib.image import imread

from ivgbench.errors import UserError
from ivgbench.report import figures
from ivgbench.report.figures import GAP, LABEL_WIDTH, TITLE_HEIGHT, contact_sheet

SHAPE = (3, 12, 20, 3)
SCALE = 8  # 160 / 20


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)


def pixels(path):
    return np.rint(imread(path)[..., :3] * 255).astype(np.uint8)


def cell(sheet, row, frame):
    """The part of a sheet that shows a frame."""
    high, wide = SHAPE[1] * SCALE, SHAPE[2] * SCALE
    top, left = TITLE_HEIGHT + row * (high + GAP), LABEL_WIDTH + frame * (wide + GAP)
    return sheet[top : top + high, left : left + wide]


def enlarged(frame):
    return frame.repeat(SCALE, 0).repeat(SCALE, 1)


def test_every_pixel_is_enlarged_and_never_smoothed(tmp_path, video):
    sheet = pixels(contact_sheet([("a", video, []), ("b", 255 - video, [])], tmp_path / "sheet.png", "a prompt"))
    for frame in range(3):
        assert np.array_equal(cell(sheet, 0, frame), enlarged(video[frame]))
        assert np.array_equal(cell(sheet, 1, frame), enlarged(255 - video[frame]))


@pytest.mark.parametrize("label", ["Mask Norm's masks, alone, and more", "peekaboo-without-self-and-cross", "w" * 40])
def test_a_long_label_stays_beside_the_frames(tmp_path, video, label):
    sheet = pixels(contact_sheet([(label, video, [])], tmp_path / "sheet.png"))
    assert np.array_equal(cell(sheet, 0, 0), enlarged(video[0]))


def test_boxes_are_drawn_where_they_are_asked_and_nowhere_else(tmp_path, video):
    track = np.array([[0.25, 0.25, 0.75, 0.5]] * 3)
    track[1] = np.nan
    black = np.zeros_like(video)
    sheet = pixels(contact_sheet([("a", black, [track])], tmp_path / "sheet.png"))
    lit = cell(sheet, 0, 0).any(-1)
    rows, columns = np.nonzero(lit.any(1))[0], np.nonzero(lit.any(0))[0]
    # x 0.25..0.75 of 160 pixels, y 0.25..0.5 of 96, lines about two pixels wide.
    assert abs(columns[0] - 40) <= 2
    assert abs(columns[-1] - 119) <= 2
    assert abs(rows[0] - 24) <= 2
    assert abs(rows[-1] - 47) <= 2
    assert not lit[30:42, 50:110].any()  # not filled
    assert not cell(sheet, 0, 1).any()  # NaN: nothing


def test_the_same_input_gives_the_same_bytes(tmp_path, video):
    one, two = (contact_sheet([("a", video, [])], tmp_path / name, "t").read_bytes() for name in ("1.png", "2.png"))
    assert one == two


def test_large_frames_keep_their_size(tmp_path):
    video = np.zeros((2, 40, 400, 3), np.uint8)
    sheet = pixels(contact_sheet([("a", video, [])], tmp_path / "sheet.png"))
    assert sheet.shape[:2] == (TITLE_HEIGHT + 40 + GAP, LABEL_WIDTH + 2 * (400 + GAP))


def test_dollar_signs_are_text(tmp_path, video):
    contact_sheet([("a$_b", video, [])], tmp_path / "sheet.png", r"costs $5 \frac $ {")


@pytest.mark.parametrize(
    ("clips", "word"),
    [
        ([], "at least one"),
        ([("a", np.zeros(SHAPE), [])], "uint8"),
        (
            [("a", np.zeros(SHAPE, np.uint8), []), ("b", np.zeros((2, 12, 20, 3), np.uint8), [])],
            "b: need uint8 videos of one",
        ),
        ([("a", np.zeros(SHAPE, np.uint8), [np.zeros((2, 4))])], "boxes \\[3,4\\]"),
    ],
)
def test_wrong_input_is_refused(tmp_path, clips, word):
    with pytest.raises(UserError, match=word):
        figures.contact_sheet(clips, tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())
