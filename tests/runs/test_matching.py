"""Which file is of which case: by its name or a manifest, never by a guess; and what is not used is named."""

import json
import os
import unicodedata

import numpy as np
import pytest

from ivgbench.cases import Case, Subject, Suite
from ivgbench.errors import UserError
from ivgbench.runs.matching import by_manifest, by_name

LONG = "A red fox crosses a wide and snowy field " * 8


def suite_of(**prompts):
    """A suite with a case per name: its prompt."""
    boxes = np.tile([0.1, 0.1, 0.4, 0.5], (8, 1))
    return Suite("mine", 8, tuple(Case(name, text, (Subject("fox", boxes),)) for name, text in prompts.items()))


def match(tmp_path, suite, *names):
    """(what was matched as {(case, sample): file name}, unused as {file: why}, faults)."""
    for name in names:
        (tmp_path / name).write_bytes(b"")
    return told(by_name(tmp_path, suite))


def told(found):
    files = {place: ", ".join(path.name for path in paths) for place, paths in found.files.items()}
    return files, dict(found.unused), found.faults


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("fox-7.mp4", ("fox-7", 0)),  # an id, whatever it ends with
        ("fox-7-0.mp4", ("fox-7", 0)),
        ("fox-7-12.MKV", ("fox-7", 12)),
        ("FOX-7.mp4", ("fox-7", 0)),
        ("A fox runs..mp4", ("fox-7", 0)),
        ("A fox runs.-0.mp4", ("fox-7", 0)),
        ("A fox runs-4.mp4", ("fox-7", 4)),
        ("a_fox_runs_-3.mp4", ("fox-7", 3)),
        ("A fox  runs.mp4", ("fox-7", 0)),
        ("A fox runs.mp4", ("fox-7", 0)),
        ("A cat's - odd - 1_2 look-1.mp4", ("cat", 1)),
        ("A cats odd 12 look-1.mp4", ("cat", 1)),
        (unicodedata.normalize("NFD", "Un café et un fox-2.mp4"), ("café", 2)),
        (unicodedata.normalize("NFC", "Un café et un fox.mp4"), ("café", 0)),
        (f"{LONG[:180]}-0.mp4", ("long", 0)),
        (f"{LONG[:180]}.mp4", ("long", 0)),
        (f"{LONG[:100].replace(' ', '_')}-3.mp4", ("long", 3)),
        ("狐狸跑-1.mp4", ("han", 1)),
    ],
)
def test_a_name_that_means_one_case(tmp_path, name, place):
    suite = suite_of(**{
        "fox": "A dog", "fox-7": "A fox runs.", "cat": 'A cat\'s "odd" 1/2 look?', "café": "Un cafe\u0301 et un fox",
        "long": LONG.strip(), "han": "狐狸跑。", "symbols": "?!",
    })  # fmt: skip
    assert match(tmp_path, suite, name) == ({place: name}, {}, {})


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("stranger.mp4", "no case of mine is called so"),
        ("fox-seven.mp4", "no case of mine is called so"),
        ("fox-20240101.mp4", "no case of mine is called so"),
        ("-0.mp4", "no case of mine is called so"),
        ("!?.mp4", "no case of mine is called so"),
        (f"{LONG[:80]}.mp4", "no case of mine is called so"),
        ("notes.txt", "no video by its ending"),
        ("._fox.mp4", "hidden"),
        (".fox.mp4", "hidden"),
    ],
)
def test_a_file_that_is_not_used_says_why(tmp_path, name, why):
    suite = suite_of(fox="A fox runs", long=LONG, symbols="?!")
    files, unused, _ = match(tmp_path, suite, "fox.mp4", name)
    assert files == {("fox", 0): "fox.mp4"} and unused == {name: why}


def test_folders_and_broken_links_are_named_too(tmp_path):
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "fox.mp4").write_bytes(b"")
    (tmp_path / "fox.mp4").symlink_to(tmp_path / "nowhere.mp4")
    files, unused, _ = match(tmp_path, suite_of(fox="A fox runs"))
    assert files == {} and unused == {
        "static": "a folder: only a manifest can name the files in it",
        "fox.mp4": "a broken link",
    }


def test_two_cases_of_one_prompt_are_told_apart_by_id_only(tmp_path):
    suite = suite_of(a="A fox runs", b="A fox runs", c="A cat sits")
    names = ["A fox runs-0.mp4", "A fox runs-1.mp4", "A cat sits.mp4", "b.mp4"]
    files, unused, faults = match(tmp_path, suite, *names)
    assert files == {("c", 0): "A cat sits.mp4", ("b", 0): "b.mp4"}
    assert set(unused) == set(names[:2]) and "ambiguous, it could be of a, b" in unused[names[0]]
    # Sample 1 is expected of no case, since no file is surely one. Case b has its own file all the same.
    assert faults == {(case, 0): "A fox runs-0.mp4 is ambiguous: it could be of a, b" for case in "ab"}


@pytest.mark.parametrize("name", ["walk.mp4", "walk-3.mp4", "WALK.mp4"])
def test_a_prompt_that_is_another_cases_id_is_ambiguous(tmp_path, name):
    suite = suite_of(walk="A fox runs", other="Walk", third="x")
    files, unused, _ = match(tmp_path, suite, name, "third.mp4", "third-3.mp4")
    assert {place[0] for place in files} == {"third"} and "it could be of other, walk" in unused[name]


def test_the_stricter_way_counts(tmp_path):
    suite = suite_of(one="A fox runs", two="a fox runs", three="A fox, runs")
    names = ["A fox runs.mp4", "a fox runs-0.mp4", "A fox, runs.mp4", "A FOX RUNS.mp4", "A_fox_runs.mp4"]
    files, unused, _ = match(tmp_path, suite, *names)
    assert files == {("one", 0): names[0], ("two", 0): names[1], ("three", 0): names[2]}
    assert "one, two:" in unused[names[3]] and "one, three, two:" in unused[names[4]]
    # Ids: letter for letter before any letter case, the whole name before a name with its number.
    suite = suite_of(**{"a": "x", "A": "y", "a-1": "z"})
    assert match(tmp_path, suite, "a.mp4", "A-2.mp4", "a-1.mp4")[0] == {
        ("a", 0): "a.mp4", ("A", 2): "A-2.mp4", ("a-1", 0): "a-1.mp4",
    }  # fmt: skip


def test_cut_names_of_two_prompts_are_ambiguous(tmp_path):
    suite = suite_of(one=LONG + "one", two=LONG + "two", three="x")
    _, unused, _ = match(tmp_path, suite, f"{LONG[:180]}-0.mp4", "three.mp4")
    assert "it could be of one, two" in unused[f"{LONG[:180]}-0.mp4"]


def test_several_files_of_one_case_are_one_too_many(tmp_path):
    names = ["fox.mp4", "fox-0.mkv", "A fox runs-0.webm"]
    found = by_name(tmp_path, suite_of(fox="A fox runs")) if match(tmp_path, suite_of(fox="A fox runs"), *names) else 0
    assert sorted(path.name for path in found.files["fox", 0]) == sorted(names)
    assert found.notes() == [f"not used, several files for fox: 3: {', '.join(sorted(names))}"]


def test_samples_are_those_that_any_case_has(tmp_path):
    suite = suite_of(fox="A fox runs", cat="A cat sits")
    match(tmp_path, suite, "fox-0.mp4", "fox-3.mp4", "cat.mp4")
    assert by_name(tmp_path, suite).samples() == [0, 3]
    assert by_name(tmp_path, suite_of(dog="x")).samples() == [0]


def test_a_file_name_of_any_bytes_can_be_told(tmp_path):
    (tmp_path / b"fo\xff.mp4".decode("utf-8", "surrogateescape")).write_bytes(b"")
    (note,) = by_name(tmp_path, suite_of(fox="A fox runs")).notes()
    assert note.encode() and "fo\\udcff.mp4" in note


# ---- manifests


def manifest(tmp_path, text, name="m.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("m.csv", "case,file\nfox,deep/one.mp4\ncat,two.bin\n"),
        ("m.csv", "\ufeffCase;File\r\nfox;deep\\one.mp4\r\ncat;./two.bin\r\n"),
        ("m.jsonl", '{"case": "fox", "file": "deep/one.mp4"}\n{"id": "cat", "file": "two.bin", "sample": 0}\n'),
        ("m.json", json.dumps([{"case": "fox", "file": "deep/one.mp4"}, {"case": "cat", "file": "two.bin"}])),
    ],
)
def test_a_manifest_says_what_names_do_not(tmp_path, name, text):
    (tmp_path / "deep").mkdir()
    for file in ("deep/one.mp4", "two.bin", "cat.mp4", "deep/cat.mp4"):
        (tmp_path / file).write_bytes(b"")
    found = by_manifest(manifest(tmp_path, text, name), suite_of(fox="A fox runs", cat="A cat sits"))
    assert told(found) == ({("fox", 0): "one.mp4", ("cat", 0): "two.bin"}, {}, {})


def test_a_manifest_names_samples_and_what_it_leaves_out(tmp_path):
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("one.mp4", "two.mp4", "left.mp4"):
        (videos / name).write_bytes(b"")
    text = "case,file,sample\nfox,one.mp4,1\nfox,two.mp4,2\nfox,none.mp4,3\ndog,one.mp4,\ncat,one.mp4,\ncat,two.mp4,0\n"
    found = by_manifest(manifest(tmp_path, text), suite_of(fox="A fox runs", cat="A cat sits"), videos)
    files, unused, faults = told(found)
    assert files == {("fox", 1): "one.mp4", ("fox", 2): "two.mp4", ("cat", 0): "one.mp4, two.mp4"}
    assert found.samples() == [0, 1, 2, 3]
    assert list(faults) == [("fox", 3)] and faults["fox", 3].endswith("m.csv:4: there is no file none.mp4")
    assert unused["left.mp4"] == "the manifest does not name it"
    assert ("one.mp4", "mine has no case 'dog'") in found.unused
    assert ("one.mp4", "several files for cat") in found.unused


def test_a_sample_may_be_called_by_its_seed(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"")
    found = by_manifest(manifest(tmp_path, "case,file,seed\nfox,a.mp4,42\n"), suite_of(fox="A fox runs"))
    assert told(found) == ({("fox", 42): "a.mp4"}, {}, {})


def test_a_pipe_is_no_video_and_no_broken_link(tmp_path):
    os.mkfifo(tmp_path / "fox.mp4")
    assert match(tmp_path, suite_of(fox="A fox runs"), "x.txt")[1]["fox.mp4"] == "no file"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("case,file\nfox,../x.mp4\n", "m.csv:2: the path '../x.mp4' leaves the folder"),
        ("case,file\nfox,deep/../../x.mp4\n", "leaves the folder"),
        ("case,file\nfox,..\\x.mp4\n", "leaves the folder"),
        ("case,file\nfox,/etc/passwd\n", "leaves the folder"),
        ("case,file\nfox,C:\\x.mp4\n", "leaves the folder"),
        ("case,file\nfox,\\\\server\\x.mp4\n", "leaves the folder"),
        ('{"case": "fox", "file": "\\ud800.mp4"}', "m.jsonl:1: '\\ud800.mp4' is no file's name"),
        ("case,file\nfox,\n", "m.csv:2: a record has case and file"),
        ("case,path\nfox,x.mp4\n", "m.csv:2: a record has case and file"),
        ("case,file,sample\nfox,x.mp4,first\n", "m.csv:2: sample must be a number"),
        ("case,file,seed\nfox,x.mp4,1e300\n", "m.csv:2: sample must be at most 18446744073709551615"),
    ],
)
def test_a_manifest_that_leaves_its_folder_or_lacks_a_field_is_refused(tmp_path, text, words):
    with pytest.raises(UserError) as fault:
        name = "m.jsonl" if text.startswith("{") else "m.csv"
        by_manifest(manifest(tmp_path, text, name), suite_of(fox="A fox runs"))
    assert words in str(fault.value)


def test_a_missing_folder_is_one_line(tmp_path):
    for call in (by_name, lambda folder, suite: by_manifest(manifest(tmp_path, "case,file\n"), suite, folder)):
        with pytest.raises(UserError, match="there is no such folder"):
            call(tmp_path / "nobody", suite_of(fox="A fox runs"))
