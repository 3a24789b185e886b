"""Claims that rest on facts: what a failed fact does to a verdict, and what stays as it was."""

from pathlib import Path

import numpy as np
import pytest

from ivgbench import calibration
from ivgbench.calibration import Calibration, Finding
from ivgbench.errors import UserError
from ivgbench.study import claims_text, resting
from ivgbench.study.claims import Claim, ClaimsSpec, Sample, judge
from ivgbench.study.claims_file import load_claims
from ivgbench.study.variants import ALL, READINGS, Variant

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def record(weights="w1", **verdicts):
    parts = [Finding(number, name, f"text of {name}", "source", "", "", verdict)
             for number, (name, verdict) in enumerate(verdicts.items(), 1)]  # fmt: skip
    return Calibration("pocket", weights, "run", 48, (0,), "command", {}, tuple(parts))


def page(spec, judged, variant=ALL, **other):
    return claims_text.markdown(claims_text.Study(spec, {variant: judged}, {}, "run", "pocket", 48, 1, **other))


def judged(*rests):
    """A claim that holds for each of the lists of facts."""
    draws = {"plain": np.full(2000, 5.0), "peekaboo": np.full(2000, 1.0)}
    claims = tuple(
        Claim(
            f"c{k}", f"claim {k}", "paper", "miou_all", "plain", ("peekaboo",), "higher", ("static",), 0.0, tuple(one)
        )
        for k, one in enumerate(rests)
    )
    spec = ClaimsSpec(Path("run.toml"), claims, 48)
    return spec, judge(spec, {("miou_all", "static"): Sample({"plain": 5.0, "peekaboo": 1.0}, draws, 48)})


def test_a_claim_that_rests_on_a_failed_fact_is_not_testable():
    _, before = judged([1], [1, 2], ["two"], [3], [])
    after = resting.rested(before, record(one="holds", two="fails", three="open"))
    assert [one.verdict for one in before] == ["holds"] * 5
    assert [one.verdict for one in after] == ["holds", "not testable here", "not testable here", "holds", "holds"]
    assert after[1].why == "fact 2 fails here: text of two" and after[2].why == "fact two fails here: text of two"
    # Numbers stay, and so does the family of the correction.
    assert [one.p for one in after] == [one.p for one in before]
    assert [one.comparisons for one in after] == [one.comparisons for one in before]


def test_the_page_names_the_fact():
    spec, before = judged([1], [2], [3])
    after = resting.rested(before, record(one="holds", two="fails", three="open"))
    told = page(spec, after)
    assert "| run | 2 | 0 | 0 | 1 |" in told
    assert "| claim 1 | **not testable here** (fact 2 fails here: text of two)<br>mIoU +4.0" in told
    assert "Rests on facts of the calibration: 3 (open)." in told and "`CALIBRATION.md`" in told
    assert "`CALIBRATION-dit.md`" in page(spec, after, calibration="CALIBRATION-dit.md")


def test_without_a_calibration_the_page_is_what_it_was():
    (spec, resting_claims), (_, free) = judged([1], [2]), judged([], [])
    told = page(spec, resting_claims)
    assert told == page(spec, free)
    assert "CALIBRATION" not in told and "**not testable" not in told
    # With one that has no say in these claims neither.
    assert page(spec, resting.rested(free, record(one="fails"))) == told


def test_a_fact_can_count_in_one_reading_alone():
    spec, before = judged([1, "two@additive", "three@multiplicative"])
    found = record(one="holds", two="holds", three="fails")
    added, multiplied = (Variant("paper", reading) for reading in ("additive", "multiplicative"))
    after = {one: resting.rested(before, found, one) for one in (added, multiplied)}
    assert [mine[0].verdict for mine in after.values()] == ["holds", "not testable here"]
    told = claims_text.markdown(claims_text.Study(spec, after, {}, "run", "pocket", 48, 1))
    each = "paper, additive: 1 (holds), two (holds); paper, multiplicative: 1 (holds), three (fails)."
    assert f"Rests on facts of the calibration: {each}" in told
    assert "| paper, additive | 1 | 0 | 0 | 0 |" in told and "| paper, multiplicative | 0 | 0 | 0 | 1 |" in told


def test_a_fact_that_was_not_calibrated_is_an_error():
    _, before = judged([9])
    with pytest.raises(UserError, match="claim 'c0', rests_on: the calibration has no fact 9; it has 1"):
        resting.rested(before, record(one="holds"))


def test_only_a_calibration_of_the_same_weights_counts(tmp_path):
    path = tmp_path / "calibration.json"
    assert resting.of_weights(path, "w1") == (None, "")
    calibration.save(path, record(one="holds"))
    found, why = resting.of_weights(path, "w1")
    assert found.verdict(1) == "holds" and why == ""
    found, why = resting.of_weights(path, "w2")
    assert found is None and "of other weights (w1, not w2)" in why


@pytest.mark.parametrize("value", ["[true]", "[1.5]", '"two"'])
def test_what_a_claim_rests_on_is_a_list_of_numbers_and_ids(tmp_path, value):
    fields = 'id = "a"\ntext = "t"\npaper = "p"\nmetric = "fid"\nrow = "x"\nthan = ["y"]\ndirection = "lower"'
    (tmp_path / "c.toml").write_text(f'run = "r.toml"\n[[claims]]\n{fields}\nrests_on = {value}\n')
    with pytest.raises(UserError, match="rests_on"):
        load_claims(tmp_path / "c.toml")


def test_the_committed_claims_rest_on_facts_that_are_calibrated():
    from ivgbench.study.facts import load_facts

    facts = load_facts(BENCHMARKS / "calibration.toml").used()
    known = {fact.number for fact in facts} | {fact.id for fact in facts}
    claims = load_claims(BENCHMARKS / "claims.toml").claims
    for variant in (Variant("paper", reading) for reading in READINGS):
        found = [resting.rests_on(claim, variant) for claim in claims]
        assert all(set(mine) <= known for mine in found) and any(found)
