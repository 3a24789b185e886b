"""What settings are called in print, told from resolved options alone."""

from dataclasses import replace

import pytest
from fake_lab import FakeLab

from ivgbench.generator import settings
from ivgbench.generator.sampling import Sampling
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.settings_text import describe
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec

FILE = {
    settings.ANY: {
        "peekaboo": {"paper": {"frozen_steps": 4}, "released": {"frozen_steps": 2}},
        "trailblazer": {"paper": {}, "released": {"spatial_strengthen": 0.125}},
    },
    "pocket": {
        "peekaboo": {"tuned": {"frozen_steps": 12, "without": ["temporal"]}, "tuned-mask-norm": {"frozen_steps": 6}},
        "trailblazer": {"tuned": {}},
    },
}


@pytest.fixture(autouse=True)
def file(monkeypatch):
    monkeypatch.setattr(settings, "_file", lambda: FILE)


def told(method, options, backbone="pocket"):
    lab = Lab("cpu")
    return describe(backbone, lab.resolve(method, options), lab.resolve)


@pytest.mark.parametrize(
    ("method", "options", "name"),
    [
        ("peekaboo", {"frozen_steps": 12, "without": ["temporal"]}, "tuned"),
        ("peekaboo", {"frozen_steps": 12, "without": ("temporal",), "scope": "official"}, "tuned"),
        ("peekaboo", {}, "paper"),  # the same as its defaults here
        ("peekaboo", {"frozen_steps": 2}, "released"),
        ("peekaboo", {"frozen_steps": 6}, "tuned-mask-norm"),
        ("peekaboo", {"scope": "paper"}, "paper + scope=paper"),
        ("peekaboo", {"frozen_steps": 12}, "tuned + without=none"),
        ("peekaboo", {"frozen_steps": 3, "scope": "paper"}, "paper + frozen_steps=3, scope=paper"),
        ("peekaboo", {"frozen_steps": 3, "scope": "paper", "bind": "own-words", "words": "place"}, "custom"),
        ("trailblazer", {}, "tuned"),
        ("tid", {"gamma": 0.5}, "defaults + gamma=0.5"),
        ("plain", {}, "–"),
    ],
)
def test_settings_are_called_by_what_they_are(method, options, name):
    assert told(method, options).name == name


def test_on_another_backbone_nothing_is_tuned():
    assert told("peekaboo", {"frozen_steps": 12, "without": ["temporal"]}, "zeroscope").name == (
        "paper + frozen_steps=12, without=[temporal]"
    )


def test_one_line_says_what_they_are_and_how_they_differ_from_the_release():
    line = told("peekaboo", {"frozen_steps": 12, "without": ["temporal"]}).about
    assert line == "frozen_steps=12, without=[temporal]; released: frozen_steps=2, without=none"
    assert told("peekaboo", {"frozen_steps": 2}).about == "frozen_steps=2"
    assert told("trailblazer", {}).about == (
        "the method's defaults, the same as paper; released: spatial_strengthen=0.125"
    )
    assert told("tid", {}).about == "the method's defaults" and told("plain", {}).about == ""


def test_names_are_resolved_before_hashing(tmp_path):
    spelled = {"frozen_steps": 12, "without": ["temporal"], "scope": "official"}
    ways = [
        (MethodSpec("peekaboo"), None),
        (MethodSpec("peekaboo", settings="tuned"), "paper"),
        (MethodSpec("peekaboo"), "tuned"),
        (MethodSpec("peekaboo", spelled), "defaults"),
        (MethodSpec("peekaboo", spelled, settings="released"), None),
    ]
    entries = []
    for one, name in ways:
        spec = RunSpec("r", (one,), suites=("static",), cases=1, sampling=Sampling(2), settings=name)
        entries += make_plan(spec, Lab("cpu")).entries
    assert len({entry.job.id for entry in entries}) == 1
    assert {(entry.settings, entry.about) for entry in entries} == {tuple(told("peekaboo", spelled))}
    other = make_plan(
        RunSpec("r", (MethodSpec("peekaboo"),), cases=1, sampling=Sampling(2), settings="paper"), Lab("cpu")
    )
    assert other.jobs[0].id != entries[0].job.id and other.jobs[0].changed == {}


def test_a_spec_says_settings_for_all_and_for_each(tmp_path):
    text = 'name = "x"\nsettings = "paper"\nmethods = ["tid", { method = "peekaboo", settings = "tuned" }]\n'
    (tmp_path / "a.toml").write_text(text)
    spec = load_spec(tmp_path / "a.toml")
    assert [spec.settings_of(one) for one in spec.methods] == ["paper", "tuned"]
    plain = replace(spec, settings=None, methods=(MethodSpec("tid"),))
    assert plain.named_by_content("x").name == replace(plain, name="y").named_by_content("x").name
    assert plain.named_by_content("x").name != replace(plain, settings="defaults").named_by_content("x").name


def test_a_manifest_keeps_what_a_row_was_set_to(tmp_path):
    lab = FakeLab(tmp_path / "log")
    spec = RunSpec("r", (MethodSpec("peekaboo"),), suites=("static",), cases=1, ground_truth=True)
    records = [entry.record() for entry in make_plan(spec, lab).entries]
    assert [one["settings"] for one in records] == ["–", "tuned"]
    assert "frozen_steps=12" in records[1]["about"]
