"""Estimates: what is counted is added up right, and what is published and assumed turns into hours."""

import pytest

from ivgbench.errors import UserError
from ivgbench.generator.cost import Cost
from ivgbench.runs import estimates
from ivgbench.runs.estimates import GPUS, Gpu, Row
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec

from fake_lab import FakeLab  # isort: skip

SPEC = RunSpec("r", (MethodSpec("plain"), MethodSpec("tid")), cases=2, ground_truth=True)


def cost(job):
    return Cost(10, 2, 100, (1, 2, 4), (16, 8)) if job.method == "plain" else Cost(20, 0, 300, (1, 2, 4), (8, 64))


def test_rows_add_up_and_leave_out_what_is_done():
    plan = make_plan(SPEC, FakeLab(None))
    done = {job.id for job in plan.jobs if job.method == "plain" and job.suite == "pocket-static"}
    truth, plain, tid = estimates.rows(plan, done, cost)
    assert truth == Row("ground-truth", 4, 0, 0, 0, 0, 0, 0)
    assert plain == Row("plain", 4, 2, 40, 8, 200, 7 + 16, 2 + 16)
    assert tid == Row("mask-norm-tid", 4, 0, 80, 0, 1200, 7 + 64, 4 + 64)
    assert estimates.total([truth, plain, tid]) == Row("total", 12, 2, 120, 8, 1400, 71, 68)


def test_a_cost_is_asked_for_once_per_kind_of_job():
    asked = []
    estimates.rows(make_plan(SPEC, FakeLab(None)), set(), lambda job: asked.append(job.label) or cost(job))
    assert asked == ["plain", "mask-norm-tid"]


def test_hours_come_from_the_published_speed_and_the_assumed_share():
    device = Gpu("x", memory=4, half=100, single=10, bfloat16=False)
    row = Row("m", 1, 0, 1, 0, int(35e12 * 3600), int(3.9e9), int(4.1e9))
    assert estimates.spelled(row, device, "float16") == ["1.00", "3.9", "4.1 !"]
    assert estimates.spelled(row, device, "float32")[0] == "10.00"
    assert estimates.spelled(row, device, "bfloat16")[0] == "10.00"
    assert estimates.spelled(row, device._replace(bfloat16=True), "bfloat16")[0] == "1.00"
    assert "35%" in estimates.caveat(device, "float16") and "100 TFLOP/s" in estimates.caveat(device, "float16")


def test_gpus_are_found_by_name():
    assert estimates.gpu("H100") is GPUS["h100"]
    with pytest.raises(UserError, match=r"unknown GPU 'a100'; known: .*a100-40gb"):
        estimates.gpu("a100")
    assert all(one.half > one.single > 0 for one in GPUS.values())
