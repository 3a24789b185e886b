"""Verdicts on made-up data with known answers."""

import re
from pathlib import Path

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.study import claims_text
from ivgbench.study.agreement import Order
from ivgbench.study.claims import Claim, ClaimsSpec, Sample, judge, judge_variants
from ivgbench.study.claims_file import load_claims
from ivgbench.study.variants import ALL, READINGS, Variant

CASES = 96
ROOT = Path(__file__).resolve().parents[2]


def sample(rows, cases=CASES, spread=1.0, seed=0):
    """Rows whose means differ as told; what is common to a case is ten times larger than what is not."""
    rng = np.random.default_rng(seed)
    common = 10 * rng.normal(size=cases)
    values = {row: common + level + spread * rng.normal(size=cases) for row, level in rows.items()}
    weights = stats.case_weights(cases, 2000)
    means = {row: float(one.mean()) for row, one in values.items()}
    return Sample(means, {row: weights @ one / cases for row, one in values.items()}, cases)


def claim(row="a", than=("b",), direction="higher", margin=0.0, splits=("static",), id="one"):
    return Claim(id, "text", "paper", "m", row, than, direction, splits, margin)


def verdict(claims, **splits):
    spec = ClaimsSpec(Path("run.toml"), tuple(claims), CASES)
    return [one.verdict for one in judge(spec, {("m", split): one for split, one in splits.items()})]


def test_pairing_finds_a_difference_far_below_the_spread_of_cases():
    static = sample({"a": 1.0, "b": 0.0})
    assert verdict([claim()], static=static) == ["holds"]
    assert verdict([claim(direction="lower")], static=static) == ["fails"]
    assert verdict([claim(margin=2.0)], static=static) == ["fails"]
    assert verdict([claim(margin=-1.0, direction="lower")], static=static) == ["open"]


def test_the_best_must_beat_every_rival_on_every_split():
    rows = {"a": 2.0, "b": 0.0, "c": 1.9}
    assert verdict([claim(than=("b",))], static=sample(rows)) == ["holds"]
    assert verdict([claim(than=("b", "c"))], static=sample(rows)) == ["open"]
    assert verdict([claim(than=("b", "d"))], static=sample(rows | {"d": 3.0})) == ["fails"]
    both = claim(splits=("static", "dynamic"))
    assert verdict([both], static=sample(rows), dynamic=sample(rows)) == ["holds"]
    assert verdict([both], static=sample(rows), dynamic=sample({"a": 0.0, "b": 1.0})) == ["fails"]


def test_a_number_can_be_a_rival():
    static = Sample({"a": 5.0}, {"a": 5 + np.random.default_rng(0).normal(size=2000) * 0.1}, CASES)
    assert verdict([claim(than=(4.0,)), claim(than=(6.0,), id="two")], static=static) == ["holds", "fails"]


def test_too_few_cases_are_open_and_say_so():
    spec = ClaimsSpec(Path("run.toml"), (claim(),), CASES)
    (judged,) = judge(spec, {("m", "static"): sample({"a": 9.0, "b": 0.0}, cases=95)})
    assert judged.verdict == "open" and judged.why == "95 cases on static, 96 are needed"
    assert judged.comparisons[0].value == pytest.approx(9, abs=0.5)
    (judged,) = judge(spec, {})
    assert judged.verdict == "open" and "m is not measured on static" in judged.why
    (judged,) = judge(spec, {("m", "static"): sample({"a": 9.0})})
    assert judged.verdict == "open" and judged.why == "no row 'b'"


def study(claims, samples, orders=None, level=0.05):
    """A study of claims in the variants of made-up samples."""
    spec = ClaimsSpec(Path("run.toml"), tuple(claims), CASES, level)
    judged = judge_variants(spec, samples)
    return claims_text.Study(spec, judged, orders or {}, "claims", "pocket", CASES, 2)


def about(*than, row="plain", id="one", **more):
    return Claim(id, f"text {id}", "", "miou_all", row, than, "higher", ("static",), **more)


PAPER, LITERAL = Variant("paper", "additive"), Variant("paper", "multiplicative")


def test_the_table_has_a_verdict_with_its_difference_and_one_corrected_p_for_each_variant():
    rows = {"plain": 2.0, "peekaboo": 0.0, "mask-norm": 9.0}
    first, second = ({("miou_all", "static"): sample(one, spread=0.1)} for one in (rows, rows | {"mask-norm": 1.0}))
    made = study([about("peekaboo", "mask-norm"), about("ghost", id="two")], {PAPER: first, LITERAL: second})
    page = claims_text.markdown(made)
    table = page.split("## The verdicts")[1].split("## The numbers")[0]
    assert "| Claim | paper, additive | p | paper, multiplicative | p |" in table
    number = r"mIoU [+-]\d.\d \([+-]\d.\d to [+-]\d.\d\)"
    cells = rf"\*\*fails\*\*<br>{number}, against Mask Norm, static \| < 0.001 "
    cells += rf"\| \*\*holds\*\*<br>{number}, against Mask Norm, static \| < 0.001 \|"
    assert re.search(rf"\| text one \| {cells}\n", table)
    assert "| text two | **open** (no row 'ghost') | 1.000 | **open** (no row 'ghost') | 1.000 |" in table
    # Uncorrected p-values stand nowhere.
    assert "p for" not in page and "p against" not in page
    assert "corrected over all 4 verdicts" in page and page == claims_text.markdown(made)


@pytest.mark.parametrize(
    ("direction", "margin", "told"),
    [("higher", 1.0, " (claimed: mIoU above +1)"), ("lower", 1.0, " (claimed: mIoU below -1)"),
     ("lower", -5.0, " (claimed: mIoU below +5)"), ("higher", 0.0, "")],
)  # fmt: skip
def test_the_table_names_the_margin(direction, margin, told):
    asked = Claim("a", "text", "", "miou_all", "a", ("b",), direction, ("static",), margin)
    page = claims_text.markdown(study([asked], {ALL: {("miou_all", "static"): sample({"a": 0.2, "b": 0})}}))
    assert f"\n| text{told} | **" in page


def test_the_quotation_counts_every_variant_and_has_ten_lines():
    rows = {"plain": 2.0, "peekaboo": 0.0, "mask-norm": 9.0}
    claims = [about("peekaboo"), about("mask-norm", id="two"), about("ghost", id="three")]
    claims += [about("peekaboo", id=f"long {k} {'x' * 90}") for k in range(9)]
    here = {("miou_all", "static"): sample(rows, spread=0.1)}
    variants = [Variant(one, reading) for one in ("tuned", "paper") for reading in READINGS]
    orders = {one: [Order("miou", "static", ("a", "b"), one == variants[3], 1.0)] for one in variants}
    told = claims_text.quotation(study(claims, dict.fromkeys(variants, here), orders))
    lines = [line for line in told.splitlines() if line]
    assert len(lines) == claims_text.QUOTED_LINES
    assert lines[0].startswith(f"12 claims on the pocket lab, {CASES} cases a split, 2 seeds a case, in each variant;")
    assert "| tuned, multiplicative | 10 | 1 | 1 | 0 |" in lines
    assert lines[-3].startswith("* Holds in every variant: text one; text long 0 ") and "; and 7 more." in lines[-3]
    assert lines[-2] == "* Fails in every variant: text two."
    assert "equally many claims (10 against 10 of 12), and the readings agree with equally many ordered" in lines[-1]
    assert "the multiplicative reading agrees with more ordered pairs (1 against 0 of 1)." in lines[-1]


def quoted(path, file):
    """What stands between the quotation's marks of a file, without line breaks: [] or one text; [] without `path`."""
    if not path.is_file():
        return []
    begin, end = (re.escape(mark.format(file=file)) for mark in claims_text.QUOTE)
    found = re.findall(f"{begin}(.*?){end}", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [" ".join(re.sub("^>", "", one, flags=re.MULTILINE).split()) for one in found]


@pytest.mark.parametrize("file", ["CLAIMS.md", "CLAIMS-dit.md"])
def test_the_documentation_quotes_the_verdicts(file):
    told = quoted(ROOT / "docs" / "pocket-lab.md", file)
    assert told == quoted(ROOT / "results" / file, file) and len(told) == 1


def test_the_documentation_quotes_what_carries_over():
    said = quoted(ROOT / "docs" / "pocket-lab.md", "tables/dit/carried.md")
    assert len(said) == 1 and said[0] in (ROOT / "results" / "tables" / "dit" / "carried.md").read_text()


def test_holm_runs_over_all_claims():
    static = sample({"a": 0.4, "b": 0.0}, seed=4)
    alone = verdict([claim()], static=static)
    untestable = [claim(row="missing", id=f"x{k}") for k in range(60)]
    assert alone == ["holds"] and verdict([claim(), *untestable], static=static)[0] == "open"


def test_holm_runs_over_all_variants():
    """The same claim on the same numbers, alone and beside a variant in which many cannot be tested."""
    static = {("m", "static"): sample({"a": 0.4, "b": 0.0}, seed=4)}
    spec = ClaimsSpec(Path("run.toml"), tuple(claim(id=f"{k}") for k in range(2)), CASES)
    p = {count: judge_variants(spec, {PAPER: static} | {Variant(f"{k}"): {} for k in range(count)})
         for count in (0, 3)}  # fmt: skip
    assert p[3][PAPER][0].p == pytest.approx(4 * p[0][PAPER][0].p)
    assert {one.verdict for one in p[3][Variant("0")]} == {"open"}


def test_equal_methods_rarely_get_a_verdict():
    wrong = [verdict([claim()], static=sample({"a": 0.0, "b": 0.0}, seed=seed)) != ["open"] for seed in range(60)]
    assert np.mean(wrong) < 0.15


def test_only_the_spread_of_resamples_counts():
    """FID rises in every resample, because cases repeat."""
    draws = {row: np.random.default_rng(k).normal(5.0, 0.1, 20_000) for k, row in enumerate("ab")}
    value, error = Sample({"a": 1.0, "b": 1.2}, draws, CASES).difference("a", "b")
    assert value == pytest.approx(-0.2) and error == pytest.approx(0.1 * np.sqrt(2 * 96 / 95), rel=0.02)


GOOD = {
    "id": "'x'", "text": "'t'", "paper": "''", "metric": "'miou_all'", "row": "'a'", "than": "['b', 1]",
    "direction": "'higher'", "splits": "['static']", "margin": "1",
}  # fmt: skip


def written(tmp_path, text):
    (tmp_path / "claims.toml").write_text(text)
    return tmp_path / "claims.toml"


def test_a_whole_file_is_read_with_its_run_beside_it(tmp_path):
    lines = "\n".join(f"{name} = {value}" for name, value in GOOD.items())
    path = written(tmp_path, f"\ufeffrun = 'r.toml'\nlevel = 0.01\n[[claims]]\n{lines}\n")
    spec = load_claims(path)
    assert (spec.run, spec.level, spec.cases) == (tmp_path / "r.toml", 0.01, 96)
    assert spec.claims == (Claim("x", "t", "", "miou_all", "a", ("b", 1), "higher", ("static",), 1),)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("run = 'r.toml'\n[[claims]]\nid = 'x'\nmargn = 1", r"claim 1 \(x\): unknown field 'margn'; did you mean 'mar"),
        ("run = 'r.toml'\n[[claims]]\nid = 'x'", r"claim 1 \(x\): text is missing; it must be a text"),
        ("run = 'r.toml'\n[[claims]]\nid = 3", "claim 1: id must be a text, not an empty one, got 3"),
        ("claims = []", "run is missing"),
        ("run = 'r.toml'", "there is no claim in it"),
        ("run = 3", "run must be the file name of a run spec, got 3"),
        ("run = ''", "run must be the file name"),
        ("run = 'r.toml'\nclaims = 3", r"claims must be tables, each under a line \[\[claims\]\], got 3"),
        ("run = 'r.toml'\n[claims]\nid = 'x'", "claims must be tables"),
        ("run = 'r.toml'\nclaims = ['x']", "claim 1: must be a table of fields, got 'x'"),
        ("run = 'r.toml'\ncases = 'many'", "cases must be a whole number from 1, got 'many'"),
        ("run = 'r.toml'\ncases = true", "cases must be"),
        ("run = 'r.toml'\ncases = 0", "cases must be"),
        ("run = 'r.toml'\ncases = 1.5", "cases must be"),
        ("run = 'r.toml'\nlevel = 5", "level must be a number between 0 and 1"),
        ("run = 'r.toml'\ncontradictions = 'x'", "contradictions must be a list of texts"),
        ("run = 'r.toml'\nclaim = []", "unknown field 'claim'; did you mean 'claims'"),
        ("run = ", "not TOML"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, word):
    with pytest.raises(UserError, match=rf"claims\.toml.*{word}"):
        load_claims(written(tmp_path, text))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "3"), ("text", "''"), ("paper", "[]"), ("metric", "'iou'"), ("metric", "[]"), ("row", "1"),
        ("than", "'b'"), ("than", "[]"), ("than", "[true]"), ("than", "[nan]"), ("than", "[['b']]"),
        ("direction", "'up'"), ("splits", "'static'"), ("splits", "[]"), ("splits", "[1]"), ("margin", "'1'"),
        ("margin", "inf"), ("margin", "9" * 400), ("margin", "true"), ("margin", "2020-01-01"),
    ],
)  # fmt: skip
def test_a_mistyped_claim_is_refused(tmp_path, field, value):
    lines = "\n".join(f"{name} = {one}" for name, one in {**GOOD, field: value}.items())
    with pytest.raises(UserError, match=rf"claim 1.*: {field} must be ") as refused:
        load_claims(written(tmp_path, f"run = 'r.toml'\n[[claims]]\n{lines}\n"))
    assert "\n" not in str(refused.value)
