"""The report on disk: every number of its tables, every clip; nothing from outside, and no user's markup."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from fake_lab import FakeLab, InlineEngine
from PIL import Image
from shown_runs import EVIL, FRAMES, HEIGHT, WIDTH, shown_run

from ivgbench.cases import Case, Subject, Suite
from ivgbench.errors import UserError
from ivgbench.metrics.catalogue import COLUMN, KNOWN
from ivgbench.report import layout, qualitative, tables
from ivgbench.report.page import cells, previews, writing
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

ASSETS = Path(writing.__file__).parent / "assets"


@pytest.fixture
def store(tmp_path):
    return shown_run(tmp_path / "runs")


class Page(HTMLParser):
    """Tags by name, with their attributes, and the contents of scripts; fails on a tag that is closed out of turn."""

    EMPTY = ("meta", "br", "link", "img", "input", "path")

    def __init__(self, path):
        super().__init__()
        self.tags, self.open, self.text, self.scripts = [], [], "", []
        self.feed(path.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attributes), ""))

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            about, text = self.scripts.pop()
            self.scripts.append((about, text + data))
        else:
            self.text += data

    def block(self, name):
        (text,) = [text for about, text in self.scripts if about.get("id") == name]
        return json.loads(text)

    @property
    def policy(self):
        return next(about["content"] for tag, about in self.tags if about.get("http-equiv"))


def write(store, tmp_path, **options):
    index = writing.write(store.root, None, tmp_path / "report", **options)
    return index, Page(index)


def case(tmp_path, number):
    text = (tmp_path / "report" / "data" / f"{number}.js").read_text(encoding="ascii")
    found = re.fullmatch(r"reportCase\((\d+), (.*)\);\n", text)
    assert int(found[1]) == number
    return json.loads(found[2])


def test_every_cell_of_the_tables_is_there(store, tmp_path):
    _, page = write(store, tmp_path)
    blocks = layout.blocks(tables.build(1, store.root))
    cells = [cell for block in blocks for row in block.rows for cell in row]
    assert len(cells) > 100 and all(cell.text in page.text for cell in cells)
    assert sum(tag == "td" for tag, _ in page.tags) > len(cells)
    ends = [f"{cell.interval[0]} to {cell.interval[1]}" for cell in cells if cell.interval]
    assert ends and all(one in page.text for one in ends)
    assert sum(about.get("class") == "whisker" for _, about in page.tags) == len(ends)
    assert "pocket lab" in page.text and "9.9" in page.text and "ray" not in page.text
    assert all(note in page.text for note in tables.build(1, store.root).notes)


def test_a_heading_says_what_its_column_is(store, tmp_path):
    _, page = write(store, tmp_path)
    told = [one.get("title") for tag, one in page.tags if tag == "th"]
    assert COLUMN["clip_sim"].what in told and COLUMN["nfe"].what in told
    known = [*KNOWN.values()]
    assert cells.what("FID clip ↓", known) == COLUMN["fid"].what and cells.what("Method", known) == ""
    assert cells.what("mIoU % ↑", known) == COLUMN["miou"].what != cells.what("mIoU all % ↑", known)


def test_the_run_in_short_and_a_case_in_full(store, tmp_path):
    _, page = write(store, tmp_path)
    run = page.block("run-data")
    assert [row["name"] for row in run["rows"]] == ["Plain", "Mask Norm", "Ground truth"]  # references last
    assert len(run["cases"]) == 8 and run["cases"][1]["subjects"] == ["red star", "blue ring"]
    values = {(row["label"], row["case"], row["split"]): row["value"]
              for row in store.load_rows("table1")[0] if row["metric"] == "miou"}  # fmt: skip
    first = run["cases"][1]
    assert [value for value, _ in first["clips"]] == [
        round(values[label, first["case"], "static"], 4) for label in ("plain", "mask-norm", "ground-truth")
    ]
    full = case(tmp_path, 1)
    assert np.shape(full["asked"]) == (2, FRAMES, 4) and len(full["clips"]) == 3
    truth = full["clips"][2]
    assert np.shape(truth["found"]) == (2, FRAMES, 4) and min(map(min, truth["iou"])) == 1.0
    assert [name for name, _ in truth["scores"]] == ["mIoU", "CLIP-SIM", "covered", "NFE"]
    lost = [clip for number in range(8) for clip in case(tmp_path, number)["clips"] if clip["found"][0][-1] is None]
    assert lost and all(clip["iou"][0][-1] == 0 for clip in lost)  # nothing found: IoU 0, and no box to draw
    with Image.open(tmp_path / "report" / truth["source"]) as picture:
        assert picture.size == previews.grid((FRAMES, HEIGHT, WIDTH)).size


def test_markup_of_a_user_is_text(store, tmp_path):
    manifest = store.manifest("table1")
    for job in manifest["jobs"]:
        job["label"] = EVIL if job["label"] == "plain" else job["label"]
        job["about"] = EVIL
    lost = manifest["jobs"][0]
    store.fail_score(lost["score"], store.sidecar(lost["job"])["pixel_sha256"], EVIL, {})
    store.save_manifest("table1", manifest)
    index, page = write(store, tmp_path, allow_partial=True)
    assert EVIL.split(" \u2028")[0] in page.text and "onerror" not in {name for _, about in page.tags for name in about}
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert len(page.scripts) == 2  # the data, and the page's own
    assert EVIL in page.block("run-data")["cases"][0]["prompt"] and page.block("run-data")["rows"][0]["label"] == EVIL
    for path in (tmp_path / "report" / "data").iterdir():
        text = path.read_text(encoding="ascii")  # and so without U+2028
        assert "<" not in text and "&" not in text
    assert index.read_text(encoding="utf-8").count("onerror") > 5


def test_nothing_is_loaded_from_outside_and_no_other_script_runs(store, tmp_path):
    _, page = write(store, tmp_path)
    assert not [value for _, about in page.tags for name, value in about.items() if name in ("src", "poster", "style")]
    assert all(about["href"].startswith("#") for tag, about in page.tags if tag == "a")
    assert "default-src 'none'" in page.policy and "unsafe" not in page.policy and "http" not in page.policy
    script = page.scripts[-1][1]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in page.policy


@pytest.mark.parametrize("path", sorted(ASSETS.glob("*.js")), ids=lambda path: path.name)
def test_scripts_make_no_markup_of_texts(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|fetch\(", text)
    assert not re.search(r"https?:", text)
    assert "</script" not in text and path.stem in writing.SCRIPTS


def test_figures_in_the_folder_are_shown(store, tmp_path):
    folder = tmp_path / "report" / "figures"
    (folder / "paper 2").mkdir(parents=True)
    for name in ("figure4-static.png", "figure4-static.svg", "paper 2/figure2.png"):
        (folder / name).write_bytes(b"drawn")
    _, page = write(store, tmp_path)
    shown = [about["src"] for tag, about in page.tags if tag == "img"]
    assert shown == ["figures/figure4-static.png", "figures/paper%202/figure2.png"]
    assert (folder / "figure4-static.svg").exists()


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_results_give_the_same_bytes(store, tmp_path):
    write(store, tmp_path)
    again = writing.write(store.root, None, tmp_path / "again").parent
    made = files(again)
    assert made == files(tmp_path / "report") and sum(name.startswith("data") for name in made) == 8


def test_previews_that_are_there_are_not_made_again(store, tmp_path, monkeypatch):
    write(store, tmp_path)
    before = files(tmp_path / "report")
    gone, cut = [tmp_path / "report" / name for name in before if name.startswith("clips")][:2]
    gone.unlink()
    cut.write_bytes(b"RIFF")
    made, picture = [], previews.picture
    monkeypatch.setattr(previews, "picture", lambda video: made.append(1) or picture(video))
    write(store, tmp_path)
    assert made == [1, 1] and files(tmp_path / "report") == before


def test_what_an_earlier_report_left_goes_and_what_is_the_users_stays(store, tmp_path):
    write(store, tmp_path)
    mine = tmp_path / "report" / "clips" / "mine.webp"
    mine.write_bytes(b"mine")
    manifest = store.manifest("table1")
    manifest["jobs"] = [job for job in manifest["jobs"] if job["case"] in ("case-00", "case-01")]
    store.save_manifest("table1", manifest)
    write(store, tmp_path)
    fresh = files(writing.write(store.root, None, tmp_path / "fresh").parent)
    assert files(tmp_path / "report") == fresh | {"clips/mine.webp": b"mine"}


def test_a_partial_run_says_what_is_missing(store, tmp_path):
    jobs = {(job["split"], job["label"], job["case"]): job["job"] for job in store.manifest("table1")["jobs"]}
    store.video_path(jobs["static", "plain", "case-00"]).write_bytes(b"scribble")
    store.discard(jobs["static", "mask-norm", "case-00"])
    store.fail(jobs["static", "mask-norm", "case-00"], "out of <memory>", {})
    store.discard(jobs["static", "ground-truth", "case-00"])
    with pytest.raises(UserError, match="is partial"):
        write(store, tmp_path)
    _, page = write(store, tmp_path, allow_partial=True)
    assert "Partial run: 1 failed and 2 missing" in page.text and "failed: out of <memory>" in page.text
    why = [fault for _, fault in page.block("run-data")["cases"][0]["clips"]]
    assert [one.partition(":")[0] for one in why] == ["damaged", "failed", "missing"]
    assert [clip["fault"] for clip in case(tmp_path, 0)["clips"]] == why
    assert len(case(tmp_path, 0)["asked"]) == 1  # the damaged clip's sidecar still knows what was asked


def test_a_run_in_which_every_clip_failed_is_shown_with_its_reasons(store, tmp_path, command_line):
    jobs = store.manifest("table1")["jobs"]
    for job in jobs:
        asked = store.attempted(job["job"])
        store.discard(job["job"])
        store.fail(job["job"], "out of <memory>", {"spec": asked})
    _, page = write(store, tmp_path)
    assert "No clip of this run has scores yet" in page.text and "#missing" in [one.get("href") for _, one in page.tags]
    assert all("sortable" not in one.get("class", "") for _, one in page.tags)
    assert page.text.count("failed: out of <memory>") == len(jobs)
    shown = case(tmp_path, 0)
    assert {clip["fault"] for clip in shown["clips"]} == {"failed: out of <memory>"} and len(shown["asked"]) == 1
    # Its siblings: one file, the table, the board.
    code, out, _ = command_line("report", "--runs", store.root, "--embed", "1", "--out", tmp_path / "few.html")
    assert code == 0 and "out of &lt;memory&gt;" in Path(out.strip()).read_text()
    code, _, told = command_line("table", "1", "--runs", store.root)
    assert code == 2 and "has no scored clip: 24 failed of 24 clips" in told and "ivgbench report" in told
    assert command_line("record", "--runs", store.root, "-o", tmp_path / "sent" / "all.record.json")[0] == 0
    code, out, _ = command_line("leaderboard", tmp_path / "sent", "--out", tmp_path / "site")
    assert code == 0 and "it does not say" in out + (tmp_path / "site" / "index.html").read_text()


def test_a_clip_whose_pixels_cannot_be_read_says_so(store, tmp_path, monkeypatch):
    broken, whole = store.manifest("table1")["jobs"][0]["job"], Store.clip

    def clip(self, job):
        if job == broken:
            raise UserError("cannot read the video")
        return whole(self, job)

    monkeypatch.setattr(Store, "clip", clip)
    write(store, tmp_path)
    assert case(tmp_path, 0)["clips"][0] == {"fault": "damaged: the clip cannot be read"}


def test_clips_of_odd_sizes_and_other_lengths_are_shown(store, tmp_path):
    jobs = [job for job in store.manifest("table1")["jobs"] if job["label"] == "plain" and job["split"] == "static"]
    for job, shape in zip(jobs, [(8, 49, 81), (8, 1, 1), (5, 7, 900), (30, 400, 300)], strict=True):
        store.save_clip(job["job"], np.full((*shape, 3), 9, np.uint8), store.sidecar(job["job"]))
    write(store, tmp_path, allow_partial=True)
    clips = [case(tmp_path, number)["clips"][0] for number in range(4)]
    assert [clip["size"] for clip in clips] == [[8, 49, 81], [8, 1, 1], [5, 7, 900], [30, 400, 300]]
    assert [clip["iou"] for clip in clips[2:]] == [[], []]  # boxes for another number of frames fit none
    for clip in clips:
        with Image.open(tmp_path / "report" / clip["source"]) as picture:
            rows = -(-clip["frames"] // clip["columns"])
            assert picture.size == (clip["columns"] * clip["width"], rows * clip["height"])


def test_one_file_holds_a_few_cases(store, tmp_path):
    page = Page(writing.embed(store.root, None, tmp_path / "page.html", ["case-01"]))
    assert [one["split"] for one in page.block("run-data")["cases"]] == ["static", "dynamic"]
    assert "2 of them in this file" in page.text and list(tmp_path.glob("*/data")) == []
    head, _, data = page.block("case-1")["clips"][0]["source"].partition(",")
    with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
        assert head == "data:image/webp;base64" and picture.format == "WEBP"
    assert "img-src data:;" in page.policy and "dynamic" not in page.policy and "file:" not in page.policy
    first = (tmp_path / "page.html").read_bytes()
    assert writing.embed(store.root, None, tmp_path / "page.html", ["case-01", "case-01"]).read_bytes() == first


def test_a_count_is_the_first_cases_of_each_split(store, tmp_path):
    page = Page(writing.embed(store.root, None, tmp_path / "page.html", ["1", "case-03"]))
    chosen = [(one["split"], one["case"]) for one in page.block("run-data")["cases"]]
    assert chosen == [(split, one) for split in ("static", "dynamic") for one in ("case-00", "case-03")]
    with pytest.raises(UserError, match="run 'table1' has no such case; its first is 'case-00'"):
        writing.embed(store.root, None, tmp_path / "page.html", ["nothing"])


def test_the_command(store, tmp_path, command_line):
    code, out, told = command_line("report", "--runs", store.root, "--out", tmp_path / "there")
    assert code == 0 and out.strip() == str(tmp_path / "there" / "index.html") and "run table1" in told
    code, out, _ = command_line("report", "--runs", store.root, "--embed", 1, "--out", tmp_path / "few.html")
    assert code == 0 and out.strip() == str(tmp_path / "few.html") and (tmp_path / "few.html").is_file()
    code, _, told = command_line("report", "--runs", store.root, "--out", tmp_path / "new.html")
    assert code == 2 and "a report is a folder" in told and told.count("\n") == 1
    code, _, told = command_line("report", "--runs", store.root, "--embed", "9-none", "--out", tmp_path / "few.html")
    assert code == 2 and "no such case" in told and told.count("\n") == 1


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
    page = Page(writing.write(twins, "twins", tmp_path / "report"))
    assert [(one["suite"], one["case"]) for one in page.block("run-data")["cases"]] == [
        ("one", "a"), ("one", "b"), ("two", "a"),
    ]  # fmt: skip
    shown = [clip for number in range(3) for clip in case(tmp_path, number)["clips"]]
    assert shown[0]["source"] == shown[2]["source"] != shown[4]["source"]
    # Every clip has its own score.
    assert all(["mIoU", "100.0 %"] in clip["scores"] and clip["iou"] == [[1.0, 1.0]] for clip in shown)
    # A sheet is of one case: both methods, and not the other suite's as well.
    (sheet,) = qualitative.figure4(twins, "twins", tmp_path, "a")
    assert sheet.exists()
