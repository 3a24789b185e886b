"""Where a phrase stands in a prompt, in any script and spelling."""

import pytest

from ivgbench.phrases import contains_phrase, occurrences, spelling

STANDS = [
    ("A Red Star.", "red star"),
    ("a red\u00a0star", "red star"),
    ("a red\u202fstar", "red star"),
    ("a red star", "red\u2007star"),
    ("a red \u3000\t star", "red star"),
    ("a red\u2028star", "red star"),
    ("a red star\u2029on grey", "red star"),
    ("a cafe\u0301 on a street", "café"),
    ("a café on a street", "cafe\u0301"),
    ("eine STRASSE", "straße"),
    ("eine straße", "STRASSE"),
    ("İstanbul at night", "istanbul"),
    ("istanbul at night", "İSTANBUL"),
    ("kız kulesi", "KIZ"),
    ("a re\u200bd\u00ad star", "red star"),
    ("a ❤️ on grey", "❤"),
    ("the C++ book", "c++"),
    ("लाल तारा", "तारा"),
    # without spaces between words
    ("一颗红色的星星在灰色背景上", "红色的星星"),
    ("灰色の背景に赤い星", "赤い星"),
    ("ดาวสีแดงบนพื้นหลังสีเทา", "ดาวสีแดง"),
    ("ផ្កាយក្រហមលើផ្ទៃប្រផេះ", "ផ្កាយក្រហម"),
    ("一颗red星", "red"),
    # particles follow the word
    ("회색 배경 위에 빨간 별이 있다", "빨간 별"),
    ("\u1107\u1167\u11af\u110b\u1175", "별"),
    ("AI가 그린 별", "AI"),
]
STANDS_NOT = [
    ("a starfish", "star"),
    ("seastar", "star"),
    ("star2", "star"),
    ("a red, star", "red star"),
    ("a café", "cafe"),
    ("a cafe\u0301", "cafe"),
    ("naïve", "nai"),
    ("तारा", "त"),
    ("तारा", "तार"),
    ("น้ำ", "น"),
    ("이별", "별"),
    ("straße", "s"),
    ("a star", ""),
    ("a star", "\u200b"),
    ("a star", " \u00a0"),
]


@pytest.mark.parametrize(("prompt", "phrase"), STANDS)
def test_a_phrase_is_found(prompt, phrase):
    ((first, stop),) = occurrences(prompt, phrase)
    assert spelling(prompt[first:stop]) == spelling(phrase)


@pytest.mark.parametrize(("prompt", "phrase"), STANDS_NOT)
def test_a_phrase_is_not_found(prompt, phrase):
    assert not contains_phrase(prompt, phrase)


def test_every_place_is_told_in_the_prompts_own_characters():
    prompt = "cafe\u0301, a Café and cafés"
    assert [prompt[first:stop] for first, stop in occurrences(prompt, "café")] == ["cafe\u0301", "Café"]
    assert occurrences("red  star red star", "red star") == [(0, 9), (10, 18)]


def test_one_spelling():
    assert spelling("  Red\u00a0 STAR\u200b ") == "red star"
