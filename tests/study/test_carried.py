"""What carries over between two backbones, on made-up samples with known answers."""

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.study import carried
from ivgbench.study.claims import Sample

CASES = 10


def side(name, seed, run=None, cases=CASES, spread=0.5, **rows):
    """A run of rows with these means, mIoU on static boxes."""
    rng = np.random.default_rng(seed)
    common = 10 * rng.normal(size=cases)
    noise = {row: spread * rng.normal(size=cases) for row in rows}
    values = {row: common + level + noise[row] - noise[row].mean() for row, level in rows.items()}
    weights = stats.case_weights(cases, 2000)
    draws = {row: weights @ one / cases for row, one in values.items()}
    means = {row: float(one.mean()) for row, one in values.items()}
    jobs = [
        {"suite": "static", "case": str(case), "seed": 0, "label": row.replace("_", "-")}
        for case in range(cases)
        for row in rows
    ]
    manifest = {"run": run or f"table-{name}", "jobs": jobs, "detector": "d", "clip": "c", "metrics": 1}
    named = [{row.replace("_", "-"): one for row, one in part.items()} for part in (means, draws)]
    return carried.Side(name, manifest, {("miou_all", "static"): Sample(*named, cases)})


def verdicts(*sides):
    carried.check(sides)
    return {(one["row"], one["than"]): one for one in carried.table(sides).to_dict("records")}


def test_what_is_shown_on_both_on_one_or_on_none():
    unet = side("pocket", 1, plain=0.0, peekaboo=10.0, mask_norm=10.0, mask_norm_id=20.0, mask_norm_tid=20.0)
    dit = side("pocket-dit", 2, plain=0.0, peekaboo=5.0, mask_norm=9.0, mask_norm_id=2.0, mask_norm_tid=2.0, ditraj=3.0)
    found = verdicts(unet, dit)
    told = {pair: one["verdict"] for pair, one in found.items()}
    assert told["peekaboo", "plain"] == carried.CARRIES and told["mask-norm-id", "mask-norm"] == carried.TURNS
    assert told["mask-norm-tid", "mask-norm-id"] == carried.OPEN
    assert told["mask-norm", "peekaboo"] in ("shown on pocket-dit; same sign on pocket", "shown on pocket-dit; other sign on pocket")  # fmt: skip  # noqa: E501
    assert told["ditraj", "plain"] == "on pocket-dit alone" and ("trailblazer", "plain") not in told
    one = found["peekaboo", "plain"]
    assert (one["value_0"], one["value_1"], one["change"]) == pytest.approx((10.0, 5.0, -5.0))
    assert one["change_low"] < -5 < one["change_high"] < 0 and one["cases"] == CASES


def test_the_change_is_paired_by_case():
    # The same noise on both: the effects differ by a constant, however much they vary over cases.
    rows = {"plain": 0.0, "peekaboo": 5.0}
    unet, dit = side("pocket", 1, spread=9.0, **rows), side("pocket-dit", 1, spread=9.0, **{**rows, "peekaboo": 6.0})
    one = verdicts(unet, dit)["peekaboo", "plain"]
    assert one["high_0"] - one["low_0"] > 5 and one["change_high"] - one["change_low"] == pytest.approx(0, abs=1e-6)


def test_runs_that_cannot_be_compared_are_refused():
    unet, dit = side("pocket", 1, plain=0.0), side("pocket-dit", 1, plain=0.0)
    with pytest.raises(UserError, match="both are of the backbone pocket;"):
        carried.check([unet, unet])
    with pytest.raises(UserError, match=r"cases and seeds differ \(10, 4, 4 both\)"):
        carried.check([unet, side("pocket-dit", 1, cases=4, plain=0.0)])
    with pytest.raises(UserError, match="their detectors differ"):
        carried.check([unet, dit._replace(manifest={**dit.manifest, "detector": "other"})])


def test_the_page_has_both_backbones_side_by_side():
    sides = side("pocket", 1, plain=1.0, peekaboo=11.0), side("pocket-dit", 2, plain=2.0, peekaboo=7.0, ditraj=4.0)
    page = carried.markdown(carried.table(sides), sides)
    assert "# What carries over from pocket to pocket-dit" in page and "Of 1 effects on both: carries over 1." in page
    assert "| Row | mIoU, static, pocket | mIoU, static, pocket-dit |" in page
    row = next(line for line in page.splitlines() if line.startswith("| DiTraj |"))
    assert row.split(" | ")[1] == "–"
    assert "| mIoU | static | DiTraj less Plain | – | +2.0 (" in page
