"""A job's id: pinned, changed by everything that changes pixels, and by nothing else."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ivgbench import Case, Subject
from ivgbench.generator.backbones import presets
from ivgbench.generator.sampling import NAMES, PLAIN, Sampling
from ivgbench.registry import METHODS
from ivgbench.runs.identity import IDENTITY_VERSION, Job
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec
from ivgbench.texts import read_toml

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DDIM = Sampling(scheduler="ddim")


def job(**changes) -> Job:
    case = Case("a", "a red star on a grey background", (Subject("red star", np.tile([0.1, 0.2, 0.5, 0.75], (2, 1))),))
    options, changed = {"gamma": 0.1, "window": (0, 4), "kappa": 10.0}, {"gamma": 0.1, "window": (0, 4)}
    sampling = Sampling(20, 6.0, "ddim", size=(48, 80)).over(PLAIN)
    sampling = replace(sampling, **{name: changes.pop(name) for name in NAMES if name in changes})
    base = Job(case, "mask-norm-tid", options, changed, 1, "pocket", "w" * 64, sampling, 0)
    return replace(base, **changes)


def test_the_id_is_pinned():
    # These literals must not be changed. If the identity's layout has to change, raise IDENTITY_VERSION and add a line.
    assert {2: "867e9db2b3a547ca01fa"}[IDENTITY_VERSION] == job().id


@pytest.mark.parametrize(
    "change",
    [
        {"method": "mask-norm-id"},
        {"changed": {"gamma": 0.2, "window": (0, 4)}},
        {"version": 2},
        {"backbone": "zeroscope"},
        {"weights": "v" * 64},
        {"size": (64, 64)},
        {"size": None},
        {"steps": 21},
        {"guidance_scale": 6.5},
        {"scheduler": "checkpoint"},
        {"negative_prompt": "blurred"},
        {"prompt_suffix": ", high quality"},
        {"dtype": "float16"},
        {"lora": "l" * 64},
        {"seed": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_pixels_changes_the_id(change):
    assert job(**change).id != job().id


def test_the_case_counts_by_its_content_only():
    case = job().case
    same = Case("another-id", case.prompt, case.subjects, {"split": "static"})
    moved = Case("a", case.prompt, (Subject("red star", case.subjects[0].boxes + 0.01),))
    renamed = Case("a", case.prompt, (Subject("star", case.subjects[0].boxes),))
    assert job(case=same).id == job().id
    assert len({job().id, job(case=moved).id, job(case=renamed).id}) == 3


def test_how_a_run_shows_a_job_is_not_in_its_id():
    assert job(source="/somewhere/pocket", lora_file="a.pt").id == job().id


def test_equal_values_of_different_python_types_are_one_id():
    assert job(guidance_scale=6).id == job(changed={"window": [0, 4], "gamma": 0.1}).id == job().id


def test_an_option_that_is_new_and_at_its_default_renews_no_id():
    assert job(options={**job().options, "brand_new": None}).id == job().id


@pytest.mark.parametrize("name", ["pocket", "snapshot", "table1", "official", "claims-run", "calibration-run"])
def test_a_specs_jobs_are_sampled_as_it_is_written(name):
    """The identity's own words, from the file's tables: a method's, else the run's, else the backbone's."""
    path = BENCHMARKS / f"{name}.toml"
    written = read_toml(path, "the run spec")
    preset = presets.PRESETS[written["backbone"]]
    none = {"negative_prompt": "", "prompt_suffix": "", "dtype": "float32", "scheduler": "ddim"}
    none |= {"steps": preset.steps, "guidance_scale": preset.guidance}
    rows = {one if isinstance(one, str) else one.get("label", one["method"]): one for one in written["methods"]}
    spec = replace(load_spec(path), cases=1, ground_truth=False)
    found = {entry.label: entry.job.identity() for entry in make_plan(spec, Lab("cpu"), dry=True).entries}
    assert len(found) == len(rows)
    for label, own in rows.items():
        own = {} if isinstance(own, str) else own
        asked = {key: own.get(key, written.get(key, default)) for key, default in none.items()}
        asked["scheduler"] = None if asked["scheduler"] == "checkpoint" else asked["scheduler"]
        identity = found[METHODS.aliases().get(label, label)]
        assert {key: identity[key] for key in none} == asked
        assert identity["size"] == (None if preset.height is None else (preset.height, preset.width))


def test_a_runs_name_by_content_is_what_it_was_before_its_sampling_was_one_value():
    named = RunSpec("run", (MethodSpec("tid"),)).named_by_content("run").name
    assert named == "run-d1ff5949" == RunSpec("r", (MethodSpec("tid"),), sampling=DDIM).named_by_content("run").name
    other = MethodSpec("tid", {"gamma": 0.2}, sampling=Sampling(3))
    asked = RunSpec("run", (other,), sampling=Sampling(4, scheduler="dpm", dtype="float16"), lora="x")
    assert asked.named_by_content("run").name == "run-bfb811cd"
    assert RunSpec("r", (other,), sampling=Sampling(size=(64, 64))).named_by_content("run").name != named
