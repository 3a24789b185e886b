"""Facts judged on made-up samples with known answers, and the file that ships."""

from pathlib import Path

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.runs.spec import load_spec
from ivgbench.study.calibrating import LITERAL, PADDING_ONLY
from ivgbench.study.claims import Sample
from ivgbench.study.facts import DERIVED, PROBES, Fact, FactsSpec, findings, load_facts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CASES = 48


def sample(cases=CASES, spread=0.1, **rows):
    """Rows with these means; what is common to a case is a hundred times larger than what is not."""
    rng = np.random.default_rng(0)
    common = 10 * rng.normal(size=cases)
    common -= common.mean()
    noise = {row: spread * rng.normal(size=cases) for row in rows}
    values = {row: common + level + noise[row] - noise[row].mean() for row, level in rows.items()}
    weights = stats.case_weights(cases, 2000)
    draws = {row: weights @ one / cases for row, one in values.items()}
    return Sample({row: float(one.mean()) for row, one in values.items()}, draws, cases)


def fact(number=1, id="one", row="a", than=("b",), direction="higher", margin=0.0, splits=("static",), **more):
    return Fact(number, id, f"text of {id}", "source", "", "miou_all", row, than, direction, splits, margin, **more)


def found(*facts, **splits):
    spec = FactsSpec(Path("run.toml"), facts, CASES)
    return findings(spec, {("miou_all", split): one for split, one in splits.items()})


def test_a_fact_is_judged_as_a_claim_is():
    up, far, down = found(
        fact(), fact(id="two", margin=5.0), fact(id="three", direction="lower"), static=sample(a=3, b=0)
    )
    assert [one.verdict for one in (up, far, down)] == ["holds", "fails", "fails"]
    assert up.measured.startswith("static +3.0 (+3.0 to +3.0") and up.cases == CASES and up.p < 0.05
    assert up.asked == "mIoU: a above b" and far.asked == "mIoU: a less b above +5"
    assert up.comparisons[0]["difference"] == pytest.approx(3.0) and up.comparisons[0]["against"] == "b"


def test_one_case_has_no_interval():
    (one,) = found(fact(), static=sample(cases=1, a=3, b=0))
    assert one.measured.startswith("static +3.0 (one case) (1 cases on static") and one.verdict == "open"
    assert one.comparisons[0]["low"] is None and one.comparisons[0]["high"] is None


def test_all_facts_are_one_family():
    close = sample(a=0.06, b=0.0)
    assert found(fact(), static=close)[0].verdict == "holds"
    others = [fact(id=f"x{k}", row="missing") for k in range(60)]
    assert found(fact(), *others, static=close)[0].verdict == "open"


def test_against_a_number_the_value_itself_is_told():
    (one,) = found(fact(than=(95.0,)), static=sample(a=98))
    assert one.measured.startswith("static 98.0 (9") and one.asked == "mIoU: a above 95"


def test_a_bar_is_met_where_the_margin_is_reached_on_every_split():
    bar = fact(margin=5.0, bar=True, splits=("static", "dynamic"))
    (met,) = found(bar, static=sample(a=5.1, b=0, spread=3), dynamic=sample(a=9, b=0))
    assert met.met is True and met.verdict == "open"  # reached, but not shown
    (missed,) = found(bar, static=sample(a=4.9, b=0), dynamic=sample(a=9, b=0))
    assert missed.met is False
    (lower,) = found(fact(direction="lower", margin=-3.0, bar=True), static=sample(a=2, b=0))
    assert lower.met is True and lower.verdict == "holds" and lower.asked == "mIoU: a less b below +3"
    assert found(fact(direction="lower", margin=-3.0, bar=True), static=sample(a=4, b=0))[0].met is False
    assert found(fact(), static=sample(a=2, b=0))[0].met is None


def test_too_few_cases_meet_no_bar():
    (one,) = found(fact(bar=True), static=sample(cases=4, a=9, b=0))
    assert one.verdict == "open" and one.met is None and "4 cases on static, 48 are needed" in one.measured
    (one,) = found(fact(bar=True))
    assert one.verdict == "open" and one.met is None and one.measured == "miou_all is not measured on static"


def test_what_the_sources_disagree_on_is_not_used():
    unused = Fact(5, "five", "text", "sources", unused="the sources disagree")
    one, other = found(unused, fact(), static=sample(a=3, b=0))
    assert (one.verdict, one.measured, one.p) == ("not used", "the sources disagree", None)
    # It takes no place in the family.
    assert other.p == found(fact(), static=sample(a=3, b=0))[0].p


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('id = "x"\nnumber = 1\ntext = "t"\nsource = "s"\nmetric = "no"', "no metric 'no'"),
        ('id = "x"\nnumber = 1\ntext = "t"\nsource = "s"\nmetric = "miou_all"', "give direction"),
        ('id = "x"\nnumber = 1\ntext = "t"', r"fact 1 \(x\): source is missing"),
        ('id = "x"\nnumber = "1"', r"fact 1 \(x\): number must be a whole number, got '1'"),
        ('id = "x"\nnumber = true', r"fact 1 \(x\): number must be a whole number, got True"),
        ('id = "x"\nmargin = nan', r"fact 1 \(x\): margin must be a number, got nan"),
        ('id = "x"\nthan = "plain"', r"fact 1 \(x\): than must be a list of texts or numbers, got 'plain'"),
        ('id = "x"\nthan = [true]', r"fact 1 \(x\): than must be a list of texts or numbers"),
        ('id = "x"\nbar = 1', r"fact 1 \(x\): bar must be true or false, got 1"),
        ('id = "x"\nmargins = 1', r"fact 1 \(x\): unknown field 'margins'"),
        ('id = "x"\nnumber = 1\ntext = "t"\nsource = "s"\nunused = "why"\nbar = true', "leave out metric and bar"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, word):
    (tmp_path / "f.toml").write_text(f'run = "r.toml"\n[[facts]]\n{text}\n')
    with pytest.raises(UserError, match=word):
        load_facts(tmp_path / "f.toml")


@pytest.mark.parametrize("text", ['run = "r.toml"', 'run = "r.toml"\nfacts = 3', "run = 4\n[[facts]]\nid = 1"])
def test_a_file_without_facts_is_refused(tmp_path, text):
    (tmp_path / "f.toml").write_text(text)
    with pytest.raises(UserError, match=r"f\.toml"):
        load_facts(tmp_path / "f.toml")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("cases = 0", "cases must be a whole number from 1, got 0"),
        ("level = 1", "level must be a number between 0 and 1, got 1"),
        ('run = " "', "run must be the file name of a run spec"),
        ('[[facts]]\nnumber = 2\nid = "x"', "two facts have the id 'x'"),
    ],
)
def test_a_file_of_facts_that_nothing_can_decide_is_refused(tmp_path, line, word):
    fact = '[[facts]]\nnumber = 1\nid = "x"'
    rest = '\ntext = "t"\nsource = "s"\nunused = "why"\n'
    head, text = ("", f"{fact}{rest}{line}{rest}") if line.startswith("[") else (line, fact + rest)
    run = "" if line.startswith("run") else 'run = "r.toml"\n'
    (tmp_path / "f.toml").write_text(f"{run}{head}\n{text}")
    with pytest.raises(UserError, match=word):
        load_facts(tmp_path / "f.toml")


def test_the_committed_facts_fit_their_run():
    spec = load_facts(BENCHMARKS / "calibration.toml")
    run = load_spec(spec.run)
    labels = {one.label or one.method for one in run.methods}
    assert labels >= {PADDING_ONLY, *LITERAL, "plain", "masks-alone", "mask-norm"} and run.ground_truth
    for one in spec.used():
        if one.metric not in PROBES:
            assert {one.row, *(row for row in one.than if isinstance(row, str))} <= labels, one.id
        assert one.source and (one.metric not in (*PROBES, *DERIVED) or one.why)
    assert {one.number for one in spec.facts} >= set(range(1, 16))
    assert [one.number for one in spec.facts if one.unused] == [5]
    bars = {one.id: one.margin if isinstance(one.than[0], str) else one.than[0] for one in spec.facts if one.bar}
    assert list(bars.values()) == [8, 5, -3, -3, 8, 95, 95]
    assert spec.cases == 48 and not any("report" in suite or "claims" in suite for suite in run.suites)
