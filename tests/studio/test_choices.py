"""What the page can choose from is what is registered, plug-ins included, each option with its range and its doc."""

from dataclasses import dataclass
from typing import ClassVar

import pytest

from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.generator import described
from ivgbench.generator.methods.base import Method, option
from ivgbench.registry import METHODS
from ivgbench.studio import catalogue


def test_all_methods_are_there_and_those_that_do_not_fit_say_why(choices):
    told = catalogue.described(choices)
    assert [one["name"] for one in told["methods"]] == METHODS.names()
    (pocket,) = told["backbones"]
    assert set(pocket["refused"]) == {"ditraj"} and "positions" in pocket["refused"]["ditraj"]
    assert (pocket["frames"], pocket["width"], pocket["steps"]) == (8, 80, 20)
    assert set(pocket["settings"]) == set(METHODS.names()) - {"ditraj"}
    canonical_json(told)  # plain data


def test_every_option_has_its_kind_default_range_and_doc(choices):
    told = {one["name"]: one for one in catalogue.described(choices)["methods"]}
    options = {name: {one["name"]: one for one in method["options"]} for name, method in told.items()}
    gamma = options["mask-norm-tid"]["gamma"]
    assert (gamma["kind"], gamma["default"], gamma["low"], gamma["high"]) == ("number", "0.1", 0, 2)
    assert "re-noises the clean estimate" in gamma["about"]
    # Told by the class that it comes from, or together with another one, or in the middle of a line.
    assert "masks are on" in options["mask-norm-tid"]["frozen_steps"]["about"]
    assert options["mask-norm"]["norm_cross"]["about"].startswith("normalise self-attention")
    assert options["freeinit"]["order"]["about"].startswith("of the Butterworth filter")
    assert options["peekaboo"]["scope"]["choices"] == ["official", "paper"]
    assert options["mask-norm"]["norm_self"]["kind"] == "flag"
    assert options["trailblazer"]["token_indices"]["optional"]
    assert "base_options" not in options["freeinit"] and "peekaboo" in options["freeinit"]["base"]["choices"]
    lacking = [f"{name}.{one}" for name in options for one in options[name] if not options[name][one]["about"]]
    assert lacking == []


def test_the_first_settings_are_what_runs_when_nothing_is_said(choices):
    (pocket,) = catalogue.described(choices)["backbones"]
    names = [one["name"] for one in pocket["settings"]["mask-norm-tid"]]
    assert names[0] == "tuned" and "defaults" in names


@dataclass(frozen=True)
class Own(Method):
    name: ClassVar[str] = "own"
    version: ClassVar[int] = 1
    by: float = option(0.2, low=0, high=1)


def test_a_strangers_class_is_described_without_docs():
    (by,) = described.options(Own)
    assert (by.name, by.kind, by.default, by.high, by.about) == ("by", "number", 0.2, 1, "")
    assert described.summary(Own) == ""


def test_a_plug_in_that_is_broken_is_shown_with_its_reason(monkeypatch):
    names, get, canonical = METHODS.names(), METHODS.get, METHODS.canonical
    monkeypatch.setattr(METHODS, "names", lambda: [*names, "broken"])
    monkeypatch.setattr(METHODS, "plugins", lambda: ["broken"])
    monkeypatch.setattr(METHODS, "canonical", lambda name: name if name == "broken" else canonical(name))
    monkeypatch.setattr(METHODS, "called", lambda name: f"the method {name!r}")
    monkeypatch.setattr(METHODS, "get", lambda name: object if name == "broken" else get(name))
    choices = catalogue.choices(["pocket"])
    assert "is no method" in choices["pocket"].refused["broken"]
    assert catalogue.described(choices)["methods"][-1]["options"] == []


def test_a_backbone_that_is_not_here_is_refused_at_once():
    with pytest.raises(UserError, match="fetch zeroscope"):
        catalogue.choices(["zeroscope"])
    with pytest.raises(UserError, match="neither a folder"):
        catalogue.choices(["/nowhere"])
