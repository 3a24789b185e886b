"""Prompts, keyframes, released boxes and manifests of other people: a sound suite with a report, or one line."""

import json

import pytest
import yaml
from damage import anything_json, anything_written, as_json, damaged, edited, hard_json
from generated import answer, holds_for
from hypothesis import strategies as st
from test_any_suite import sound

from ivgbench import load_suite
from ivgbench.cases import Suite
from ivgbench.runs.matching import by_manifest, by_name
from ivgbench.suites import imc, own, peekaboo, trailblazer
from ivgbench.suites.imports import Rejected, mend

BOX, LAST = [0.1, 0.4, 0.35, 0.8], [0.6, 0.4, 0.95, 0.8]
OWN = {
    "frames": 4, "name": "mine", "description": "d",
    "cases": [
        {"case": "fox-1", "prompt": "A red fox on snow", "subject": "red fox", "keyframes": {"0": BOX, "3": LAST}},
        {"case": "two", "prompt": "A cat beside a dog", "split": "static", "metadata": {"n": 1}, "subjects": [
            {"subject": "cat", "keyframes": [{"frame": 0, "box": BOX}]}, {"subject": "dog", "boxes": [LAST] * 4}]},
    ],
}  # fmt: skip
ROWS = [
    ["case", "prompt", "subject", "frame", "x0", "y0", "x1", "y1"],
    ["fox-1", "A red fox on snow", "red fox", "0", "0.05", "0.4", "0.35", "0.8"],
    ["fox-1", "", "", "3", "0.65", "0.4", "0.95", "0.8"],
    ["two", "A cat and a dog", "cat", "0", "0.1", "0.1", "0.5", "0.5"],
    ["two", "", "dog", "0", "0.5", "0.5", "0.9", "0.9"],
]
RELEASED = [
    {"id": 1, "caption": "a dog runs", "subject": "dog", "bboxes": [BOX, [0, 0, 0, 0], LAST], "ext": "x"},
    {"id": "b7", "caption": "a cat naps", "subject": "Cat", "bboxes": [BOX] * 5},
]
IMC = [
    {"id": 3, "caption": "A cat naps.", "subject": "cat", "bboxes": [BOX] * 16,
     "metadata": {"bounding_box_size": "small", "aspect_ratio": "square", "motion": "stationary"}},
]  # fmt: skip
CONFIG = {
    "keyframe": [{"frame": 0, "bbox_ratios": BOX, "prompt": "A dog runs"}, {"frame": 4, "bbox_ratios": LAST}],
    "token_inds": [2],
}
TOGETHER = {"multisubs": {"prompt": "A dog runs, a cat sits", "subjects": [CONFIG, "/x/Cat.0000.pt"]}}
MANIFEST = [{"case": "pocket-static-00", "file": "a.mp4"}, {"case": "pocket-static-01", "file": "b.mkv", "sample": 1}]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def suite():
    static = load_suite("static")
    return Suite(static.name, static.frames, static.cases[:3])


def as_yaml(value) -> bytes:
    return yaml.safe_dump(value, allow_unicode=True).encode("utf-8", "replace")


def as_csv(rows) -> bytes:
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "replace")


def as_lines(records) -> bytes:
    return b"\n".join(map(as_json, records if isinstance(records, list) else [records]))


def named(suffix: str, contents):
    """(a file's ending, its bytes)."""
    return st.tuples(st.just(suffix), contents)


hard_yaml = st.sampled_from(
    [b"", b"a: &a [*a]", b"a: !!python/object:os.system x", b"[" * 5000, b"- " * 3000, b"a: 2020-13-45", b"\t- x",
     b"a: 1\na: 2", b"&x {<<: *x}", b"cases: .nan", b"? [a]\n: b", b"x: " + b"1" * 5000,
     b"%YAML 9.9\n---\n", b"\xef\xbb\xbfframes: 2", b"\xff"]
)  # fmt: skip
written_rows = st.text(st.characters(codec="utf-8", exclude_characters=',\n"'), max_size=10)
numbers_written = st.sampled_from(["-1", "1e999", "nan", "0,5", "1" * 5000, "2", ".5", "1_0", "٣", "3.0", "0x2", ""])


def made(folder, name: str, data: bytes, frames=None):
    (folder / name).write_bytes(data)
    sound(answer(own.make, folder / name, None, frames), folder)


def test_the_examples_are_whole(folder):
    for name, data in (("a.json", as_json(OWN)), ("a.yaml", as_yaml(OWN)), ("a.csv", as_csv(ROWS))):
        (folder / name).write_bytes(data)
        assert [case.id for case in own.make(folder / name).cases] == ["fox-1", "two"]
    (folder / "r.json").write_bytes(as_json(RELEASED))
    assert len(peekaboo.read("davis", folder / "r.json", 4)[0].cases) == 2
    (folder / "Dog.yaml").write_bytes(as_yaml(CONFIG))
    assert len(trailblazer.read([folder / "Dog.yaml"], 4)[0].cases) == 1


@holds_for(edited(OWN), st.sampled_from(["json", "yaml"]), st.one_of(st.none(), st.integers(-1, 6)))
def test_edited_prompts_and_keyframes(folder, value, suffix, frames):
    made(folder, f"own.{suffix}", as_json(value) if suffix == "json" else as_yaml(value), frames)


@holds_for(st.one_of(
    named("json", st.one_of(damaged(as_json(OWN)), hard_json)),
    named("yaml", st.one_of(damaged(as_yaml(OWN)), hard_yaml)),
    named("csv", damaged(as_csv(ROWS))),
    named("jsonl", edited(OWN["cases"]).map(as_lines)),
    st.tuples(st.sampled_from(["json", "yaml", "csv", "jsonl", "txt"]), st.binary(max_size=40)),
))  # fmt: skip
def test_damaged_prompts_and_keyframes(folder, file):
    made(folder, f"own.{file[0]}", file[1])


@holds_for(edited(ROWS, st.one_of(written_rows, numbers_written)))
def test_edited_rows(folder, rows):
    rows = [row if isinstance(row, list) else [row] for row in rows] if isinstance(rows, list) else [[rows]]
    made(folder, "rows.csv", as_csv(rows))


def told(answered, folder) -> None:
    """A suite and its report: every record is a case or rejected with its reason."""
    if answered is None:
        return
    suite, report = answered
    sound(suite, folder)
    rejected = {note.record for note in report.rejected}
    assert len(suite.cases) + len(rejected) == report.records
    assert len(report.counts().splitlines()) == 1 and all(note.detail for note in report.rejected)
    report.write(folder / "report.csv")


@holds_for(edited(RELEASED), st.sampled_from(list(peekaboo.ORDERS)), st.integers(1, 5))
def test_released_tracks(folder, records, kind, frames):
    (folder / "released.json").write_bytes(as_json(records))
    told(answer(peekaboo.read, kind, folder / "released.json", frames), folder)


@holds_for(st.one_of(damaged(as_json(RELEASED)), hard_json, anything_json.map(as_json)))
def test_files_that_are_no_release(folder, data):
    (folder / "released.json").write_bytes(data)
    told(answer(peekaboo.read, "ssv2", folder / "released.json", 4), folder)
    for suite in answer(lambda: list(imc.read(folder / "released.json"))) or ():
        sound(suite, folder)


@holds_for(edited(IMC))
def test_edited_imc_records(folder, records):
    (folder / "imc.json").write_bytes(as_json(records))
    for suite in answer(lambda: list(imc.read(folder / "imc.json"))) or ():
        sound(suite, folder)


@holds_for(
    st.one_of(edited(CONFIG).map(as_yaml), edited(TOGETHER).map(as_yaml), damaged(as_yaml(CONFIG)), hard_yaml),
    st.integers(1, 6),
)
def test_trailblazer_configs(folder, data, frames):
    (folder / "configs").mkdir(exist_ok=True)
    (folder / "configs" / "Cat.yaml").write_bytes(as_yaml(CONFIG))
    (folder / "configs" / "one.yaml").write_bytes(data)
    told(answer(trailblazer.read, [folder / "configs"], frames), folder)


@holds_for(
    st.lists(st.lists(st.one_of(st.floats(-2, 2), st.floats()), min_size=4, max_size=4), max_size=6), st.integers(1, 8)
)
def test_tracks_are_mended_or_rejected(track, frames):
    try:
        done, changes = mend(track, frames)
    except Rejected as reason:
        assert len(str(reason).splitlines()) == 1
        return
    assert done.shape == (frames, 4) and done.min() >= 0 and done.max() <= 1 and all(what for what, _, _ in changes)


@holds_for(st.one_of(
    named("jsonl", st.one_of(edited(MANIFEST).map(as_lines), damaged(as_lines(MANIFEST)), hard_json)),
    named("csv", damaged(b"case,file,sample\npocket-static-00,a.mp4,\npocket-static-01,b.mkv,1")),
    named("csv", st.binary(max_size=40)),
))  # fmt: skip
def test_manifests(folder, suite, file):
    path = folder / f"manifest.{file[0]}"
    path.write_bytes(file[1])
    found = answer(by_manifest, path, suite)
    if found is not None:
        ids = {case.id for case in suite.cases}
        assert all(
            case in ids and type(sample) is int and sample >= 0 for case, sample in [*found.files, *found.faults]
        )
        assert all(len(note.splitlines()) == 1 for note in found.notes())


@holds_for(
    st.lists(
        st.one_of(anything_written, st.sampled_from(["pocket-static-00", "POCKET-static-01-2", "pocket-static-02-0"])),
        max_size=4,
    )
)
def test_names_of_videos(folder, suite, stems):
    place = folder / "named"
    place.mkdir(exist_ok=True)
    for path in place.iterdir():
        path.unlink()
    for stem in stems:
        name = stem.replace("/", "_").replace("\x00", "_")[:60] + ".mp4" if stem else "_.mp4"
        (place / name.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape")).write_bytes(b"")
    found = by_name(place, suite)
    used = {path.name for paths in found.files.values() for path in paths}
    assert len(used) + len(found.unused) >= len(list(place.iterdir()))  # every file is used, or named
    assert all(len(note.splitlines()) == 1 for note in found.notes())
    assert json.dumps([case for case, _ in found.files])
