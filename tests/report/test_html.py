"""The page of a run: every number of its tables, its clips playable; nothing from outside, and no user's markup."""

import base64
from html.parser import HTMLParser

import numpy as np
import pytest
from fake_lab import FakeLab, InlineEngine
from matplotlib.image import imread

from ivgbench.cases import Case, Subject, Suite
from ivgbench.errors import UserError
from ivgbench.report import html, layout, qualitative, tables
from ivgbench.report.figures import GAP, TITLE_HEIGHT
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store
from ivgbench.store.video import decode

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


@pytest.fixture
def twins(tmp_path):
    """A folder of runs: one suite holds two cases of equal content, the other a case with the first one's id."""
    (tmp_path / "runs").mkdir()
    box = [[0.25, 0.25, 0.5, 0.75]] * 2
    other = [[0.5, 0.25, 0.75, 0.75]] * 2
    suites = {"one": {"a": box, "b": box}, "two": {"a": other}}
    for name, cases in suites.items():
        made = [Case(id, f"a red star {name}", (Subject("red star", track),), {"split": "static"})
                for id, track in cases.items()]  # fmt: skip
        Suite(name, 2, tuple(made)).save(tmp_path / f"{name}.jsonl")
    lab = FakeLab(tmp_path / "log")
    files = tuple(str(tmp_path / f"{one}.jsonl") for one in suites)
    spec = RunSpec("twins", (MethodSpec("plain"), MethodSpec("tid")), suites=files)
    outcome = runner.run(make_plan(spec, lab), Store(tmp_path / "runs"), lab, InlineEngine())
    assert not outcome.failed and not outcome.missing
    return tmp_path / "runs"


def test_cases_of_equal_content_and_of_equal_ids_stay_apart(twins, tmp_path):
    page = Page(html.report(twins, "twins", tmp_path / "page.html").read_text())
    headings = [one for one in ("one a", "one b", "two a", "two b") if one.replace(" ", ", static, case ") in page.text]
    assert headings == ["one a", "one b", "two a"]
    shown = [about["src"] for tag, about in page.tags if tag == "video"]
    assert len(shown) == 3 * 2 and shown[0] == shown[2] != shown[4]
    assert page.text.count("mIoU 100.0 %") == 3 * 2  # every clip has its own score
    # A sheet is of one case: both methods, and not the other suite's as well.
    (sheet,) = qualitative.figure4(twins, "twins", tmp_path, "a")
    assert len(imread(sheet)) == TITLE_HEIGHT + 2 * (2 * SIZE[0] + GAP)


def test_clips_of_odd_sizes_and_other_lengths_are_shown(store, tmp_path):
    jobs = store.manifest("table1")["jobs"]
    for job, shape in zip(jobs, [(2, 49, 81), (2, 1, 1), (5, 7, 9)], strict=False):
        store.save_clip(job["job"], np.full((*shape, 3), 9, np.uint8), store.sidecar(job["job"]))
    _, page = written(store, tmp_path, allow_partial=True)
    sources = [about["src"].partition(",")[2] for tag, about in page.tags if tag == "video"]
    shapes = {decode(base64.b64decode(one)).shape for one in sources}
    assert (2, 196, 324, 3) in shapes and (2, 160, 160, 3) in shapes and (5, 162, 208, 3) in shapes
