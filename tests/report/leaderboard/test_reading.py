"""What was sent: each fault has its reason, and nothing is dropped or ranked in silence."""

import json
import os
from dataclasses import asdict, replace

import pytest
from sent_records import changed, make_record, of_row, with_table

from ivgbench.errors import UserError
from ivgbench.report.leaderboard import reading
from ivgbench.report.leaderboard.verifying import fault_of
from ivgbench.store.records import SEAL, seal


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sent").mkdir()
    return tmp_path / "sent"


def reason(folder):
    (only,) = reading.read_all([folder])
    return only.reason


def sealed(path, data):
    data = {name: value for name, value in data.items() if name != SEAL}
    path.write_text(json.dumps({**data, SEAL: seal(data)}), encoding="utf-8")


def test_a_sound_record_is_read_as_it_was_written(folder):
    made = make_record()
    (folder / "by-me").mkdir()
    made.save(folder / "by-me" / "mine.record.json")
    (one,) = reading.read_all([folder])
    assert one.name == "by-me/mine.record.json" and one.reason == "" and one.counts == (24, 24)
    assert one.record.clips == made.clips and one.record.by == "me"


def test_a_content_that_is_sent_twice_counts_once(folder):
    for name in ("b.json", "a.json"):
        make_record().save(folder / name)
    make_record(run="other").save(folder / "c.json")
    assert [(one.name, one.reason) for one in reading.read_all([folder])] == [
        ("a.json", ""), ("b.json", "the same record as a.json"), ("c.json", ""),
    ]  # fmt: skip


def test_a_number_that_was_changed_breaks_the_seal(folder):
    make_record().save(folder / "x.json")
    text = (folder / "x.json").read_text()
    (folder / "x.json").write_text(text.replace('"nfe":20.0', '"nfe":2.0', 1))
    assert reason(folder).startswith("broken seal: it was changed after it was written")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[1]", "not a record of a run"),
        (b'"text"', "not a record of a run"),
        (b"{}", "not a record of a run"),
        (b'{"a": NaN}', "NaN is not finite"),
        (b'{"a": 1, "a": 2}', "'a' is given twice"),
        (b"[" * 100_000, "nested deeper"),
        (b'{"a": "\\ud800"}', "half a character"),
        (b"\xff\xfe\x00", "UTF-16"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "digits"),
        (b'{"record_sha256": "x"}', "broken seal"),
    ],
)
def test_what_is_no_record_has_its_reason(folder, content, told):
    (folder / "x.json").write_bytes(content)
    assert told in reason(folder) and str(folder) not in reason(folder) and "\n" not in reason(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"record_version": 1}, "a record of version 1, which does not say how its clips were sampled"),
        ({"record_version": 99}, "a record of version 99"),
        ({"surprise": 1}, "unknown field 'surprise'"),
        ({"clips": []}, "it has no clips"),
        ({"clips": {}}, "clips must be a list"),
        ({"backbone": None}, "which backbone made the clips"),
        ({"backbone": {"name": "pocket", "weights": ""}}, "which backbone made the clips"),
        ({"backbone": {"name": ["pocket"], "weights": {}}}, "which backbone made the clips"),
        ({"detector": ""}, "which detector"),
        ({"suites": {}}, "no checksum of the suite 'pocket-static'"),
        ({"sampling": []}, "does not say how its clips were sampled"),
        ({"sampling": [{"steps": 20}, {"steps": 40}]}, "sampled in 2 ways"),
        ({"table": []}, "its clips make a table of 6 rows, and it states another of 0"),
    ],
)
def test_a_sealed_file_that_is_no_sound_record_has_its_reason(folder, change, told):
    sealed(folder / "x.json", {**json.loads(json.dumps(asdict(make_record()))), **change})
    assert told in reason(folder)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (changed(status="failed: out of memory", values={}), "partial: 16 of 24 clips are scored"),
        (changed(status="missing"), "partial: 16 of 24 clips are scored"),
        (changed(values={"miou": 5.0}), "miou is 5, out of 0 to 1"),
        (changed(values={"nfe": -1.0}), "nfe is -1, out of 0 to inf"),
        (changed(values={"miou": "0.5"}), "'miou' must be a number, got '0.5'"),
        (changed(values={"miou": 10**400}), "'miou' must be a number"),
        (changed(values={"miou": True}), "'miou' must be a number"),
        (changed(seed=2**70), "is out of range"),
        (changed(case="case-00"), "is there 4 times"),
        (changed(label=""), "a row needs a label"),
        (changed(label="Ground Truth"), "called like a reference"),
        (changed(label="mask-norm"), "of two methods"),
        (lambda clip: replace(clip, options={"of": clip.case}), "of two sets of options"),
        (lambda clip: replace(clip, values={"nfe": 20.0}), "partial: 16 of 24 clips are scored"),
    ],
)
def test_clips_that_cannot_be_ranked_have_their_reason(change, told):
    whole = make_record()
    assert fault_of(whole) == ""
    assert told in fault_of(replace(whole, clips=tuple(map(of_row("plain", change), whole.clips))))


def test_a_row_that_lacks_a_case_is_partial():
    whole = make_record()
    lacking = with_table(replace(whole, clips=tuple(clip for clip in whole.clips if clip != whole.clips[0])))
    assert fault_of(lacking) == (
        "partial: row 'plain' has 7 of 8 clips; the first that it lacks is suite pocket-static, case case-00, seed 0"
    )


def test_clips_that_do_not_give_the_stated_table():
    whole = make_record()
    row = {**whole.table[0], "miou_all": whole.table[0]["miou_all"] + 1}
    told = fault_of(replace(whole, table=(row, *whole.table[1:])))
    assert told.startswith("its clips do not give the table that it states: miou_all of 'plain' (static) is")
    for strange in (None, "1", [1], {}):
        assert "stated" in fault_of(replace(whole, table=({**row, "miou_all": strange}, *whole.table[1:])))
    assert "states another" in fault_of(replace(whole, table=({**row, "label": ["x"]}, *whole.table[1:])))


def test_links_folders_and_large_files_are_not_read(folder, monkeypatch):
    make_record().save(folder.parent / "secret.json")
    (folder / "a.json").symlink_to(folder.parent / "secret.json")
    (folder / "b.json").mkdir()
    os.mkfifo(folder / "c.json")
    (folder / "d.json").write_text("{" + " " * 100 + "}")
    monkeypatch.setattr(reading, "MAX_BYTES", 50)
    told = {one.name: one.reason for one in reading.read_all([folder])}
    assert told["a.json"] == "a link to a file; send the file itself" and told["c.json"] == "not a file"
    assert "a record may have" in told["d.json"] and "b.json" not in told


def test_texts_are_on_one_line_and_not_endless(folder):
    made = make_record(by="a\nb\u202ec\0" + "x" * 5000)
    made.save(folder / "x.json")
    (one,) = reading.read_all([folder])
    assert one.reason == "" and one.record.by.startswith("a\\nb\\u202ec\\x00xxx")
    assert len(one.record.by) == reading.MAX_TEXT and one.record.by.isprintable()


def test_no_folder_and_no_record_are_told(folder):
    with pytest.raises(UserError, match=r"there is no record \(\*.json\) in"):
        reading.read_all([folder])
    with pytest.raises(UserError, match="there is no folder"):
        reading.read_all([folder / "none"])


def test_the_same_name_in_two_folders_is_two_records(tmp_path):
    for place, run in (("one", "a"), ("two", "b")):
        make_record(run=run).save(tmp_path / place / "x.json")
    sent = reading.read_all([tmp_path / "one", tmp_path / "two", tmp_path / "one"])
    assert [(one.name, one.record.run, one.reason) for one in sent] == [("x.json", "a", ""), ("x.json (2)", "b", "")]
