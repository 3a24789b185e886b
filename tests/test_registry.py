"""Names: aliases, helpful errors, and nothing imported before it is asked for."""

import sys

import pytest

from ivgbench.errors import UserError
from ivgbench.registry import DETECTORS, METHODS, Registry


def test_methods_and_their_aliases():
    papers = ["plain", "peekaboo", "trailblazer", "mask-norm", "mask-norm-id", "mask-norm-tid"]
    assert METHODS.builtin() == [*papers, "freeinit", "freetraj", "direct-a-video", "lvd", "ditraj"]
    assert METHODS.canonical("tid") == "mask-norm-tid" and METHODS.canonical("id") == "mask-norm-id"
    assert METHODS.canonical("plain") == "plain" and "pocket" in DETECTORS.names()


@pytest.mark.parametrize(
    ("name", "hint"),
    [("peekabo", "did you mean 'peekaboo'"), ("TID", "did you mean 'tid'"), ("zzzzzz", "known: plain, peekaboo")],
)
def test_an_unknown_name_comes_with_a_hint(name, hint):
    with pytest.raises(UserError, match=f"unknown method {name!r}.*{hint}"):
        METHODS.canonical(name)


def test_objects_are_imported_on_first_use():
    sys.modules.pop("colorsys", None)
    made = Registry("thing", {"colour": "colorsys:rgb_to_hsv"})
    assert made.names() == ["colour"] and "colorsys" not in sys.modules
    assert made.get("colour")(0, 0, 0) == (0, 0, 0) and "colorsys" in sys.modules
