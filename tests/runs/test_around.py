"""A method around another one: its settings, what its row is called, what its job is named by, what it costs."""

import pytest
from fake_lab import FakeLab

from ivgbench.errors import UserError
from ivgbench.generator import around, settings
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import Sampling
from ivgbench.report import paper
from ivgbench.report.printed import print_label
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.settings_text import describe
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec

FILE = {
    settings.ANY: {"peekaboo": {"paper": {"frozen_steps": 3}, "released": {"frozen_steps": 2}},
                   "freeinit": {"released": {"rounds": 5}}},
    "pocket": {"peekaboo": {"tuned": {"frozen_steps": 10}}},
    "mine": {"peekaboo": {"tuned": {"frozen_steps": 9, "scope": "paper"}}, "freeinit": {"tuned": {"rounds": 2}}},
}  # fmt: skip


@pytest.fixture
def file(monkeypatch):
    monkeypatch.setattr(settings, "_file", lambda: FILE)


def jobs(*methods, lab=None, **spec):
    return make_plan(
        RunSpec("r", methods, suites=("static",), cases=1, sampling=Sampling(2), **spec), lab or Lab("cpu")
    ).entries


def test_options_of_the_method_inside_are_spelled_in_two_ways():
    pairs = {"rounds": 3, "base": "tid", "base_options": {"gamma": 0.5}}
    flat = {"rounds": 3, "base": "tid", "base.gamma": 0.5}
    assert around.flat(pairs) == around.flat(flat) == flat and around.gathered(flat) == pairs
    assert around.flat({"rounds": 3, "base_options": None}) == {"rounds": 3}
    assert around.flat(pairs | {"base.gamma": 0.1})["base.gamma"] == 0.1


@pytest.mark.parametrize(
    ("backbone", "name", "rounds", "frozen"),
    [
        ("pocket", None, 5, 10),
        ("pocket", "tuned", 5, 10),
        ("pocket", "paper", 5, 3),
        ("pocket", "released", 5, 2),
        ("pocket", "defaults", 5, 4),
        ("mine", None, 2, 9),
        ("mine", "paper", 2, 3),
        ("mine", "defaults", 5, 4),
        ("zeroscope", None, 5, 4),
    ],
)
def test_the_method_inside_starts_from_its_own_settings(file, backbone, name, rounds, frozen):
    config = settings.resolve(backbone, "freeinit", name, {"base": "peekaboo"})
    assert (config.rounds, config.inner.frozen_steps) == (rounds, frozen)
    own = settings.resolve(backbone, "freeinit", name, {"base": "peekaboo", "base.frozen_steps": 1, "rounds": 4})
    assert (own.rounds, own.inner.frozen_steps) == (4, 1)
    mapped = settings.resolve(backbone, "freeinit", name, {"base": "peekaboo", "base_options": {"frozen_steps": 1}})
    assert mapped.inner.frozen_steps == 1


def test_settings_that_neither_has_are_refused(file):
    with pytest.raises(UserError, match=r"'freeinit\+peekaboo' has no settings 'papr' on pocket; it has tuned, paper"):
        settings.resolve("pocket", "freeinit", "papr", {"base": "peekaboo"})
    with pytest.raises(UserError, match="'freeinit' has no settings 'tuned' on pocket; it has defaults, released"):
        settings.resolve("pocket", "freeinit", "tuned")
    with pytest.raises(
        UserError, match=r"no part 'bos'.*\(settings 'tuned' have rounds=2, base.frozen_steps=9, base.sc"
    ):
        settings.resolve("mine", "freeinit", None, {"base": "peekaboo", "base.without": ["bos"]})


def test_settings_are_called_by_what_both_are_set_to(file):
    def told(options):
        lab = Lab("cpu")
        return describe("pocket", settings.resolve("pocket", "freeinit", None, options, lab.resolve), lab.resolve)

    name, about = told({"base": "peekaboo", "rounds": 3})
    assert name == "tuned + rounds=3"
    assert about == "rounds=3, base=peekaboo, base.frozen_steps=10; released: rounds=5, base.frozen_steps=2"
    assert told({"base": "peekaboo", "base.frozen_steps": 2}).name == "released"
    assert told({}).name == "released" and told({"fast": True}).name == "released + fast=true"


def test_a_job_is_named_by_all_that_is_inside(file, monkeypatch):
    plain, (entry,) = jobs(MethodSpec("peekaboo"))[0], jobs(MethodSpec("freeinit", {"base": "peekaboo"}))
    job = entry.job
    assert job.options.items() >= {"rounds": 5, "base": "peekaboo", **{
        f"base.{name}": value for name, value in plain.job.options.items()
    }}.items()  # fmt: skip
    # As of every job those at their default are not in its name: an option that is new tomorrow renews no id.
    assert job.identity()["options"] == {"base": "peekaboo", "base.frozen_steps": 10}
    assert job.identity()["version"] == [1, resolve("peekaboo").version]
    others = [
        jobs(MethodSpec("freeinit", {"base": "peekaboo", **more}))[0].job
        for more in ({"base.frozen_steps": 4}, {"rounds": 3}, {"base.scope": "paper"})
    ]
    others += [jobs(MethodSpec("freeinit"))[0].job, jobs(MethodSpec("freeinit", {"base": "tid"}))[0].job]
    assert len({job.id, plain.job.id, *(one.id for one in others)}) == 7
    same = jobs(MethodSpec("freeinit", {"base": "peekaboo", "base.frozen_steps": 10, "base.bind": "all-words"}))
    assert same[0].job.id == job.id
    monkeypatch.setattr(type(resolve("peekaboo")), "version", 2)
    assert jobs(MethodSpec("freeinit", {"base": "peekaboo"}))[0].job.id != job.id


def test_a_row_says_what_is_inside(tmp_path):
    (tmp_path / "a.toml").write_text(
        'name = "a"\nsuites = ["static"]\ncases = 1\nsteps = 2\nmethods = ["peekaboo", "freeinit",\n'
        '{ method = "freeinit", options = { base = "tid", "base.gamma" = 0.5 } }, { method = "freeinit", '
        'options = { base = "plain" }, label = "mine" }]\n'
    )
    entries = make_plan(load_spec(tmp_path / "a.toml"), Lab("cpu")).entries
    assert [entry.label for entry in entries] == ["peekaboo", "freeinit", "freeinit+mask-norm-tid", "mine"]
    assert entries[2].job.options["base.gamma"] == 0.5
    shown = [print_label(entry.job.method, entry.label) for entry in entries]
    assert shown == ["Peekaboo", "FreeInit", "FreeInit + Mask Norm + TID", "mine"]
    assert paper.print_name("freeinit+my-own") == "FreeInit + my-own" and paper.print_name("a+b") == "a+b"
    # A label of the user's own is no method's.
    assert print_label("peekaboo", "freeinit+peekaboo") == "freeinit+peekaboo"
    with pytest.raises(UserError, match=r"two methods are labelled 'freeinit\+peekaboo'"):
        jobs(*[MethodSpec("freeinit", {"base": "peekaboo", "rounds": n}) for n in (2, 3)], lab=FakeLab(None))


def test_words_are_refused_in_planning_by_the_method_inside(tmp_path):
    from test_lab import late

    late().save(tmp_path / "mine.jsonl")
    spec = RunSpec("m", (MethodSpec("freeinit", {"base": "peekaboo"}),), suites=(str(tmp_path / "mine.jsonl"),))
    with pytest.raises(UserError, match=r"case late: peekaboo: .* comes after them"):
        make_plan(spec, Lab("cpu"))


def test_a_plan_counts_every_round():
    spec = RunSpec(
        "r", (MethodSpec("freeinit", {"base": "tid", "rounds": 3}),), suites=("static",), cases=1, sampling=Sampling(2)
    )
    (job,) = make_plan(spec, lab := Lab("cpu")).jobs
    (inside,) = jobs(MethodSpec("tid"))
    counted = [lab.costs(spec)(one) for one in (job, inside.job)]
    assert counted[0].evaluations == 3 * counted[1].evaluations and counted[0].backward == 3 * counted[1].backward
