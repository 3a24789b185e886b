"""A study on another backbone: what is left of its run, of its facts and of its claims."""

from pathlib import Path

import pytest
from test_claims import claim, sample

from ivgbench.calibration import Calibration, Finding
from ivgbench.errors import UserError
from ivgbench.generator.backbones import presets
from ivgbench.runs.spec import load_spec
from ivgbench.study import calibrating, calibration_text, elsewhere, resting, variants
from ivgbench.study.claims import ClaimsSpec, judge
from ivgbench.study.claims_file import load_claims
from ivgbench.study.facts import findings, load_facts

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def dit(monkeypatch, dit_folder):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", dit_folder)


def moved(file):
    return elsewhere.on_backbone(load_spec(BENCHMARKS / file), "pocket-dit")


def test_a_run_on_its_own_backbone_is_itself():
    spec = load_spec(BENCHMARKS / "claims-run.toml")
    assert elsewhere.on_backbone(spec, "pocket") == (spec, {})


def test_rows_that_need_what_the_network_has_not_are_left_out(dit):
    found = moved("calibration-run.toml")
    assert list(found.lacking) == ["trailblazer", "trailblazer-words", "padding-only"]
    assert found.lacking["padding-only"].startswith("trailblazer needs attention within frames")
    rows = [one.row for one in found.spec.methods]
    assert "plain" in rows and "mask-norm-literal" in rows and not set(rows) & set(found.lacking)
    # Its own name, and the noise path that its network was trained on.
    assert found.spec.name == "calibration-pocket-dit" and found.spec.backbone == "pocket-dit"
    assert found.spec.sampling.scheduler is None


def test_the_reader_is_told_what_stands_for_the_decoder_and_what_is_missing(dit):
    first, second = elsewhere.remarks(moved("claims-run.toml"))
    assert "for it stands the second half of its blocks" in first and second.startswith("Left out: trailblazer needs")


def test_files_are_called_after_the_backbone():
    assert [elsewhere.suffix(one, "abcdef123456") for one in ("pocket", "pocket-dit", "some/folder")] == [
        "", "-dit", "-abcdef12",
    ]  # fmt: skip


def test_facts_about_what_cannot_be_made_are_not_applicable(dit):
    spec, lacking = load_facts(BENCHMARKS / "calibration.toml"), moved("calibration-run.toml").lacking
    found = {one.id: one for one in findings(spec, {}, lacking)}
    gone = {key for key, one in found.items() if one.verdict == "not applicable"}
    assert gone == {
        "trailblazer-controls", "trailblazer-over-peekaboo", "trailblazer-moves", "trailblazer-clip-sim",
        "padding-edit-not-below", "padding-edit-not-above", "words-move",
    }  # fmt: skip
    assert all(found[key].met is None and "needs attention" in found[key].measured for key in gone)
    # The family that is corrected for is what is judged.
    assert {one.id for one in spec.claims(lacking).claims} == {
        key for key, one in found.items() if one.verdict not in ("not applicable", "not used")
    }


def test_a_bar_that_does_not_apply_is_neither_met_nor_missed():
    about = ("text", "source", "asked", "measured")
    made = Calibration("pocket-dit", "w", "run", 1, (0,), "again", {}, (
        Finding(1, "one", *about, "holds", bar=True, met=True),
        Finding(2, "two", *about, "not applicable", bar=True),
        Finding(9, "nine", *about, "holds"),
        Finding(9, "nine-b", *about, "not applicable"),
    ))  # fmt: skip
    assert [one.id for one in made.bars()] == ["one"] and made.verdict(9) == "holds"
    assert made.verdict(2) == "not applicable"
    page = calibration_text.bars(made)
    assert "**1 of 1 bars are met.**" in page and "neither met nor missed: text." in page
    assert calibration_text.summary(made).endswith("0 are not used, 1 are not applicable (2).")


def test_claims_about_what_cannot_be_made_are_not_tested(dit):
    lacking = {variants.split(label)[0] for label in moved("claims-run.toml").lacking}
    spec = load_claims(BENCHMARKS / "claims.toml")
    judged = resting.without(judge(spec, {}), lacking)
    gone = {one.claim.id for one in judged if one.verdict == resting.NOT_TESTABLE}
    assert gone == {
        "tid-best-static", "tid-best-fid", "tid-best-kid", "peekaboo-coverage", "trailblazer-dynamic",
        "trailblazer-static", "trailblazer-clip-sim",
    }  # fmt: skip
    assert {one.why for one in judged if one.claim.id in gone} == {"TrailBlazer cannot be made on this backbone"}


def test_a_claim_that_rests_on_what_does_not_apply_is_not_tested():
    one = claim()
    found = Calibration("pocket-dit", "w", "run", 1, (0,), "again", {}, (
        Finding(2, "two", "text", "source", "", "why", "not applicable"),
    ))  # fmt: skip
    spec = ClaimsSpec(Path("run.toml"), (type(one)(**{**vars(one), "rests_on": (2,)}),), 96)
    (mine,) = resting.rested(judge(spec, {("m", "static"): sample({"a": 9.0, "b": 0.0})}), found)
    assert mine.verdict == resting.NOT_TESTABLE and mine.why == "fact 2 is not applicable here: text"


def test_tokens_are_counted_without_what_stands_around_the_words(dit):
    # A T5 reads </s> after the words and nothing before them.
    assert calibrating.token_counter("pocket-dit")("a red star on a grey background") == 7


def test_a_backbone_without_weights_is_told(monkeypatch, tmp_path):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", tmp_path / "none")
    with pytest.raises(UserError, match="no weights here"):
        moved("claims-run.toml")
