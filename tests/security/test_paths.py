"""Names and paths in files from elsewhere: none reads or writes outside the folder it belongs to."""

import json
from pathlib import Path

import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench import load_suite
from ivgbench.errors import UserError
from ivgbench.generator.backbones import layout
from ivgbench.runs import matching, runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec
from ivgbench.store.records import read_record, write_record
from ivgbench.store.runs import Store
from ivgbench.suites import own

#: Names that leave a folder, on some system or other, or are no name.
LEAVING = [
    "../out", "a/../../out", "/etc/passwd", "..\\out", "C:\\out", "C:/out", "a/b", "..", "a\0b", "~/out", "-out",
    "．．/out", "‥/out", "a\u2215b", "a\nb", ".hidden", "", "x" * 300,
]  # fmt: skip


@pytest.fixture
def place(tmp_path):
    """The folder of the test's files, in a folder that nothing else may appear in."""
    place = tmp_path / "around" / "inside"
    place.mkdir(parents=True)
    yield place
    assert {path.name for path in (tmp_path / "around").iterdir()} == {"inside"}


@pytest.mark.parametrize("name", LEAVING)
def test_a_run_cannot_be_called_so(place, name):
    with pytest.raises(UserError):
        RunSpec(name, (MethodSpec("plain"),))
    with pytest.raises(UserError):
        Store(place).save_manifest(name, {"jobs": []})
    with pytest.raises(UserError):
        Store(place).manifest(name)
    if "\0" not in name:
        (place / "spec.toml").write_text(f"name = {json.dumps(name)}\nmethods = ['plain']\n")
        with pytest.raises(UserError):
            load_spec(place / "spec.toml")


@pytest.mark.parametrize("name", LEAVING)
@pytest.mark.parametrize("field", ["id", "split"])
def test_a_case_cannot_be_called_so(place, name, field):
    suite = load_suite("static")
    case = suite.cases[0].to_json()
    case = {**case, "metadata": {"split": name}} if field == "split" else {**case, "id": name}
    suite.save(place / "suite.jsonl")
    first, *_ = (place / "suite.jsonl").read_text().splitlines()
    (place / "suite.jsonl").write_text(f"{first}\n{json.dumps(case)}\n")
    with pytest.raises(UserError):
        load_suite(str(place / "suite.jsonl"))


@pytest.mark.parametrize("name", LEAVING)
def test_an_own_suite_cannot_be_called_so(place, name):
    boxes = {"0": [0, 0, 1, 1], "7": [0, 0, 1, 1]}
    case = {"case": "fox", "prompt": "a red fox", "subject": "red fox", "boxes": boxes}
    (place / "mine.json").write_text(json.dumps({"name": name, "frames": 8, "cases": [case]}))
    with pytest.raises(UserError):
        own.make(place / "mine.json")
    with pytest.raises(UserError):
        own.check_name(name, "here")


def finished(root: Path) -> dict:
    spec = RunSpec("r", (MethodSpec("plain"),), suites=("static",), cases=1)
    lab = FakeLab(root.parent.parent / "log")
    runner.run(make_plan(spec, lab), Store(root), lab, InlineEngine())
    return read_record(root / "manifests" / "r.json")


@pytest.mark.parametrize("name", [*LEAVING, 3, None, ["a"]])
@pytest.mark.parametrize("field", ["job", "score"])
def test_a_manifest_names_jobs_within_its_folder(place, name, field):
    manifest = finished(place)
    manifest["jobs"][0][field] = name
    write_record(place / "manifests" / "r.json", manifest)
    with pytest.raises(UserError, match=r"damaged manifest: .*is no job's name"):
        Store(place).load_rows("r")


@pytest.mark.parametrize("jobs", [None, 3, {}, [3], ["a"]])
def test_a_manifest_without_jobs_is_one_line(place, jobs):
    write_record(place / "manifests" / "r.json", {"jobs": jobs})
    with pytest.raises(UserError, match="damaged manifest"):
        Store(place).load_rows("r")


def test_a_manifest_is_called_as_its_file(place):
    write_record(place / "manifests" / "r.json", {**finished(place), "run": "../../out"})
    assert Store(place).manifest("r")["run"] == "r"


@pytest.mark.parametrize(
    "file", ["../out.mp4", "/out.mp4", "a/../../out.mp4", "..\\out.mp4", "C:\\out.mp4", "c:/out.mp4",
             "\\\\host\\out.mp4", "a\0.mp4", "//host/out.mp4"])  # fmt: skip
def test_a_manifest_of_videos_stays_in_its_folder(place, file):
    suite = load_suite("static")
    (place / "list.jsonl").write_text(json.dumps({"case": suite.cases[0].id, "file": file}) + "\n")
    with pytest.raises(UserError, match="leaves the folder"):
        matching.by_manifest(place / "list.jsonl", suite)


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/b.safetensors", "..", 3])
def test_an_index_of_weights_names_files_beside_it(place, name):
    file = place / "model.safetensors.index.json"
    file.write_text(json.dumps({"weight_map": {"weight": name}}))
    with pytest.raises(UserError, match="file beside it"):
        layout.shards(file)
