"""A run as one file: the same tables as from the store, nothing changed unseen, and a layout that can be checked."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ivgbench.errors import UserError
from ivgbench.report import record, tables
from ivgbench.report.record import Clip, Record
from ivgbench.store.records import write_record
from ivgbench.store.runs import Store


@pytest.fixture
def saved(stored, tmp_path):
    made = record.of(stored[0], "table1")
    made.save(tmp_path / "mine.record.json")
    return made, tmp_path / "mine.record.json"


def test_a_record_makes_the_table_that_its_run_makes(stored, saved):
    store, rows, _, _ = stored
    made, path = saved
    assert record.load(path) == made and made.rows() == store.load_rows("table1")[0]
    assert made.manifest() == store.manifest("table1")
    frame, whole = tables.table(1, run=str(path)), tables.table(1, store.root, "table1")
    pd.testing.assert_frame_equal(frame, whole)
    assert len({row["metric"] for row in rows}) == len(made.clips[0].values)


def test_a_table_is_printed_and_written_without_what_only_frames_and_runs_need(saved, tmp_path):
    code = (
        "import sys; from ivgbench import cli\ntry: cli.main()\nexcept SystemExit as left: assert not left.code\n"
        "print(*sorted({'pandas', 'urllib.request', 'ivgbench.runs.lab', 'ivgbench.suites'} & set(sys.modules)))"
    )
    asked = [sys.executable, "-c", code, "table", "1", "--run", str(saved[1]), "--out", str(tmp_path / "out")]
    answer = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert "Mask Norm" in answer.stdout and answer.stdout.splitlines()[-1] == ""
    assert len([*(tmp_path / "out").iterdir()]) == 3


def test_a_record_says_what_its_clips_come_to(stored, saved):
    frame = tables.table(1, stored[0].root, "table1")
    for row, (_, line) in zip(saved[0].table, sorted(frame.iterrows(), key=lambda one: one[0]), strict=True):
        assert (row["split"], row["n_scored"], row["n_expected"]) == (line["split"], 8, 8)
        for column in set(row) - {"split", "label"}:
            assert (row[column] is None and pd.isna(line[column])) or row[column] == pytest.approx(line[column]), column


def test_a_record_says_how_its_clips_were_sampled_each_way_once(tmp_path):
    store, ways = Store(tmp_path), [{"steps": 20, "size": [4, 6]}, {"steps": 20, "size": [4, 6]}, {"steps": 40}, {}]
    about = {"label": "plain", "options": {}, "suite": "s", "split": "static", "seed": 0}
    jobs = []
    for at, way in enumerate(ways):
        store.save_clip(f"job{at}", np.zeros((2, 4, 6, 3), np.uint8), {"spec": {**way, "seed": at, "case": {}}})
        jobs.append({**about, "method": "plain", "job": f"job{at}", "case": f"c{at}", "score": "x"})
    drawn = [{**job, "method": method} for job, method in zip(jobs, ("ground-truth", "external"), strict=False)]
    store.save_manifest("sampled", {"jobs": jobs})
    store.save_manifest("drawn", {"jobs": drawn})
    made = record.of(store, "sampled", by="me")
    assert made.sampling == (ways[0], ways[2]) and made.by == "me" and made.table == ()
    assert record.of(store, "drawn").sampling == ()


def test_a_record_of_version_1_makes_its_table_still(stored, saved, tmp_path):
    old = {**asdict(saved[0]), "record_version": 1}
    for name in ("by", "sampling", "table"):
        del old[name]
    write_record(tmp_path / "old.json", old)
    pd.testing.assert_frame_equal(tables.table(1, run=str(tmp_path / "old.json")), tables.table(1, run=str(saved[1])))


def test_a_record_has_a_line_for_each_clip(saved):
    lines = saved[1].read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith('{"about"') or '"case":' in line for line in lines) == len(saved[0].clips) == 48


def test_metrics_of_other_packages_come_along(stored, tmp_path):
    store = Store(tmp_path / "runs")
    manifest = {
        **stored[2],
        "jobs": [],
        "metrics": [2, ["x", 2]],
        "own_metrics": [{"name": "mine", "what": "x", "needs": ["video"]}],
    }
    store.save_manifest("own", manifest)
    record.of(store, "own").save(tmp_path / "own.json")
    assert record.load(tmp_path / "own.json").manifest() == store.manifest("own")


def test_clips_that_failed_or_are_missing_say_so(tmp_path):
    store = Store(tmp_path)
    about = {"method": "plain", "label": "plain", "options": {}, "suite": "s", "split": "static", "seed": 0}
    jobs = [{**about, "job": name, "case": name, "score": f"{name}-score"} for name in ("lost", "fell")]
    store.fail("fell", "out of memory", {})
    store.save_manifest("r", {"jobs": jobs, "suites": {}})
    made = record.of(store, "r")
    assert [clip.status for clip in made.clips] == ["missing", "failed: out of memory"]
    assert made.rows() == store.load_rows("r")[0]
    assert made.sets == () and "has no FID" in made.sets_missing


def test_a_number_that_was_changed_makes_it_no_record(saved):
    _, path = saved
    text = path.read_text(encoding="utf-8")
    data = json.loads(text)
    data["clips"][0]["values"]["miou"] = 0.999
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(UserError, match="not a record of a run as it was written; make it again"):
        record.load(path)
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    with pytest.raises(UserError, match="not a record"):
        tables.table(1, run=str(path))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"record_version": 99}, "and this reads 1 and 2; it was written by a newer ivgbench: update this one"),
        ({"record_version": None}, "a record of version None"),
        ({"clips": 3}, "clips must be a list"),
        ({"clips": [3]}, "clip 1: must be a table of fields"),
        ({"runs": "x"}, "unknown field 'runs'; did you mean 'run'"),
        ({"run": 3}, "run must be a text"),
    ],
)
def test_what_is_no_record_is_refused_in_one_line(saved, change, told):
    _, path = saved
    data = {name: value for name, value in json.loads(path.read_text()).items() if name != "record_sha256"}
    write_record(path, {**data, **change})
    with pytest.raises(UserError, match=told) as refused:
        record.load(path)
    assert "\n" not in str(refused.value)


SET = {
    "reference": "world", "method": "plain", "label": "plain", "encoders": {"frames clip": "x"},
    "metrics": {"frames": {"clip": {"fid": 1.5, "kid": None}}},
    "n_videos": 4, "n_frames": 32, "n_expected": 4, "reference_videos": None, "reference_frames": 32,
}  # fmt: skip
METRIC = {"name": "glow", "what": "brightness", "needs": ["video"]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"run": " "}, "run must be a text, not an empty one"),
        ({"values": {"miou": "x"}}, "clip 1: values must be a table of numbers, or null"),
        ({"values": {"miou": [1]}}, "clip 1: values must be"),
        ({"values": {"miou": True}}, "clip 1: values must be"),
        ({"values": {"miou": 10**400}}, "clip 1: values must be"),
        ({"status": "great"}, 'clip 1: status must be "ok", "missing", or "failed: " and why'),
        ({"own_metrics": [{}]}, "own_metrics must be rows of metrics"),
        ({"own_metrics": [{**METRIC, "needs": ["luck"]}]}, "own_metrics must be"),
        ({"own_metrics": [{**METRIC, "decimals": 99}]}, "own_metrics must be"),
        (
            {"own_metrics": [{**METRIC, "name": "miou"}]},
            "own_metrics must be rows of metrics that are no built-in ones",
        ),
        ({"sets": [{}]}, "sets must be rows of FID, KID and JEDi"),
        ({"sets": [{**SET, "metrics": {"frames": {"clip": {"fid": "x"}}}}]}, "sets must be"),
        ({"sets": [{**SET, "n_videos": None}]}, "sets must be"),
        ({"sets": [{**SET, "encoders": {"frames clip": 3}}]}, "sets must be"),
    ],
)
def test_what_no_table_can_be_made_of_is_refused_with_its_field(saved, change, told):
    """Sealed, so that nothing but its fields tells."""
    _, path = saved
    data = {name: value for name, value in json.loads(path.read_text()).items() if name != "record_sha256"}
    for name, value in change.items():
        (data if name in Record.__dataclass_fields__ else data["clips"][0])[name] = value
    write_record(path, data)
    with pytest.raises(UserError, match=told) as refused:
        record.load(path)
    assert "\n" not in str(refused.value)


def test_what_other_packages_and_sets_bring_is_read(saved):
    _, path = saved
    data = {name: value for name, value in json.loads(path.read_text()).items() if name != "record_sha256"}
    write_record(path, {**data, "own_metrics": [METRIC], "sets": [SET]})
    made = record.load(path)
    assert made.own_metrics == (METRIC,) and made.sets == (SET,)


def test_a_terminal_is_sent_no_text_of_a_stranger_that_it_obeys(saved, tmp_path, command_line):
    data = {name: value for name, value in json.loads(saved[1].read_text()).items() if name != "record_sha256"}
    data["clips"][0] |= {"status": "failed: \x1b[31mred\u202e", "values": {}}
    write_record(tmp_path / "sent.json", data)
    code, _, err = command_line("table", 1, "--run", tmp_path / "sent.json", "--out", tmp_path)
    assert code == 2 and "failed: \\x1b[31mred\\u202e" in err and "\x1b" not in err


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match="there is no record"):
        record.load(tmp_path / "none.json")
    assert not record.is_record("table1") and not record.is_record(None)


def test_the_schema_names_every_field_with_its_text(saved):
    schema = record.schema()
    clip = schema["properties"]["clips"]["items"]
    data = json.loads(Path(saved[1]).read_text())
    assert set(data) == set(schema["properties"]) and set(data["clips"][0]) == set(clip["properties"])
    assert all(one["description"] for one in (*schema["properties"].values(), *clip["properties"].values()))
    assert "run" in schema["required"] and "sets" not in schema["required"] and "score" not in clip["required"]
    kinds = {"string": str, "integer": int, "object": dict, "array": list, "null": type(None)}
    for cls, values, shape in ((Record, data, schema), (Clip, data["clips"][0], clip)):
        for name in cls.__dataclass_fields__:
            allowed = shape["properties"][name].get("anyOf", [shape["properties"][name]])
            assert any("type" not in one or isinstance(values[name], kinds[one["type"]]) for one in allowed), name


def test_the_command_writes_it_and_the_table_reads_it(stored, tmp_path, command_line):
    path = tmp_path / "sent.json"
    code, out, _ = command_line("record", "--run", "table1", "--by", "A. Name", "--runs", stored[0].root, "-o", path)
    assert code == 0 and out.startswith(f"{path}: 48 clips") and record.load(path).by == "A. Name"
    code, out, _ = command_line("table", 1, "--run", path, "--runs", tmp_path / "nothing", "--out", tmp_path)
    assert code == 0 and (tmp_path / "table1.csv").is_file()
    assert json.loads(command_line("record", "--schema")[1])["type"] == "object"
