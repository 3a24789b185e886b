"""Verdicts on made-up data with known answers."""

import re
from pathlib import Path

import numpy as np
import pytest

from ivgbench.errors import UserError
from ivgbench.metrics import stats
from ivgbench.report import claims_text, evidence
from ivgbench.report.claims import Claim, ClaimsSpec, Sample, judge
from ivgbench.report.claims_file import load_claims

CASES = 96
ROOT = Path(__file__).resolve().parents[2]


def sample(rows, cases=CASES, spread=1.0, seed=0, centred=False):
    """Rows whose means differ as told; what is common to a case is ten times larger than what is not."""
    rng = np.random.default_rng(seed)
    common = 10 * rng.normal(size=cases)
    values = {row: common + level + spread * rng.normal(size=cases) for row, level in rows.items()}
    weights = stats.case_weights(cases, 2000)
    means = {row: float(one.mean()) for row, one in values.items()}
    return Sample(means, {row: weights @ one / cases for row, one in values.items()}, cases, centred)


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


def test_the_summary_names_the_difference_that_decides():
    rows = {"plain": 2.0, "peekaboo": 0.0, "trailblazer": 1.5, "mask-norm": 9.0}
    rivals = (("peekaboo", "trailblazer"), ("peekaboo", "mask-norm"), ("trailblazer", "ghost"))
    claims = tuple(Claim(f"{k}", f"text {k}", "", "miou_all", "plain", than, "higher", ("static",))
                   for k, than in enumerate(rivals))  # fmt: skip
    found = {("miou_all", "static"): sample(rows, spread=0.1)}
    first, *rest = claims_text.summary(judge(ClaimsSpec(Path("run.toml"), claims, CASES), found)).split("\n\n")
    assert first.startswith("Of 3 claims 1 hold, 1 fail and 1 are open")
    assert rest[::2] == ["**Holds:**", "**Fails:**", "**Open:**"]
    assert re.fullmatch(r"\* text 0 \(mIoU \+0.5, \+0.\d to \+0.\d, against TrailBlazer, static\)", rest[1])
    assert re.fullmatch(r"\* text 1 \(mIoU -7.0, .*, against Mask Norm, static\)", rest[3])
    assert rest[5] == "* text 2 (no row 'ghost')"


@pytest.mark.parametrize(
    ("direction", "margin", "told"),
    [("higher", 1.0, "; claimed: above +1)"), ("lower", 1.0, "; claimed: below -1)"),
     ("lower", -5.0, "; claimed: below +5)"), ("higher", 0.0, "static)")],
)  # fmt: skip
def test_the_summary_names_the_margin(direction, margin, told):
    asked = Claim("a", "text", "", "miou_all", "a", ("b",), direction, ("static",), margin)
    judged = judge(ClaimsSpec(Path("run.toml"), (asked,), CASES), {("miou_all", "static"): sample({"a": 0.2, "b": 0})})
    assert claims_text.summary(judged).endswith(told)


def test_a_run_with_other_rows_is_judged_by_the_claims_about_them():
    claims = (claim(), claim(id="b", than=("c",)), claim(id="c", row="z"), claim(id="d", than=(1.0, "b")))
    spec = ClaimsSpec(Path("run.toml"), claims, CASES, contradictions=("x",))
    there = spec.about({"a", "b", "more"})
    assert [one.id for one in there.claims] == [claims[0].id, "d"] and there.contradictions == ("x",)
    with pytest.raises(UserError, match=r"run\.toml has the rows of no claim; it has b, c"):
        spec.about({"c", "b"})


@pytest.mark.parametrize("name", ["CLAIMS.md", "CLAIMS-paper-settings.md"])
def test_the_readme_quotes_the_verdicts(name):
    texts = ((ROOT / one).read_text(encoding="utf-8") for one in ("README.md", f"results/{name}"))
    readme, verdicts = (" ".join(re.sub("^>", "", text, flags=re.MULTILINE).split()) for text in texts)
    (summary,) = re.findall(r"Of \d+ claims .*(?= \| Claim \|)", verdicts)
    assert summary in readme


def test_holm_runs_over_all_claims():
    static = sample({"a": 0.4, "b": 0.0}, seed=4)
    alone = verdict([claim()], static=static)
    untestable = [claim(row="missing", id=f"x{k}") for k in range(60)]
    assert alone == ["holds"] and verdict([claim(), *untestable], static=static)[0] == "open"


def test_the_resamples_of_sets_suffice_for_a_verdict():
    """Each claim alone, were no other one decided."""
    spec = load_claims(ROOT / "benchmarks/claims.toml")
    for one in spec.claims:
        draws = evidence.SET_RESAMPLES if one.metric in ("fid", "kid") else stats.RESAMPLES
        assert 2 * len(one.than) * len(one.splits) * len(spec.claims) / (1 + draws) < spec.level


def test_equal_methods_rarely_get_a_verdict():
    wrong = [verdict([claim()], static=sample({"a": 0.0, "b": 0.0}, seed=seed)) != ["open"] for seed in range(60)]
    assert np.mean(wrong) < 0.15


def test_shifted_resamples_are_centred():
    draws = {"a": np.random.default_rng(0).normal(5.0, 0.1, 2000), "b": np.random.default_rng(1).normal(3.0, 0.1, 2000)}
    value, centred = Sample({"a": 1.0, "b": 1.2}, draws, CASES, centred=True).difference("a", "b")
    assert value == pytest.approx(-0.2) and centred.mean() == pytest.approx(-0.2)


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
