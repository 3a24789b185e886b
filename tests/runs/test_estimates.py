"""Estimates: what is counted is added up right, and what is published and assumed turns into hours."""

import pytest

from ivgbench.errors import UserError
from ivgbench.generator.cost import Cost
from ivgbench.generator.sampling import Sampling
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
    done = {one.job.id for one in plan.entries if one.label == "plain" and one.suite == "pocket-static"}
    device = Gpu("x", memory=4, half=100, single=10)
    truth, plain, tid = estimates.rows(plan, done, cost, device)
    hour = estimates.UTILISATION * 10e12 * 3600  # of operations in float32
    assert truth == Row("ground-truth", 4, 0, 0, 0, 0, 0, 0)
    assert plain == Row("plain", 4, 2, 40, 8, pytest.approx(200 / hour), 7 + 16, 2 + 16)
    assert tid == Row("mask-norm-tid", 4, 0, 80, 0, pytest.approx(1200 / hour), 7 + 64, 4 + 64)
    assert estimates.total([truth, plain, tid]) == Row("total", 12, 2, 120, 8, pytest.approx(1400 / hour), 71, 68)
    assert estimates.rows(plan, done, cost, None)[1].hours == 0


def test_halves_are_told_and_whole_numbers_have_no_point():
    row = Row("lvd", 2, 0, 51.0, 10, 0.0, 0, 0)
    assert estimates.counts(row) == ["2", "0", "51", "10"]
    assert estimates.counts(row._replace(evaluations=25.5)) == ["2", "0", "25.5", "10"]
    assert estimates.counts(estimates.total([row, row._replace(evaluations=25.5), row._replace(evaluations=10**9)]))[
        2
    ] == ("1000000076.5")


def test_methods_of_other_precision_have_their_own_speed():
    half = MethodSpec("plain", label="half", sampling=Sampling(dtype="float16"))
    spec = RunSpec("r", (MethodSpec("plain"), half), cases=1)
    whole, half = estimates.rows(make_plan(spec, FakeLab(None)), set(), cost, Gpu("x", 4, half=100, single=10))
    assert whole.hours == pytest.approx(10 * half.hours)


def test_a_cost_is_asked_for_once_per_kind_of_job():
    asked = []
    estimates.rows(make_plan(SPEC, FakeLab(None)), set(), lambda job: asked.append(job.method) or cost(job), None)
    assert asked == ["plain", "mask-norm-tid"]


def test_speed_is_the_assumed_share_of_the_published_one():
    device = Gpu("x", memory=4, half=100, single=10, bfloat16=False)
    share = estimates.UTILISATION * 1e12
    speeds = [estimates.rate(device, dtype) / share for dtype in ("float16", "float32", "bfloat16")]
    assert speeds == pytest.approx([100, 10, 10])
    assert estimates.rate(device._replace(bfloat16=True), "bfloat16") == pytest.approx(100 * share)


def test_what_does_not_fit_is_marked_and_assumptions_are_told():
    device = Gpu("x", memory=4, half=100, single=10)
    assert estimates.spelled(Row("m", 1, 0, 1, 0, 1.0, int(3.9e9), int(4.1e9)), device) == ["1.00", "3.9", "4.1 !"]
    told = estimates.caveat(device, {"float16", "float32"})
    assert "35%" in told and "100 TFLOP/s in float16 and 10 TFLOP/s in float32" in told


def test_gpus_are_found_by_name():
    assert estimates.gpu("H100") is GPUS["h100"]
    with pytest.raises(UserError, match=r"unknown GPU 'a100'; known: .*a100-40gb"):
        estimates.gpu("a100")
    assert all(one.half > one.single > 0 for one in GPUS.values())
