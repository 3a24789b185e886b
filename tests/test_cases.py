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


def test_a_file_that_is_not_there_or_not_text_is_the_users_error(tmp_path):
    with pytest.raises(UserError, match="cannot read the suite"):
        load_suite(tmp_path / "none.jsonl")
    (tmp_path / "b.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot read the suite"):
        load_suite(tmp_path / "b.jsonl")


def test_metadata_changes_a_suites_checksum_but_not_a_cases_content():
    plain, other = case(), Case("a", PROMPT, case().subjects, {"split": "dynamic"})
    assert plain.content() == other.content()
    assert Suite("s", 2, (plain,)).sha256 != Suite("s", 2, (other,)).sha256
    assert json.loads(json.dumps(plain.to_json())) == plain.to_json()
