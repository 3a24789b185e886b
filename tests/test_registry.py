"""Names: aliases, helpful errors, plugins, and nothing imported before it is asked for."""

import sys
from importlib.metadata import EntryPoint

import pytest

from ivgbench import registry
from ivgbench.errors import UserError
from ivgbench.registry import DETECTORS, METHODS, Registry


def test_methods_and_their_aliases():
    assert METHODS.names()[:6] == ["plain", "peekaboo", "trailblazer", "mask-norm", "mask-norm-id", "mask-norm-tid"]
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


def plugin(monkeypatch, name: str) -> None:
    point = EntryPoint(name, "math:sqrt", "ivgbench.things")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == "ivgbench.things" else [])


def test_a_plugin_adds_a_name(monkeypatch):
    plugin(monkeypatch, "root")
    things = Registry("thing", {"colour": "colorsys:rgb_to_hsv"})
    assert things.names() == ["colour", "root"] and things.get("root")(9) == 3


@pytest.mark.parametrize("name", ["colour", "c"])
def test_a_plugin_cannot_take_a_built_in_name(monkeypatch, name):
    plugin(monkeypatch, name)
    with pytest.raises(UserError, match=f"'{name}', which is taken"):
        Registry("thing", {"colour": "colorsys:rgb_to_hsv"}, {"c": "colour"}).names()
