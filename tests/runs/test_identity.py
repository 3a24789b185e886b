"""A job's id: pinned, changed by everything that changes pixels, and by nothing else."""

from dataclasses import replace

import numpy as np
import pytest

from ivgbench import Case, Subject
from ivgbench.runs.identity import IDENTITY_VERSION, Job


def job(**changes) -> Job:
    case = Case("a", "a red star on a grey background", (Subject("red star", np.tile([0.1, 0.2, 0.5, 0.75], (2, 1))),))
    options, changed = {"gamma": 0.1, "window": (0, 4), "kappa": 10.0}, {"gamma": 0.1, "window": (0, 4)}
    base = Job(
        case, "mask-norm-tid", options, changed, 1, "pocket", "w" * 64, (48, 80), 20, 6.0, "ddim", 0
    )  # fmt: skip
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
        {"scheduler": None},
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
