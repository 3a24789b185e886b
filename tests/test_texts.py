"""Text from outside: what is text is read as it is, what is not is one line with its place."""

import pytest

from ivgbench.errors import UserError
from ivgbench.texts import check_arguments, from_json, numbered_lines, read_json, read_text, read_toml, short

#: What Unicode or Python calls a line's end, and what is none here.
SEPARATORS = "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"


def test_lines_end_at_line_feeds_only():
    text = f"one{SEPARATORS}still one\r\n\r\n  \ntwo\rstill two\n"
    assert list(numbered_lines(text)) == [(1, f"one{SEPARATORS}still one\r"), (4, "two\rstill two")]


def test_a_byte_order_mark_is_read_over_and_nothing_else_is_changed(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffa\r\nb\u2028c\r".encode())
    assert read_text(path, "it") == "a\r\nb\u2028c\r"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("text".encode("utf-16"), "cannot read the notes: it is UTF-16"),
        ("text".encode("utf-16-le"), "it is UTF-16"),
        ("text".encode("utf-32"), "it is UTF-16, or no text"),
        ("one\ntwo caf\xe9".encode("latin-1"), "a.txt:2: cannot read the notes: byte 0xe9 is not UTF-8"),
        (b"\xed\xa0\xbd", "a.txt:1: cannot read the notes: byte 0xed"),
    ],
)
def test_what_is_not_utf_8_is_said_with_its_line(tmp_path, data, words):
    path = tmp_path / "a.txt"
    path.write_bytes(data)
    with pytest.raises(UserError) as refused:
        read_text(path, "the notes")
    assert words in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["none.txt", ".", "a\0b"])
def test_what_cannot_be_read_is_said(tmp_path, name):
    with pytest.raises(UserError, match="cannot read the notes"):
        read_text(tmp_path / name if "\0" not in name else name, "the notes")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"a = ", "a.toml: not TOML: "),
        (b"a = 1\rb = 2", "carriage returns alone: save it with line feeds"),
        (b"a = " + b"9" * 5000, "a.toml: not TOML: a number in it has too many digits"),
        (b"a = " + b"[" * 5000, "a.toml: not TOML: it is nested too deeply"),
        ("a = 1".encode("utf-16"), "a.toml: cannot read the notes: it is UTF-16"),
    ],
)
def test_what_is_not_toml_is_one_line(tmp_path, data, words):
    path = tmp_path / "a.toml"
    path.write_bytes(data)
    with pytest.raises(UserError) as refused:
        read_toml(path, "the notes")
    assert words in str(refused.value) and "\n" not in str(refused.value)
    path.write_bytes(b"\xef\xbb\xbfa = 1\r\nb = '\xe2\x80\xa8'\r\n")
    assert read_toml(path, "the notes") == {"a": 1, "b": "\u2028"}


def test_json_is_the_plain_value():
    assert from_json('{"a": [1, 2.5, "caf\\u00e9 \\ud83d\\ude00", null, true]}', "x") == {
        "a": [1, 2.5, "café 😀", None, True]
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ('{"a": 1}\n{', "not JSON (Extra data, line 2, column 1)"),
        ('{"a": 1}\r{}', "column 10); its lines end with carriage returns alone: save it with line feeds"),
        ('"raw \t tab"', "not JSON"),
        ("[NaN]", "NaN is not finite, and not JSON"),
        ("[-Infinity]", "-Infinity is not finite"),
        ("[1e999]", "1e999 is not finite"),
        ("[" + "9" * 5000 + "]", "has 5000 digits"),
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "'c' is given twice"),
        ("[" * 100 + "]" * 100, "nested deeper than 64 levels"),
        ("[" * 100_000 + "]" * 100_000, "nested deeper than 64 levels"),
        ('{"a":' * 80 + "1" + "}" * 80, "nested deeper than 64 levels"),
        ('{"a": ["x", "half \\ud83d"]}', "a[1]: \\ud83d is half a character"),
        ('{"half \\udc00": 1}', "a name in it: \\udc00 is half"),
        ('"\\ud800"', "x: \\ud800 is half"),
    ],
)
def test_what_is_not_plain_data_is_refused(text, words):
    with pytest.raises(UserError) as refused:
        from_json(text, "x")
    assert str(refused.value).startswith("x: ") and words in str(refused.value) and len(str(refused.value)) < 300


def test_a_json_file_is_named(tmp_path):
    (tmp_path / "a.json").write_text('\ufeff{"a": 1}')
    assert read_json(tmp_path / "a.json", "it") == {"a": 1}
    (tmp_path / "a.json").write_text("no")
    with pytest.raises(UserError, match=r"a\.json: cannot read it: not JSON"):
        read_json(tmp_path / "a.json", "it")


def test_arguments_whose_bytes_are_no_text_are_refused():
    check_arguments(["run", "--label", "café \u2028 😀"])
    with pytest.raises(UserError, match=r"the argument 'caf\\udce9' is not UTF-8"):
        check_arguments(["run", b"caf\xe9".decode(errors="surrogateescape")])


def test_values_in_messages_are_short():
    assert short("a") == "'a'" and len(short("x" * 1000)) < 70
    assert short(10**5000) == "a int too long to print"
