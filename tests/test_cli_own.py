"""The command line with a user's own systems and suites."""

import json

import pytest
import yaml
from fake_lab import FakeLab
from test_cli import refused, shell  # noqa: F401

from ivgbench import load_suite, suites
from ivgbench.cases import Suite
from ivgbench.report import table, tables
from ivgbench.store import video

CSV = """case,prompt,subject,frame,x0,y0,x1,y1
one,a red star on a grey background,red star,0,0.1,0.2,0.4,0.6
one,,,7,0.6,0.2,0.9,0.6
two,a blue circle on a grey background,blue circle,0,0.1,0.2,0.4,0.6
"""


@pytest.fixture
def few(tmp_path):
    """The first four static cases as a suite file, and a function that draws a case's clip."""
    cases = load_suite("static").cases[:4]
    Suite("few", 8, cases).save(tmp_path / "few.jsonl")

    def draw(path, case, shift=0.0):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(video.encode(FakeLab(None).draw(case, shift, 0).video))

    return cases, draw


def runs(tmp_path):
    return sorted(path.stem for path in (tmp_path / "results/runs/manifests").glob("*.json"))


def test_two_systems_scored_by_prompt_and_by_manifest_stand_in_one_table(shell, tmp_path, few):  # noqa: F811
    cases, draw = few
    listed = ["case,file,sample"]
    for number, case in enumerate(cases):
        draw(tmp_path / "a" / f"{case.prompt}-0.mkv", case)
        draw(tmp_path / "b" / "deep" / f"{number}.mkv", case, 0.1)
        listed.append(f"{case.id},deep/{number}.mkv,")
    (tmp_path / "b" / "list.csv").write_text("\n".join(listed))
    (tmp_path / "a" / "stranger.mkv").write_bytes(b"")
    code, out, err = shell("score", "--videos", "a", "--suite", "few.jsonl")
    assert code == 0 and "4/4" in out and "not used, no case of few is called so: 1: stranger.mkv" in err
    (first,) = runs(tmp_path)
    code, out, err = shell("score", "--manifest", "b/list.csv", "--suite", "few.jsonl", "--label", "theirs")
    assert code == 0 and "4/4" in out and "theirs" in out and "not used" not in err
    (second,) = set(runs(tmp_path)) - {first}
    code, out, err = shell("table", 1, "--run", first, "--run", second)
    assert code == 0 and "a " in out and "theirs" in out and f"{first} + {second}" in out
    frame = table(1, run=[first, second])
    assert frame["label"].tolist() == ["a", "theirs"] and frame["miou_all"][0] > 85 > frame["miou_all"][1]
    assert "Runs: " in (tmp_path / "results/own/tables/table1.md").read_text(encoding="utf-8")


def test_samples_are_seeds(shell, tmp_path, few):  # noqa: F811
    cases, draw = few
    for case in cases:
        for sample in (0, 1):
            if (case.id, sample) != ("pocket-static-02", 1):
                draw(tmp_path / "a" / f"{case.id}-{sample}.mkv", case, 0.05 * sample)
    code, _, err = shell("score", "--videos", "a", "--suite", "few.jsonl")
    assert code == 1 and "no video pocket-static-02-1.* in a" in err
    (name,) = runs(tmp_path)
    line = table(1, run=name, allow_partial=True).iloc[0]
    assert (line["n_scored"], line["n_expected"], line["clip_sim_n"]) == (7, 8, 4)
    assert "Seeds: 0, 1." in tables.build(1, run=name, allow_partial=True).notes[0]


def test_one_label_for_two_systems_is_refused(shell, tmp_path, few):  # noqa: F811
    cases, draw = few
    for case in cases:
        draw(tmp_path / "a" / f"{case.id}.mkv", case)
        draw(tmp_path / "b" / "a" / f"{case.id}.mkv", case, 0.1)
    shell("score", "--videos", "a", "--suite", "few.jsonl")
    shell("score", "--videos", "b/a", "--suite", "few.jsonl")
    first, second = runs(tmp_path)
    assert "both have a row 'a'" in refused(shell("table", 1, "--run", first, "--run", second))
    assert "there is no run 'none'" in refused(shell("table", 1, "--run", first, "--run", "none"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --videos FOLDER, or --manifest FILE"),
        (["--manifest", "none.csv"], "none.csv: cannot read it"),
        (["--manifest", "m.csv"], "it names no video of a case of few; not used, few has no case 'x': 1: x.mp4"),
        (["--videos", "twins"], "no video is named after a case of few"),
    ],
)
def test_scoring_nothing_is_one_line(shell, tmp_path, few, arguments, words):  # noqa: F811
    (tmp_path / "m.csv").write_text("case,file\nx,x.mp4\n")
    (tmp_path / "twins").mkdir()
    (tmp_path / "twins" / "stranger.mp4").write_bytes(b"")
    assert words in refused(shell("score", "--suite", "few.jsonl", *arguments))


def test_a_suite_made_from_a_list_is_run_like_any_other(shell, tmp_path):  # noqa: F811
    (tmp_path / "mine.csv").write_text(CSV)
    code, out, _ = shell("suites", "make", "--from", "mine.csv")
    assert code == 0 and out.startswith(str(suites.user_folder() / "mine.jsonl")) and "2 cases of 8 frames" in out
    assert shell("suites", "validate", "mine")[0] == 0 and "mine" in shell("suites", "list")[1]
    assert shell("run", "--method", "plain", "--suite", "mine")[0] == 0
    code, out, _ = shell("suites", "make", "--from", "mine.csv", "--name", "longer", "--frames", 24, "-o", "out")
    assert code == 0 and load_suite(tmp_path / "out" / "longer.jsonl").frames == 24
    assert shell("suites", "make", "--from", "mine.csv", "-o", "here.jsonl")[0] == 0
    assert load_suite(tmp_path / "here.jsonl").sha256 == load_suite("mine").sha256


def test_released_files_are_imported_with_a_report(shell, tmp_path):  # noqa: F811
    record = {"id": 1, "caption": "a dog runs", "subject": "dog", "bboxes": [[0.1, 0.4, 0.2, 0.6]] * 8}
    (tmp_path / "lasot.json").write_text(json.dumps([record, {**record, "id": 2, "subject": "cat"}]))
    code, out, _ = shell("suites", "import", "lasot", "lasot.json", "--frames", 8, "--out", "out")
    assert code == 0 and "2 records, 1 cases, reordered 1 (8 frames)" in out
    assert "rejected: lasot.json, record 2 (lasot-2): the phrase 'cat' is not in the prompt" in out
    assert load_suite(tmp_path / "out" / "lasot.jsonl").cases[0].subjects[0].boxes[0].tolist() == [0.1, 0.2, 0.4, 0.6]
    assert (tmp_path / "out" / "lasot.import.csv").read_text().count("\n") == 3
    keys = [{"frame": frame, "bbox_ratios": [0, 0.35, 0.3, 0.65], "prompt": "a cat runs"} for frame in (0, 24)]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "Cat.yaml").write_text(yaml.dump({"keyframe": keys, "token_inds": [2]}))
    code, out, _ = shell("suites", "import", "trailblazer", "configs")
    assert code == 0 and "1 cases of 24 frames" in out and load_suite("trailblazer").cases[0].id == "Cat"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["make", "--from", "none.csv"], "none.csv: cannot read it"),
        (["make", "--from", "mine.txt"], "unknown ending '.txt'"),
        (["make", "pocket-static", "--from", "mine.csv"], "--from makes one suite"),
        (["make", "--from", "mine.csv", "--name", "static"], "the name 'static' is taken"),
        (["make", "pocket-static", "--frames", "9"], "--name and --frames are for a suite of your own"),
        (["import", "lasot"], "write `ivgbench suites import KIND FILE`, KIND one of imc, lasot, davis"),
        (["import", "kitti", "mine.csv"], "KIND one of imc, lasot, davis"),
        (["import", "davis", "a.json", "b.json"], "davis is one file, got 2"),
        (["import", "davis", "none.json"], "none.json: cannot read it"),
        (["import", "davis", "mine.csv"], "no case could be made of 3 records"),
        (["import", "davis", "none.json", "--order", "xywh"], "order 'xywh': write x0, y0, x1 and y1"),
        (["import", "trailblazer", "mine.csv", "--order", "xywh"], "--order is for lasot, davis and ssv2"),
        (["import", "imc", "mine.csv", "--frames", "8"], "imc gives four suites"),
        (["import", "mine.csv"], "mine.csv: cannot read the IMC records"),
    ],
)
def test_a_mistake_is_one_line(shell, tmp_path, arguments, words):  # noqa: F811
    (tmp_path / "mine.csv").write_text(CSV)
    assert words in refused(shell("suites", *arguments))
