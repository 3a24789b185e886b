"""The page of a run: every number of its tables, its clips playable; nothing from outside, and no user's markup."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.report import html, layout, tables
from ivgbench.runs.store import Store
from ivgbench.runs.video import decode

EVIL = "<script>alert('x')</script> & \"more\""
SIZE = 48, 80


@pytest.fixture
def store(make_run, tmp_path):
    """Two methods and the reference, three cases a split, black clips; the prompts are markup."""
    store = Store(tmp_path / "runs")
    rows, manifest = make_run(["plain", "mask-norm"], cases=3, seeds=(0,))
    for entry in manifest["jobs"]:
        asked = {"prompt": EVIL, "subjects": [{"boxes": [[0.25, 0.25, 0.75, 0.75]] * 2}]}
        clip = store.save_clip(entry["job"], np.zeros((2, *SIZE, 3), np.uint8), {"spec": {"case": asked}})
        entry["score"] = f"{entry['job']}-score"
        values = {row["metric"]: row["value"] for row in rows if row["job"] == entry["job"]}
        store.save_score(entry["score"], clip["pixel_sha256"], values, {})
    manifest |= {"suites": {"s": "ab" * 32}, "environment": {"torch": "9.9", "ray": None}}
    store.save_manifest("table1", manifest)
    return store


class Page(HTMLParser):
    """Tags by name, with their attributes; fails on a tag that is closed out of turn."""

    EMPTY = ("meta", "br", "link", "img")

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def written(store, tmp_path, **options):
    path = html.report(store.root, None, tmp_path / "page.html", **options)
    return path, Page(path.read_text(encoding="utf-8"))


def test_every_cell_of_the_table_is_there(store, tmp_path):
    _, page = written(store, tmp_path)
    cells = [cell.text for block in layout.blocks(tables.build(1, store.root)) for row in block.rows for cell in row]
    assert len(cells) > 100 and all(text in page.text for text in cells)
    assert sum(tag == "td" for tag, _ in page.tags) > len(cells)
    assert "pocket lab" in page.text and "9.9" in page.text and "ray" not in page.text


def test_the_clips_play_with_their_boxes_drawn_in(store, tmp_path):
    _, page = written(store, tmp_path, cases=2)
    shown = [about["src"] for tag, about in page.tags if tag == "video"]
    assert len(shown) == 2 * 2 * 3  # splits x cases x rows
    head, _, data = shown[0].partition(",")
    clip = decode(base64.b64decode(data))
    assert head == "data:video/mp4;base64" and clip.shape == (2, 4 * SIZE[0], 4 * SIZE[1], 3)
    lit = clip.max(-1) > 60
    # The box's lines, and neither what is in it nor what is around it.
    assert lit[:, 48:50, 90:230].mean() > 0.9 and not lit[:, 60:130, 90:230].any() and not lit[:, :40].any()


def test_lines_lie_inside_their_box():
    track = np.array([[0.25, 0.5, 0.75, 1.0], [0, 0, 0, 0], [0.5, 0.5, 0.52, 0.52]])
    drawn = html.outlines(track, 100, 200)
    expected = np.zeros((100, 200), bool)
    expected[50:100, 50:150] = True
    expected[52:98, 52:148] = False
    assert np.array_equal(drawn[0], expected)
    assert not drawn[1].any() and drawn[2].sum() == 2 * 4  # no box; one that is thinner than its lines


def test_markup_of_a_user_is_text(store, tmp_path):
    _, page = written(store, tmp_path)
    assert EVIL in page.text and "script" not in {tag for tag, _ in page.tags}
    # Nothing is loaded from anywhere.
    named = [value for _, about in page.tags for name, value in about.items() if name in ("src", "href", "poster")]
    assert named and all(value.startswith("data:") for value in named)
    assert any("Content-Security-Policy" in about.values() for tag, about in page.tags if tag == "meta")


def test_the_same_results_give_the_same_page(store, tmp_path):
    first = written(store, tmp_path)[0].read_bytes()
    assert written(store, tmp_path)[0].read_bytes() == first


def test_a_partial_run_says_what_is_missing(store, tmp_path):
    job, lost = store.manifest("table1")["jobs"][:2]
    store.fail_score(job["score"], store.sidecar(job["job"])["pixel_sha256"], "no such <phrase>", {})
    store.video_path(lost["job"]).write_bytes(b"scribble")
    with pytest.raises(UserError, match="is partial"):
        written(store, tmp_path)
    _, page = written(store, tmp_path, allow_partial=True)
    assert "Partial run: 1 failed and 1 missing" in page.text and "failed: no such <phrase>" in page.text
    assert "no clip" in page.text and page.text.count(f"case {lost['case']}") >= 1
