"""Figures 1 and 4: the right clips, frames and boxes of a run, in the right places."""

import re

import numpy as np
import pytest
from matplotlib.image import imread

from ivgbench.errors import UserError
from ivgbench.report.figures import GAP, LABEL_WIDTH, TITLE_HEIGHT
from ivgbench.report.qualitative import figure1, figure4
from ivgbench.store.runs import Store

FRAMES, HEIGHT, WIDTH, SCALE = 8, 12, 20, 8
LABELS = ("plain", "peekaboo", "mask-norm-tid")


@pytest.fixture
def store(tmp_path):
    """Three methods, two cases a split; every frame has one colour, which tells method, split, case and frame."""
    store, jobs = Store(tmp_path / "runs"), []
    for split in ("static", "dynamic"):
        for case in range(2):
            for label in LABELS:
                job = f"{label}-{split}-{case}"
                video = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
                video[:] = shade(label, split, case)
                video += (10 * np.arange(FRAMES, dtype=np.uint8))[:, None, None, None]
                asked = {"prompt": f"prompt of {split} {case}", "subjects": [{"boxes": [[0, 0, 0.1, 0.1]] * FRAMES}]}
                store.save_clip(job, video, {"spec": {"case": asked}})
                jobs.append({"job": job, "label": label, "split": split, "case": f"{split}-{case}", "seed": 0})
    store.save_manifest("table1", {"jobs": jobs})
    return store


def shade(label, split, case):
    return 20 + 40 * LABELS.index(label) + 20 * (split == "dynamic") + 10 * case


def shades(path):
    """The colour of the middle of every frame of a sheet: a list per row."""
    sheet = np.rint(imread(path)[..., 0] * 255).astype(int)
    high, wide = HEIGHT * SCALE + GAP, WIDTH * SCALE + GAP
    rows = range(TITLE_HEIGHT + HEIGHT * SCALE // 2, len(sheet), high)
    return [list(sheet[y, LABEL_WIDTH + WIDTH * SCALE // 2 :: wide]) for y in rows]


def test_every_method_has_a_row_with_all_its_frames(store, tmp_path):
    static, dynamic = figure4(store.root, None, tmp_path)
    assert (static.name, dynamic.name) == ("figure4-static.png", "figure4-dynamic.png")
    for split, path in (("static", static), ("dynamic", dynamic)):
        assert shades(path) == [[shade(label, split, 0) + 10 * frame for frame in range(FRAMES)] for label in LABELS]
        assert path.with_suffix(".svg").stat().st_size > 0


def test_another_case_can_be_asked_for(store, tmp_path):
    (path,) = figure4(store.root, "table1", tmp_path, "dynamic-1")
    assert path.name == "figure4-dynamic.png" and shades(path)[0][0] == shade("plain", "dynamic", 1)
    with pytest.raises(UserError, match="has no case 'nowhere'; its first is 'static-0'"):
        figure4(store.root, "table1", tmp_path, "nowhere")


def test_the_teaser_has_two_rows_and_four_frames_from_first_to_last(store, tmp_path):
    path, _ = figure1(store.root, None, tmp_path)
    assert path.name == "figure1-static.png"
    expected = [[shade(label, "static", 0) + 10 * frame for frame in (0, 2, 5, 7)] for label in LABELS[::2]]
    assert shades(path) == expected


def test_a_run_without_the_full_method_has_no_teaser(store, tmp_path):
    jobs = [job for job in store.manifest("table1")["jobs"] if job["label"] != "mask-norm-tid"]
    store.save_manifest("table1", {"jobs": jobs})
    with pytest.raises(UserError, match="has no row 'mask-norm-tid'; choose another --run"):
        figure1(store.root, None, tmp_path)


@pytest.mark.parametrize("how", ["gone", "damaged", "never made"])
def test_a_clip_that_is_not_there_is_told(store, tmp_path, how):
    path = store.video_path("peekaboo-static-0")
    if how == "damaged":
        path.write_bytes(b"scribble")
    else:
        path.unlink()
    if how == "never made":
        path.with_name("sidecar.json").unlink()
    with pytest.raises(UserError, match=re.escape("no clip of peekaboo, case static-0, in run 'table1'; run it again")):
        figure4(store.root, None, tmp_path)


def test_why_a_clip_is_not_there_is_told(store, tmp_path):
    store.discard("peekaboo-static-0")
    store.fail("peekaboo-static-0", "out of memory", {})
    with pytest.raises(UserError, match=r"case static-0, in run 'table1'; failed: out of memory; another .* --case ID"):
        figure4(store.root, None, tmp_path)
    figure4(store.root, None, tmp_path, "static-1")
