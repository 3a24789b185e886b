"""Suites of a user's own prompts and keyframes."""

import json

import numpy as np
import pytest

from ivgbench import load_suite, suites
from ivgbench.errors import UserError
from ivgbench.suites import own

HEADER = "case,prompt,subject,frame,x0,y0,x1,y1"
CSV = f"""{HEADER}
fox,A red fox crosses a field,red fox,0,0.1,0.4,0.3,0.8
two,A cat beside a dog,cat,0,0.1,0.3,0.4,0.8
fox,,,4,0.5,0.4,0.7,0.8
two,,dog,2,0.6,0.3,0.9,0.8
two,,,4,0.6,0.1,0.9,0.6
"""
CASES = [
    {"case": "fox", "prompt": "A red fox crosses a field", "subject": "red fox",
     "keyframes": {"0": [0.1, 0.4, 0.3, 0.8], "4": [0.5, 0.4, 0.7, 0.8]}},
    {"id": "two", "prompt": "A cat beside a dog", "subjects": [
        {"subject": "cat", "keyframes": [{"frame": 0, "box": [0.1, 0.3, 0.4, 0.8]}]},
        {"phrase": "dog", "keyframes": [
            {"frame": 2, "box": [0.6, 0.3, 0.9, 0.8]}, {"frame": 4, "box": [0.6, 0.1, 0.9, 0.6]}]},
    ]},
]  # fmt: skip
YAML = """
frames: 5
cases:
- case: fox
  prompt: A red fox crosses a field
  subject: red fox
  keyframes: {0: [.1, 0.4, 3e-1, 0.8], 4: [0.5, 0.4, 0.7, 0.8]}
- case: two
  prompt: A cat beside a dog
  subjects:
  - subject: cat
    boxes: [&box [0.1, 0.3, 0.4, 0.8], *box, *box, *box, *box]
  - subject: dog
    keyframes: {2: [0.6, 0.3, 0.9, 0.8], 4: [0.6, 0.1, 0.9, 0.6]}
"""


def make(tmp_path, content, name="mine.csv", **options):
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")
    return own.make(path, **options)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("mine.csv", CSV),
        ("mine.json", json.dumps(CASES)),
        ("mine.json", json.dumps({"frames": 5, "cases": CASES})),
        ("mine.jsonl", "\n".join(map(json.dumps, CASES))),
        ("mine.yaml", YAML),
    ],
)
def test_every_format_gives_the_same_suite(tmp_path, name, content):
    suite = make(tmp_path, content, name)
    assert (suite.name, suite.frames, [case.id for case in suite.cases]) == ("mine", 5, ["fox", "two"])
    fox, two = suite.cases
    np.testing.assert_allclose(fox.subjects[0].boxes[:, 0], [0.1, 0.2, 0.3, 0.4, 0.5])
    assert [subject.phrase for subject in two.subjects] == ["cat", "dog"]
    np.testing.assert_allclose(two.subjects[0].boxes, [[0.1, 0.3, 0.4, 0.8]] * 5)
    # Held before the first keyframe, straight between the two.
    np.testing.assert_allclose(two.subjects[1].boxes[:, 1], [0.3, 0.3, 0.3, 0.2, 0.1])
    assert suite.sha256 == make(tmp_path, CSV).sha256
    path = tmp_path / "saved.jsonl"
    suite.save(path)
    assert load_suite(path).sha256 == suite.sha256


def test_frames_and_name_can_be_given(tmp_path):
    with pytest.raises(UserError, match=r"cannot be called 'My list \(1\)'.*give --name"):
        make(tmp_path, CSV, "My list (1).csv")
    path = tmp_path / "My list (1).csv"
    suite = own.make(path, "mine", 8)
    assert (suite.name, suite.frames) == ("mine", 8)
    np.testing.assert_allclose(suite.cases[0].subjects[0].boxes[4:], [[0.5, 0.4, 0.7, 0.8]] * 4)
    told = json.dumps({"name": "told", "frames": 6, "description": "of a zoo", "cases": CASES})
    suite = make(tmp_path, told, "mine.json")
    assert (suite.name, suite.frames, suite.description) == ("told", 6, "of a zoo")


def test_other_columns_travel_along_and_split_names_a_block(tmp_path):
    content = CSV.replace(HEADER, f"{HEADER},split,Place").replace("0.3,0.8\n", "0.3,0.8,static,zoo\n")
    fox, two = make(tmp_path, content).cases
    assert (fox.metadata, two.metadata) == ({"split": "static", "place": "zoo"}, {})
    case = {**CASES[0], "split": "dynamic", "metadata": {"place": "zoo", "marks": {1: 2, 10: 3}}}
    suite = make(tmp_path, json.dumps([case]), "mine.json")
    assert suite.cases[0].metadata == {"split": "dynamic", "place": "zoo", "marks": {"1": 2, "10": 3}}


def test_spreadsheets_and_decomposed_letters_do_no_harm(tmp_path):
    content = CSV.replace("red fox", "re\u0301d\u00a0fox").replace("\n", "\r\n").replace(",", ";")
    path = tmp_path / "mine.csv"
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    case = own.make(path).cases[0]
    assert (case.prompt, case.subjects[0].phrase) == ("A réd fox crosses a field", "réd fox")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("0.3,0.8\n", "300,0.8\n", ":2|the box [0.1, 0.4, 300, 0.8] is not within 0 to 1; write fractions"),
        ("0.1,0.4,0.3,0.8", "-0.1,0.4,0.3,0.8", ":2|is not within 0 to 1"),
        ("0.1,0.4,0.3,0.8", "0.3,0.4,0.1,0.8", ":2|is empty; x0 < x1"),
        ("0.1,0.4,0.3,0.8", "nan,0.4,0.3,0.8", ":2|field 'x0' must be finite"),
        ("0.1,0.4,0.3,0.8", ",0.4,0.3,0.8", ":2|field 'x0' must be a number"),
        ("red fox,0,", "red fox,0.5,", ":2|field 'frame' must be a whole number from 0, got '0.5'"),
        ("red fox,0,", "red fox,20000,", "a clip has 1 to 10000 frames"),
        ("fox,,,4,", "fox,,,0,", ":4|frame 0 of 'red fox' has a box already"),
        ("fox,,,4,", "fox,A fox,,4,", ":4|has another prompt here than in"),
        ("fox,,,4,", ",,,4,", ":4|field 'case' is empty"),
        (",red fox,0,", ",,0,", ":2|field 'subject' is empty"),
        ("A cat beside", "A cow beside", "mine.csv:3, case two|the phrase 'cat' is not in the prompt"),
        ("A red fox crosses a field", "", "mine.csv:2, case fox|field 'prompt' is empty"),
        ("two,", "t/o,", "mine.csv:3, case t/o: id 't/o' is not allowed"),
        ("case,prompt", "case,promt", "the first row names no column 'prompt' (is it 'promt'?)"),
        (CSV.partition("\n")[2], "", "there is no case in it"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place_and_remedy(tmp_path, old, new, words):
    assert old in CSV
    with pytest.raises(UserError) as fault:
        make(tmp_path, CSV.replace(old, new))
    for part in words.split("|"):
        assert part in str(fault.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"promt": "x"}, "record 1, case fox: unknown field 'promt'; did you mean 'prompt'?"),
        ({"keyframes": {"0": [0.1, 0.4, 0.3]}}, "subject 'red fox', frame 0: a box is four numbers x0, y0, x1, y1"),
        ({"keyframes": {"0": [True, 0.4, 0.3, 0.5]}}, "x0 must be a number"),
        ({"keyframes": {"first": [0.1, 0.4, 0.3, 0.8]}}, "a keyframe's frame must be a number"),
        ({"keyframes": {"0": [0.1, 0.4, 0.3, 0.8], "0.0": [0.1, 0.4, 0.3, 0.8]}}, "frame 0 has a box already"),
        ({"keyframes": [{"frame": 0}]}, "a keyframe has no 'box'"),
        ({"keyframes": [[0.1, 0.4, 0.3, 0.8]]}, "a keyframe is written {frame: 0, box: [x0, y0, x1, y1]}"),
        ({"keyframes": {}}, "no box; give at least one keyframe"),
        ({"keyframes": "0"}, "'keyframes' must be a mapping of frame: box"),
        ({"boxes": [[0.1, 0.4, 0.3, 0.8]]}, "give either 'keyframes' or 'boxes'"),
        ({"subjects": []}, "give 'subjects' as a list, or 'subject' with 'keyframes'"),
        ({"subject": 3}, "field 'subject' must be a text, got 3; put it in quotes"),
        ({"prompt": "a\ud800b"}, "lone surrogate"),
        ({"case": None}, "field 'case' must be a text"),
        ({"case": "two"}, "the case 'two' stands twice"),
        ({"metadata": [1]}, "field 'metadata' must be a mapping"),
        ({"metadata": {"a": float("nan")}}, "field 'metadata' must be plain texts and finite numbers"),
        ({"split": "a/b"}, "split 'a/b' is not allowed"),
    ],
)
def test_a_mistake_in_json_names_record_and_field(tmp_path, changes, words):
    with pytest.raises(UserError) as fault:
        make(tmp_path, json.dumps([CASES[1], {**CASES[0], **changes}][:: 1 if "case" in changes else -1]), "mine.json")
    assert words in str(fault.value) and "mine.json, record" in str(fault.value)


@pytest.mark.parametrize(
    ("about", "words"),
    [({"frames": 4}, "keyframe 4 is beyond the clip's frames 0 to 3; change it, or --frames"),
     ({"frames": "many"}, "frames must be a number"), ({"frames": 0}, "a clip has 1 to 10000 frames, not 0"),
     ({"name": "../x"}, "a suite cannot be called '../x'"),
     ({"frame": 8}, "unknown field 'frame'; did you mean 'frames'")],
)  # fmt: skip
def test_a_mistake_in_what_is_said_of_all_cases(tmp_path, about, words):
    with pytest.raises(UserError) as fault:
        make(tmp_path, json.dumps({**about, "cases": CASES}), "mine.json")
    assert words in str(fault.value) and "mine.json" in str(fault.value)


def test_a_kept_suite_is_found_by_name_and_takes_no_shipped_one(tmp_path):
    path = suites.keep(make(tmp_path, CSV))
    assert load_suite("mine").sha256 == load_suite(path).sha256
    assert suites.keep(make(tmp_path, CSV), tmp_path / "out") == tmp_path / "out" / "mine.jsonl"
    assert suites.keep(make(tmp_path, CSV), tmp_path / "other.jsonl") == tmp_path / "other.jsonl"
    for taken in ("pocket-static", "static", "imc-dynamic"):
        with pytest.raises(UserError, match=f"the name '{taken}' is taken"):
            suites.keep(own.make(tmp_path / "mine.csv", taken))


def test_the_examples_in_the_docstring_are_read(tmp_path):
    example = own.__doc__
    csv = "\n".join(line.strip() for line in example.splitlines() if line.startswith(("    case,", "    fox-1,")))
    yaml = "\n".join(line[4:] for line in example[example.index("    frames: 24") :].splitlines() if line[:4] == "    ")
    (from_csv,), (from_yaml, two) = make(tmp_path, csv).cases, make(tmp_path, yaml, "mine.yaml").cases
    assert from_csv.to_json() == from_yaml.to_json() and [s.phrase for s in two.subjects] == ["cat", "dog"]
