"""Suite files: what is saved comes back, and what is damaged is refused in one line or is a sound suite."""

import json

import numpy as np
import pytest
from damage import anything_json, anything_written, as_json, damaged, edited, hard_json
from fake_lab import FakeLab
from generated import answer, holds_for
from hypothesis import strategies as st

from ivgbench import boxes
from ivgbench.cases import Case, Subject, Suite, case_from_json, check_case, load_suite_file
from ivgbench.errors import UserError
from ivgbench.files import digest
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}", fullmatch=True)
sentences = st.text(min_size=1, max_size=20)
metadata = st.dictionaries(sentences, st.one_of(sentences, st.integers(), st.floats(allow_nan=False), st.none()))


@st.composite
def tracks(draw, frames):
    ends = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: pair[0] != pair[1]).map(sorted)
    pairs = draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=2))
    pairs = (pairs * frames)[:frames]
    return np.array([[x[0], y[0], x[1], y[1]] for x, y in pairs])


@st.composite
def suites(draw, words=sentences):
    """A suite that a program made: not checked yet."""
    frames, cases = draw(st.integers(1, 4)), []
    for _ in range(draw(st.integers(0, 3))):
        phrases = draw(st.lists(words, min_size=1, max_size=2))
        prompt = " ".join([draw(words), *phrases, draw(words)])
        subjects = tuple(Subject(phrase, draw(tracks(frames))) for phrase in phrases)
        cases.append(Case(draw(ids), prompt, subjects, draw(metadata)))
    return Suite(draw(ids), frames, tuple(cases), draw(words))


RECORDS = [
    {"id": "a", "prompt": "a red star on grey", "metadata": {"split": "static", "n": 1.5},
     "subjects": [{"phrase": "red star", "boxes": [[0.1, 0.1, 0.4, 0.5], [0.2, 0.1, 0.5, 0.5]]}]},
    {"id": "b", "prompt": "a cat\u00e9 and a dog", "metadata": {},
     "subjects": [{"phrase": "cat\u00e9", "boxes": [[0, 0, 1, 1], [0, 0, 1, 1]]},
                  {"phrase": "dog", "boxes": [[0.5, 0.5, 0.75, 0.75], [0.5, 0.5, 0.75, 0.75]]}]},
]  # fmt: skip


def whole(records=RECORDS, **header) -> list:
    """The lines of a suite file, header first, with the checksum that fits where there is one."""
    try:
        checksum = digest([case_from_json(one, "").to_json() for one in records])
    except Exception:
        checksum = "0" * 64
    return [
        {"suite": "s", "frames": 2, "cases": len(records), "sha256": checksum, "description": "", **header},
        *records,
    ]


def lines(records) -> bytes:
    return b"\n".join(as_json(one) for one in records) + b"\n"


def load(folder, data: bytes) -> Suite | None:
    (folder / "suite.jsonl").write_bytes(data)
    return answer(load_suite_file, folder / "suite.jsonl")


def sound(suite: Suite | None, folder) -> None:
    """What a loaded suite promises: names that can be files, checked cases; saved again it is the same suite."""
    if suite is None:
        return
    assert type(suite.frames) is int and isinstance(suite.description, str)
    assert len({case.id for case in suite.cases}) == len(suite.cases)
    for case in suite.cases:
        check_case(case, "", suite.frames)
        assert isinstance(case.prompt, str) and type(case.metadata) is dict
        for subject in case.subjects:
            assert subject.boxes.dtype == np.float64 and subject.boxes.shape == (suite.frames, 4)
            assert boxes.area(subject.boxes).min() >= 0
    suite.save(folder / "again.jsonl")
    same(load_suite_file(folder / "again.jsonl"), suite)


def same(one: Suite, other: Suite) -> None:
    assert (one.name, one.frames, one.description, one.sha256) == (
        other.name, other.frames, other.description, other.sha256
    )  # fmt: skip
    assert [case.to_json() for case in one.cases] == [case.to_json() for case in other.cases]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("suites")


def test_the_example_is_whole(folder):
    assert len(load(folder, lines(whole())).cases) == 2


@holds_for(suites())
def test_what_passes_the_check_comes_back_as_it_was(folder, suite):
    if any(answer(check_case, case, "made", suite.frames) is None for case in suite.cases):
        return
    if len({case.id for case in suite.cases}) < len(suite.cases) or ".." in suite.name:
        return
    suite.save(folder / "saved.jsonl")
    same(load_suite_file(folder / "saved.jsonl"), suite)


@holds_for(suites(anything_written))
def test_whatever_is_saved_is_refused_or_comes_back(folder, suite):
    def saved():
        for case in suite.cases:
            check_case(case, "made", suite.frames)
        suite.save(folder / "saved.jsonl")
        return load_suite_file(folder / "saved.jsonl")

    if again := answer(saved):
        same(again, suite)


@holds_for(damaged(lines(whole())))
def test_damaged_bytes(folder, data):
    sound(load(folder, data), folder)


@holds_for(edited(whole()))
def test_edited_records(folder, records):
    sound(load(folder, lines(records if isinstance(records, list) else [records])), folder)


@holds_for(
    edited(RECORDS),
    st.dictionaries(st.sampled_from(["suite", "frames", "cases", "description"]), anything_json, max_size=1),
)
def test_edited_records_under_a_checksum_that_fits(folder, records, header):
    sound(load(folder, lines(whole(records if isinstance(records, list) else [records], **header))), folder)


@holds_for(st.one_of(hard_json, st.binary(max_size=40), st.lists(anything_json, max_size=3).map(lines)))
def test_files_that_are_no_suites(folder, data):
    for text in (data, lines(whole()[:1]) + data, data + b"\n" + lines(whole())):
        sound(load(folder, text), folder)


@holds_for(edited(RECORDS[1]))
def test_a_case_from_any_record(folder, record):
    case = answer(case_from_json, record, "f:1")
    if case is not None and answer(check_case, case, "f:1") is not None:
        assert json.loads(json.dumps(case.to_json())) == case.to_json()


@holds_for(edited(RECORDS), dear=4)
def test_a_suite_that_loads_can_be_planned(folder, records):
    (folder / "planned.jsonl").write_bytes(lines(whole(records if isinstance(records, list) else [records])))
    spec = RunSpec("r", (MethodSpec("plain"),), suites=(str(folder / "planned.jsonl"),), detector="owlvit", clip="x")
    plan = answer(make_plan, spec, FakeLab(folder / "log"))
    if plan is not None:
        assert plan.jobs and all(len(job.id) == 20 and job.describe() for job in plan.jobs)
        assert all(entry.describe() and digest(entry.record()) for entry in plan.entries)


def test_a_property_that_fails_is_seen(folder):
    with pytest.raises(AssertionError, match="not one line"):
        answer(_refuse, " ")
    with pytest.raises(KeyError):
        answer({}.__getitem__, 1)


def _refuse(text):
    raise UserError(text)
