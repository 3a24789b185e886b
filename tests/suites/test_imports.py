"""Released tracks in a suite's form: what is changed, what is rejected, and that both are told."""

import csv
import json

import numpy as np
import pytest

from ivgbench import load_suite, suites
from ivgbench.errors import UserError
from ivgbench.suites import imports, peekaboo

NAN = float("nan")
NOTHING = [0.5, 0.5, 0.5, 0.5]


def moving(frames: int) -> list[list[float]]:
    """A box that goes right: x0 from 0.1 to 0.5."""
    return [[x, 0.3, x + 0.2, 0.6] for x in np.linspace(0.1, 0.5, frames)]


def test_a_track_in_form_is_not_changed():
    track, changes = imports.mend(moving(24), 24)
    assert changes == [] and np.allclose(track, moving(24))


@pytest.mark.parametrize("length", [1, 2, 8, 15, 25, 200])
def test_other_lengths_are_resampled_with_both_ends_kept(length):
    track, changes = imports.mend(moving(length), 24)
    assert changes == [("resampled", 0, f"{length} to 24 frames")]
    # Linear in time: frame k of 24 lies at k (L - 1) / 23 of L.
    last = moving(length)[-1][0]
    np.testing.assert_allclose(track[:, 0], 0.1 + (last - 0.1) * np.arange(24) / 23, atol=1e-6)


@pytest.mark.parametrize("order", ["x0,x1,y0,y1", "x0,y0,x1,y1", "y0,x0,y1,x1", "x1,y1,x0,y0", " y0, y1, x0, x1 "])
def test_numbers_are_put_in_order(order):
    places = {"x0": 0, "y0": 1, "x1": 2, "y1": 3}
    turned = [[box[places[name.strip()]] for name in order.split(",")] for box in moving(8)]
    track, changes = imports.mend(turned, 8, order)
    np.testing.assert_allclose(track, moving(8), atol=1e-6)
    assert [what for what, *_ in changes] == ([] if order == "x0,y0,x1,y1" else ["reordered"])


def test_frames_without_a_box_are_interpolated_and_named():
    boxes = moving(9)
    for frame, nothing in ((0, NOTHING), (3, [NAN] * 4), (4, [0.2, 0.3, 0.2, 0.6]), (8, [1.2, 0.1, 1.4, 0.5])):
        boxes[frame] = nothing
    track, changes = imports.mend(boxes, 9)
    assert changes == [("dropped", 4, "no box in frames 0, 3-4, 8: interpolated")]
    # Straight between neighbours, held at the ends.
    expected = moving(9)
    expected[0], expected[8] = expected[1], expected[7]
    np.testing.assert_allclose(track, expected, atol=1e-6)


def test_boxes_over_the_edge_are_cut_there():
    track, changes = imports.mend([[-0.1, 0.2, 0.4, 1.3], [0.1, 0.2, 0.4, 0.5]], 2)
    assert changes == [("clipped", 1, "frames 0")]
    np.testing.assert_allclose(track, [[0, 0.2, 0.4, 1], [0.1, 0.2, 0.4, 0.5]])


@pytest.mark.parametrize(
    ("track", "words"),
    [
        ([], "it has no boxes"),
        ([NOTHING] * 8, "0 of its 8 boxes have an area; a track needs two"),
        ([NOTHING] * 7 + [[0.1, 0.1, 0.4, 0.4]], "1 of its 8 boxes have an area"),
        ([[0.4, 0.1, 0.1, 0.5]], "box of frame 0 is turned inside out, or in another order: [0.4, 0.1, 0.1, 0.5]"),
        ([[0.1, 0.1, 0.4, 0.5], [0, 0, 57, 32]], "box of frame 1 is not in fractions of the frame: [0, 0, 57, 32]"),
        ([[0.1, 0.1, float("inf"), 0.5]] * 2, "0 of its 2 boxes have an area"),
    ],
)
def test_what_is_no_track_is_rejected(track, words):
    with pytest.raises(imports.Rejected) as reason:
        imports.mend(track, 8)
    assert words in str(reason.value)


# ---- the released files


def record(number, boxes, caption="A White Airplane lands", subject="airplane ", **more):
    return {"id": number, "caption": caption, "subject": subject, "bboxes": boxes, "metadata": {}, **more}


def write(tmp_path, records):
    path = tmp_path / "inputs.json"
    path.write_text(json.dumps(records))
    return path


def test_lasot_has_both_xs_first(tmp_path):
    boxes = [[x0, x1, y0, y1] for x0, y0, x1, y1 in moving(24)]
    boxes[5] = [0.00078, 0.00078, 0.00139, 0.00139]  # where the release has nothing
    suite, made = suites.read_release("lasot", [write(tmp_path, [record(1, boxes)])])
    (case,) = suite.cases
    assert (suite.name, suite.frames, case.id, case.subjects[0].phrase) == ("lasot", 24, "lasot-1", "airplane")
    np.testing.assert_allclose(case.subjects[0].boxes, moving(24), atol=1e-6)
    assert [(note.what, note.frames) for note in made.notes] == [("reordered", 24), ("dropped", 1)]


def test_davis_and_ssv2_are_read_as_the_releases_evaluation_reads_them(tmp_path):
    assert peekaboo.ORDERS == {"lasot": "x0,x1,y0,y1", "davis": "x0,y0,x1,y1", "ssv2": "x0,y0,x1,y1"}
    suite, made = suites.read_release("davis", [write(tmp_path, [record(1, moving(24))])])
    np.testing.assert_allclose(suite.cases[0].subjects[0].boxes, moving(24), atol=1e-6)
    assert made.notes == []
    rows_first = [[y0, x0, y1, x1] for x0, y0, x1, y1 in moving(24)]
    turned, _ = suites.read_release("davis", [write(tmp_path, [record(1, rows_first)])], order="y0,x0,y1,x1")
    np.testing.assert_allclose(turned.cases[0].subjects[0].boxes, moving(24), atol=1e-6)
    with pytest.raises(UserError, match="order 'x,y': write x0, y0, x1 and y1 as the file has them"):
        suites.read_release("davis", [tmp_path / "inputs.json"], order="x,y")


def test_ssv2_has_unequal_lengths_and_boxes_without_area(tmp_path):
    gap = [*moving(8)[:3], NOTHING, *moving(8)[4:]]
    records = [record("125", moving(8)), record("126", gap), record("127", [NOTHING] * 18), record("128", moving(25))]
    suite, made = suites.read_release("ssv2", [write(tmp_path, records)], frames=16)
    assert [case.id for case in suite.cases] == ["ssv2-125", "ssv2-126", "ssv2-128"]
    for case in suite.cases:
        assert len(case.subjects[0].boxes) == 16
        np.testing.assert_allclose(case.subjects[0].boxes[:, 0], np.linspace(0.1, 0.5, 16), atol=1e-6)
    assert made.counts() == (
        "4 records, 3 cases, reordered 0, clipped 0, dropped 1 (1 frames), cut 0, resampled 3, rejected 1"
    )
    assert [(note.case, note.what) for note in made.notes] == [
        ("ssv2-125", "resampled"), ("ssv2-126", "dropped"), ("ssv2-126", "resampled"), ("ssv2-127", "rejected"),
        ("ssv2-128", "resampled"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ("text", "it is no mapping with id, caption, subject and bboxes"),
        (record(True, moving(2)), "id must be a text or a whole number, got bool"),
        (record(None, moving(2)), "id must be a text or a whole number"),
        (record("a\ud800", moving(2)), "lone surrogate"),
        (record("../x", moving(2)), "id 'ssv2-../x' is not allowed"),
        (record("one", moving(2)), "the id 'ssv2-one' stands twice; the first one is kept"),
        (record(2, moving(2), caption="a bird"), "the phrase 'airplane' is not in the prompt 'a bird'"),
        (record(2, moving(2), caption=None), "caption must be a text"),
        (record(2, moving(2), subject=""), "subject is empty"),
        (record(2, None), "bboxes must be a list of boxes, got NoneType"),
        (record(2, [[0.1, 0.2, 0.3]]), "box of frame 0 is not four numbers"),
        (record(2, [[0.1, 0.2, "0.3", 0.4]]), "box of frame 0 is not four numbers"),
        (record(2, [[0.1, 0.2, True, 0.4]]), "box of frame 0 is not four numbers"),
        (record(2, [[0.1, 0.2, 10**400, 0.4]]), "0 of its 1 boxes have an area"),
        (record(2, [None, [], [None] * 4]), "0 of its 3 boxes have an area"),
        (record(2, [[0.4, 0.2, 0.1, 0.6]] * 3), "turned inside out"),
    ],
)
def test_a_bad_record_costs_itself_only_and_is_named(tmp_path, bad, words):
    path = write(tmp_path, [record("one", moving(24)), bad])
    suite, made = suites.read_release("ssv2", [path])
    assert len(suite.cases) == 1
    (note,) = made.rejected
    assert words in note.detail and note.record == f"{path}, record 2"
    if bad is not None and isinstance(bad, dict):
        with pytest.raises(UserError, match=r"no case could be made of 1 records; first: .*record 1: "):
            suites.read_release("lasot", [write(tmp_path, [{**bad, "id": "../x"}])])


def test_the_report_is_a_table_of_every_change(tmp_path):
    _, made = suites.read_release("ssv2", [write(tmp_path, [record(1, moving(8)), record(2, [NOTHING])])])
    made.write(tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [(row["case"], row["what"]) for row in rows] == [("ssv2-1", "resampled"), ("ssv2-2", "rejected")]
    assert rows[0]["record"].endswith("record 1") and rows[0]["detail"] == "8 to 24 frames"


def test_an_imported_suite_loads(tmp_path):
    suite, _ = suites.read_release("ssv2", [write(tmp_path, [record(1, moving(8))])], frames=8, name="mine")
    assert load_suite(suites.keep(suite, tmp_path)).sha256 == suite.sha256
    for frames in (0, -1, 10**9):
        with pytest.raises(UserError, match="--frames must be from 1 to 10000"):
            suites.read_release("ssv2", [tmp_path / "inputs.json"], frames=frames)
    with pytest.raises(UserError, match="cannot be called 'a/b'"):
        suites.read_release("ssv2", [tmp_path / "inputs.json"], name="a/b")
