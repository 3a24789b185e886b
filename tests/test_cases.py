"""Cases and suite files: what is wrong is refused with its place, what is right comes back as it was."""

import json

import numpy as np
import pytest

from ivgbench import Case, Subject, load_suite
from ivgbench.cases import Suite, check_case, contains_phrase
from ivgbench.errors import UserError

PROMPT = "a red star on a grey background"


def case(
    id: str = "a",
    phrase: str = "red star",
    prompt: str = PROMPT,
    box: tuple = (0.1, 0.2, 0.5, 0.75),
    frames: int = 2,
    split: str = "static",
):
    return Case(id, prompt, (Subject(phrase, np.tile(box, (frames, 1))),), {"split": split})


def test_a_suite_comes_back_bit_for_bit(tmp_path):
    thirds = case("b", box=(1 / 3, 0.1, 2 / 3, 0.7))
    suite = Suite("s", 2, (case(), thirds), "two cases")
    suite.save(tmp_path / "s.jsonl")
    back = load_suite(tmp_path / "s.jsonl")
    assert (back.name, back.frames, back.description, back.sha256) == ("s", 2, "two cases", suite.sha256)
    assert [one.to_json() for one in back.cases] == [one.to_json() for one in suite.cases]
    np.testing.assert_array_equal(back.cases[1].subjects[0].boxes, thirds.subjects[0].boxes)


def test_boxes_given_as_lists_become_arrays():
    subject = Subject("red star", [[0, 0, 1, 1]])
    assert subject.boxes.dtype == np.float64 and subject.boxes.shape == (1, 4)
    assert case(frames=5).frames == 5 and Case("a", PROMPT, (Subject(None, None),)).frames is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (case(id="../x"), "id '../x' is not allowed"),
        (case(id="a..b"), "is not allowed"),
        (case(id=""), "is not allowed"),
        (case(id="a/b"), "is not allowed"),
        (case(id="x" * 121), "is not allowed"),
        (case(id=7), "is not allowed"),
        (case(split="x/../../../escaped"), "case a: split 'x/../../../escaped' is not allowed; use letters"),
        (case(split="a..b"), "split 'a..b' is not allowed"),
        (case(split=""), "split '' is not allowed"),
        (case(split=None), "split None is not allowed"),
        (case(prompt=" "), "prompt is empty"),
        (case(phrase="blue star"), "'blue star' is not in the prompt"),
        (case(phrase="tar"), "'tar' is not in the prompt"),
        (case(phrase=""), "no phrase"),
        (case(phrase=None), "no phrase"),
        (case(box=(0.1, 0.2, 1.5, 0.7)), "leaves the frame"),
        (Case("a", PROMPT, ()), "no subject"),
        (Case("a", PROMPT, (Subject("red star", None),)), "has no boxes"),
        (case(frames=3), "3 boxes for 2 frames"),
    ],
)
def test_a_wrong_case_is_refused_with_its_place(wrong, words):
    with pytest.raises(UserError, match="file:3") as caught:
        check_case(wrong, "file:3", frames=2)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_phrases_are_whole_words_in_any_case():
    assert contains_phrase("A Red Star.", "red star") and contains_phrase("red star", "red star")
    assert not contains_phrase("a starfish", "star") and not contains_phrase("a red, star", "red star")


def lines_of(path, tmp_path) -> list[str]:
    Suite("s", 2, (case("a"), case("b")), "").save(path)
    return path.read_text().splitlines()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda lines: lines[:-1], "1 cases with checksum"),
        (lambda lines: [lines[0], lines[1].replace("0.1", "0.11", 1), lines[2]], "damaged suite file"),
        (lambda lines: [lines[0], lines[1][:-5], lines[2]], ":2: damaged suite file: not JSON"),
        (lambda lines: lines[1:], ":1: damaged suite file: the first line"),
        (lambda lines: [], ":1: damaged suite file"),
        (lambda lines: ["[]", *lines[1:]], "the first line"),
        (lambda lines: [lines[0], lines[1], lines[1]], "'a' is used twice"),
        (lambda lines: [lines[0], lines[1].replace('"a"', '"../x"'), lines[2]], ":2: id '../x' is not allowed"),
        (lambda lines: [lines[0], lines[1].replace("static", "../x"), lines[2]], ":2: case a: split '../x' is not"),
        (lambda lines: [lines[0].replace('"s"', '"../x"'), *lines[1:]], ":1: suite '../x' is not allowed"),
        (lambda lines: [lines[0], '{"id":"a"}', lines[2]], ":2: not a case: it has no 'prompt'"),
        (lambda lines: [lines[0], "7", lines[2]], ":2: not a case"),
        (lambda lines: [lines[0], lines[1].replace('"static"', "NaN"), lines[2]], ":2: damaged suite file: NaN is not"),
        (lambda lines: [lines[0], lines[1].replace("0.1", "NaN", 1), lines[2]], "not finite"),
        (lambda lines: [lines[0], lines[1].replace("[0.1,", "[", 1), lines[2]], ":2: "),
    ],
)
def test_a_damaged_suite_file_is_refused_with_its_line(tmp_path, change, words):
    path = tmp_path / "s.jsonl"
    path.write_text("\n".join(change(lines_of(path, tmp_path))) + "\n")
    with pytest.raises(UserError) as caught:
        load_suite(path)
    assert words in str(caught.value) and str(path) in str(caught.value) and "\n" not in str(caught.value)


def write(path, header=None, case=None, ends="\n"):
    """A suite file of one case with fields changed: raw text per line."""
    lines = lines_of(path, None)[:2]
    lines[0] = lines[0].replace('"cases":2', '"cases":1')
    for number, change in enumerate((header, case)):
        for old, new in (change or {}).items():
            assert old in lines[number]
            lines[number] = lines[number].replace(old, new, 1)
    path.write_bytes((ends.join(lines) + ends).encode())
    return path


def test_every_line_end_of_unicode_may_stand_in_a_prompt(tmp_path):
    for sign in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029":
        suite = Suite("s", 2, (case(prompt=f"a red star{sign}on grey"), case("b", prompt=f"a red{sign}star")), sign)
        suite.save(tmp_path / "s.jsonl")
        back = load_suite(tmp_path / "s.jsonl")
        assert [one.prompt for one in back.cases] == [one.prompt for one in suite.cases]
        assert back.sha256 == suite.sha256 and back.description == sign


def test_marks_line_ends_and_blank_lines_do_no_harm(tmp_path):
    path = tmp_path / "s.jsonl"
    first, *others = lines_of(path, tmp_path)
    spaced = "\r\n".join(["\ufeff", first, "", "  ", *others, "", ""])
    path.write_bytes(spaced.encode())
    assert [one.id for one in load_suite(path).cases] == ["a", "b"]
    path.write_bytes(spaced.replace('"b"', '"../b"').encode())
    with pytest.raises(UserError, match=r"s\.jsonl:6: id"):
        load_suite(path)


def test_normal_forms_are_one_phrase_and_one_request_and_are_kept_as_given(tmp_path):
    apart, composed = (case(phrase=f"caf{e} noir", prompt=f"a caf{e} noir") for e in ("e\u0301", "é"))
    mixed = Case("a", apart.prompt, composed.subjects, apart.metadata)
    assert apart.content() == composed.content() == mixed.content()
    Suite("s", 2, (mixed,)).save(tmp_path / "s.jsonl")
    (back,) = load_suite(tmp_path / "s.jsonl").cases
    assert (back.prompt, back.subjects[0].phrase) == (apart.prompt, composed.subjects[0].phrase)


WRONG_HEADERS = [
    ('"frames":2', '"frames":"2"', "frames must be a whole number, got '2'"),
    ('"frames":2', '"frames":2.0', "frames must be a whole number, got 2.0"),
    ('"frames":2', '"frames":true', "frames must be a whole number"),
    ('"frames":2', '"frames":null', "frames must be a whole number"),
    ('"frames":2', '"frames":0', "frames must be at least 1"),
    ('"frames":2', f'"frames":{"9" * 400}', "2 boxes for 9999"),
    ('"cases":1', '"cases":true', "cases must be a whole number"),
    ('"cases":1', '"cases":1.0', "cases must be a whole number"),
    ('"cases":1', '"cases":-1', "cases must be at least 0"),
    ('"cases":1', '"cases":1e999', "1e999 is not finite"),
    ('"sha256":"', '"sha256":7,"x":"', "sha256 must be a text"),
    ('"suite":"s"', '"suite":["s"]', "suite ['s'] is not allowed"),
    ('"description":""', '"description":{}', "description must be a text"),
    ('"description":""', '"description":"\\ud800"', "description: \\ud800 is half a character"),
    ('"suite":"s"', '"suite":"s","suite":"t"', "'suite' is given twice"),
]
WRONG_CASES = [
    ('"prompt":"a red', '"prompt":"a \\ud83d red', "prompt: \\ud83d is half a character"),
    ('"phrase":"red', '"phrase":"\\udc00 red', "subjects[0].phrase: \\udc00 is half a character"),
    ('"id":"a"', '"id":"a\\ud800"', "id: \\ud800 is half a character"),
    ('"split":"static"', '"split":"static","by":["\\ud800"]', "metadata.by[0]: \\ud800 is half a character"),
    ('"prompt":"a red star', '"prompt":7,"x":"', "prompt must be a text, got 7"),
    ('"phrase":"red star"', '"phrase":7', "subjects[0].phrase must be a text, got 7"),
    ('"phrase":"red star"', '"words":"red star"', "subjects[0] has no 'phrase'"),
    ('"metadata":{', '"metadata":[],"x":{', "metadata must be an object, got []"),
    ('"split":"static"', '"split":' + "[" * 90 + "]" * 90, "nested deeper"),
    ('"subjects":[', '"subjects":{},"x":[', "subjects must be a list, got {}"),
    ('"subjects":[', '"subjects":["star"],"x":[', "subjects[0] must be an object, got 'star'"),
    ("[0.1,0.2", '["0.1",0.2', "subjects[0].boxes[0] is ['0.1', 0.2"),
    ("[0.1,0.2", "[true,0.2", "subjects[0].boxes[0] is [True, 0.2"),
    ("[0.1,0.2", "[null,0.2", "write four numbers"),
    ("[0.1,0.2", "[[0.1],0.2", "write four numbers"),
    ("[0.1,0.2", f"[{'9' * 400},0.2", "a number is too large"),
    ("[0.1,0.2", "[1e999,0.2", "1e999 is not finite"),
    ('"boxes":[', '"boxes":"none","x":[', "subjects[0].boxes must be a list, got 'none'"),
    ('"boxes":[', '"boxes":[],"x":[', "0 boxes for 2 frames"),
]


@pytest.mark.parametrize(
    ("number", "old", "new", "words"),
    [(n + 1, *one) for n, kind in enumerate((WRONG_HEADERS, WRONG_CASES)) for one in kind],
)
def test_a_field_of_the_wrong_kind_is_one_line_with_its_place(tmp_path, number, old, new, words):
    path = write(tmp_path / "s.jsonl", **{("header", "case")[number - 1]: {old: new}})
    with pytest.raises(UserError) as refused:
        load_suite(path)
    said = str(refused.value)
    assert words in said and "\n" not in said and len(said) < 800
    assert f"s.jsonl:{number}: " in said or "9999" in said  # what does not fit the header is said of the case


def test_half_characters_are_refused_where_no_file_is_read():
    for one in (case(prompt="a red star \udcff"), case(phrase="red \udcff", prompt="a red \udcff star")):
        with pytest.raises(UserError, match="is half a character"):
            check_case(one, "generate")


def test_a_file_that_is_not_there_or_not_text_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="cannot read the suite"):
        load_suite(tmp_path / "none.jsonl")
    (tmp_path / "b.jsonl").write_bytes("{}".encode("utf-16"))
    with pytest.raises(UserError, match="cannot read the suite"):
        load_suite(tmp_path / "b.jsonl")


def test_metadata_changes_a_suites_checksum_but_not_a_cases_content():
    plain, other = case(), Case("a", PROMPT, case().subjects, {"split": "dynamic"})
    assert plain.content() == other.content()
    assert Suite("s", 2, (plain,)).sha256 != Suite("s", 2, (other,)).sha256
    assert json.loads(json.dumps(plain.to_json())) == plain.to_json()


def test_what_a_subject_lacks_is_not_taken_for_something():
    subject = Subject("red star", np.zeros((2, 4)))
    assert subject.words == "red star" and subject.track is subject.boxes
    with pytest.raises(ValueError, match="no phrase"):
        _ = Subject(None, None).words
    with pytest.raises(ValueError, match="no boxes"):
        _ = Subject(None, None).track
