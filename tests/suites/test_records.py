"""Records of users' files: every format, the places that errors name, and what is refused instead of half read."""

import pytest

from ivgbench.errors import UserError
from ivgbench.suites import records

CSV = "case,prompt\na,one\nb,two\n"


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return records.read(path)


def refusal(tmp_path, name, content) -> str:
    with pytest.raises(UserError) as fault:
        read(tmp_path, name, content)
    assert name in str(fault.value)
    return str(fault.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.csv", CSV),
        ("x.CSV", "\ufeff" + CSV.replace("\n", "\r\n")),
        ("x.csv", "\n" + CSV.replace(",", ";") + ";\n\n"),
        ("x.tsv", CSV.replace(",", "\t")),
        ("x.csv", " Case ,PROMPT\na, one\nb,two,\n"),
        ("x.json", '[{"case": "a", "prompt": "one"}, {"case": "b", "prompt": "two"}]'),
        ("x.json", '\ufeff{"cases": [{"case": "a", "prompt": "one"}, {"case": "b", "prompt": "two"}]}'),
        ("x.jsonl", '{"case": "a", "prompt": "one"}\r\n\n{"case": "b", "prompt": "two"}'),
        ("x.yaml", "- {case: a, prompt: one}\n- {case: b, prompt: two}\n"),
        ("x.yml", "cases:\n- &first\n  case: a\n  prompt: one\n- <<: *first\n  case: b\n  prompt: two\n"),
    ],
)
def test_every_format_gives_the_same_records(tmp_path, name, content):
    about, found = read(tmp_path, name, content)
    assert about == {} and [one.value for one in found] == [
        {"case": "a", "prompt": "one"},
        {"case": "b", "prompt": "two"},
    ]


def test_places_are_lines_where_there_are_lines(tmp_path):
    _, rows = read(tmp_path, "x.csv", 'case,prompt\n\na,"one\nover two lines"\nb,two\n')
    assert [row.where.rpartition(":")[2] for row in rows] == ["3", "5"] and "\n" in rows[0].value["prompt"]
    # Other separators of lines are letters of a text.
    _, lines = read(tmp_path, "x.jsonl", '{"prompt": "a\u2028b\u0085c"}\n\n{"prompt": "d"}')
    assert [one.where.rpartition(":")[2] for one in lines] == ["1", "3"]
    about, named = read(tmp_path, "x.yaml", "frames: 8\ncases: [{case: a}, {case: b}]")
    assert about == {"frames": 8} and named[1].where.endswith("x.yaml, record 2")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.txt", "", "unknown ending '.txt'; one of .csv"),
        ("x.csv", "case,prompt\na,one, two\n", ":2: 3 fields, but 2 columns; put a prompt with ',' in quotes"),
        ("x.csv", "case,Case\n", "two columns are called 'case'"),
        ("x.csv", 'case,prompt\na,"one\n', ":2: not CSV"),
        ("x.csv", "case\n\xe4".encode("latin-1"), "not UTF-8 (byte 5); save it as UTF-8"),
        ("x.json", CSV.encode("utf-16"), "not UTF-8"),
        ("x.json", '[{"case": "a",\n "case": "b"}]', "the key 'case' stands twice"),
        ("x.json", '[\n{"case": }]', "not JSON (Expecting value, line 2"),
        ("x.json", '{"case": "a"}', "neither a list of records nor a mapping with such a list under 'cases'"),
        ("x.json", "[" * 100_000, "not usable JSON"),
        ("x.jsonl", '{"case": "a"}\n{"case"\n', ":2: not JSON"),
        ("x.yaml", "- case: a\n  case: b\n", ":2: not YAML: the key 'case' stands twice"),
        ("x.yaml", "- case: [a\n", "not YAML"),
        ("x.yaml", "- !!python/object/apply:os.system [true]\n", "not YAML"),
        ("x.yaml", "- &a [*a]\n", "more than 1000000 values once its aliases are written out"),
        ("x.yaml", "- 2024-13-45\n", "not usable YAML"),
        ("x.yaml", "[" * 20_000, "not usable YAML"),
    ],
)
def test_what_cannot_be_read_whole_is_refused(tmp_path, name, content, words):
    assert words in refusal(tmp_path, name, content)


def test_aliases_that_multiply_are_refused_before_they_are_written_out(tmp_path):
    layers = "".join(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]\n" for n in range(1, 12))
    assert "once its aliases are written out" in refusal(tmp_path, "bomb.yaml", "- &l0 [lol]\n" + layers)


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.csv: cannot read it: No such file"):
        records.read(tmp_path / "none.csv")


@pytest.mark.parametrize("value", [3, 3.0, "3", " 3.0 ", "3e0"])
def test_whole_numbers_in_any_spelling(value):
    assert records.whole(value, "frame") == 3


@pytest.mark.parametrize("value", [True, None, "", "0,5", [1], -1, 0.5, "nan", float("inf"), 10**400, "1" * 5000])
def test_other_values_are_no_whole_number(value):
    with pytest.raises(UserError, match=r"^frame must be") as fault:
        records.whole(value, "frame")
    assert len(str(fault.value)) < 120


def test_texts_are_composed_and_trimmed():
    assert records.text_of(" cafe\u0301\u00a0au lait ", "prompt") == "café au lait"
    for value, words in ((3, "must be a text, got 3; put it in quotes"), (" \t", "is empty"), ("a\ud800", "surrogate")):
        with pytest.raises(UserError, match=words):
            records.text_of(value, "prompt")


def test_only_digits_are_a_whole_number_in_yaml(tmp_path):
    """YAML 1.1 has octal, hexadecimal and base 60: a case called 007 would be called 7, and its files 007.mp4."""
    content = "- [007, 0x10, 1_0, 1:30, 0b1, 08]\n- [0, 7, -3, +12, 10]\n"
    texts, numbers = (record.value for record in read(tmp_path, "a.yaml", content)[1])
    assert texts == ["007", "0x10", "1_0", "1:30", "0b1", "08"] and numbers == [0, 7, -3, 12, 10]
