"""The calibration's plan, and its way from clips to a file, on a lab without models."""

from dataclasses import replace
from pathlib import Path

import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench import calibration, load_suite
from ivgbench.errors import UserError
from ivgbench.generator.backbones import presets
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec, load_spec
from ivgbench.store.runs import Store
from ivgbench.study import calibrating, calibration_text, recording
from ivgbench.study.facts import Fact, FactsSpec

RUN = Path(__file__).parents[2] / "benchmarks" / "calibration-run.toml"
SUITES = ("pocket-tuning-static", "pocket-tuning-dynamic")


@pytest.fixture(scope="module")
def committed():
    """The plan of the committed run, two cases a split; a prompt counts as many tokens as it has words."""
    spec = replace(load_spec(RUN), cases=2)
    return calibrating.plan_of(spec, Lab("cpu"), lambda prompt: len(prompt.split()))


def test_the_padding_row_edits_the_end_token_and_what_follows(committed):
    mine = [entry for entry in committed.entries if entry.label == calibrating.PADDING_ONLY]
    assert len(mine) == 4
    for entry in mine:
        end = len(entry.case.prompt.split()) + 1
        assert entry.job.options["token_indices"] == tuple(range(end, end + 15))
        assert entry.job.options["trailing_length"] == 0
        assert entry.job.changed == {"token_indices": entry.job.options["token_indices"], "trailing_length": 0}
    # Each is a job of its own kind: no other row makes the same clip.
    others = {entry.job.id for entry in committed.entries if entry.label != calibrating.PADDING_ONLY}
    assert not others & {entry.job.id for entry in mine}


def test_positions_follow_the_prompts_length():
    spec = RunSpec("r", (MethodSpec("trailblazer", {}, calibrating.PADDING_ONLY),), suites=SUITES, cases=2)
    plan = calibrating.plan_of(spec, Lab("cpu"), lambda prompt: len(prompt))
    ends = {entry.job.options["token_indices"][0]: entry.case.prompt for entry in plan.entries}
    assert all(end == len(prompt) + 1 for end, prompt in ends.items()) and len(ends) > 1


def test_the_tokens_are_counted_by_the_backbones_own_tokenizer():
    assert calibrating.token_counter("pocket")("a red star on a grey background") == 7


def test_all_rows_but_the_padding_are_the_runs_own(committed):
    plain = make_plan(replace(load_spec(RUN), cases=2), Lab("cpu"))
    for one, other in zip(plain.entries, committed.entries, strict=True):
        assert one.label == other.label
        assert (one.job.id == other.job.id) == (one.label != calibrating.PADDING_ONLY)


def test_literal_masks_are_recorded_as_the_others_are(committed):
    plan = calibrating._literal(committed)
    assert recording.in_plan(plan) and {entry.label for entry in plan.entries} == recording.LABELS
    for entry in plan.entries:
        assert entry.job.options.get("mask", "multiplicative") == "multiplicative"


def test_a_probe_lends_the_padding_of_the_whole_suite(committed):
    items = calibrating.probe_items(committed, lambda prompt: 7)
    assert len(items) == 4
    prompts = [case.prompt for case in load_suite(SUITES[0]).cases]
    for job, other in items:
        assert job.method == "plain" and other in prompts and other != job.case.prompt
    with pytest.raises(UserError, match="has no row 'plain'"):
        calibrating.probe_items(committed._replace(entries=()), len)


FACTS = FactsSpec(
    Path("run.toml"),
    (
        Fact(1, "one", "shifted is below plain", "source", "why", "miou_all", "mask-norm", ("plain",), "lower",
             margin=1.0, bar=True),
        Fact(1, "two", "shifted is above plain", "source", "", "miou_all", "mask-norm", ("plain",), "higher"),
        Fact(2, "two-splits", "as good on both", "source", "why", "miou_dynamic_over_static", "plain", (-50.0,),
             "higher", ("both",)),
        Fact(5, "five", "unclear", "sources", unused="the sources disagree"),
    ),
    cases=8,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calibration")
    methods = (MethodSpec("plain"), MethodSpec("mask-norm", {"shift": 0.2}))
    asked = RunSpec("calibration", methods, suites=SUITES, ground_truth=True)
    lab, store = FakeLab(folder / "log"), Store(folder / "runs")
    run = calibrating.run_of(asked, lab.weights, 8)
    plan = calibrating.plan_of(run, lab, None)
    return calibrating.calibrate(FACTS, plan, store, lab, InlineEngine(), None, "again"), folder, plan


def test_from_clips_to_verdicts(made):
    (found, samples), _, plan = made
    assert plan.spec.name == found.run == "calibration-w1-8" and found.weights == "w1"
    assert [one.verdict for one in found.findings] == ["holds", "fails", "holds", "not used"]
    assert found.findings[0].met is True and [one.id for one in found.bars()] == ["one"]
    # A fact of which a part fails, fails; one of its parts may hold.
    assert found.verdict(1) == "fails" and found.text(1) == "shifted is above plain"
    assert found.verdict("one") == found.verdict(2) == "holds" and found.verdict(5) == "not used"
    assert ("clip_sim_attained", "static") in samples


def test_nothing_is_made_again(made):
    (found, _), folder, plan = made
    again, _ = calibrating.calibrate(
        FACTS, plan, Store(folder / "runs"), FakeLab(folder / "log"), InlineEngine(limit=0), None, "again"
    )
    assert again.findings == found.findings


def test_the_page(made):
    (found, samples), _, plan = made
    page = calibration_text.markdown(FACTS, plan, found, samples)
    assert "**1 of 1 bars are met.**" in page
    assert "Of 3 facts 1 hold (2), 1 fail (1), 0 are open, 1 are not used (5)." in page
    assert "| 1 | shifted is below plain (source) | mIoU: Mask Norm less Plain below -1 | static -" in page
    assert "| **holds** | met |" in page and "| **not used** | – |" in page
    assert "| Plain | static | 9" in page and "* 1, one: why" in page and "`again`; run `calibration-w1-8`" in page
    assert page.index("| Plain | static |") < page.index("| Mask Norm | static |") < page.index("| Plain | dynamic |")
    assert page == calibration_text.markdown(FACTS, plan, found, samples)


def test_the_file_is_read_back_as_it_was_written(made, tmp_path):
    (found, _), _, _ = made
    calibration.save(tmp_path / "calibration.json", found)
    assert calibration.load(tmp_path / "calibration.json") == found


def test_weights_that_do_not_ship_make_the_clips_that_they_make_when_they_do(tmp_path):
    folder = tmp_path / "tonight"
    folder.symlink_to(presets.POCKET_FOLDER)
    spec = replace(load_spec(RUN), cases=1, suites=("static",))
    plans = [make_plan(replace(spec, backbone=one), Lab("cpu")) for one in ("pocket", str(folder))]
    assert [job.id for job in plans[0].jobs] == [job.id for job in plans[1].jobs]
    assert plans[1].facts.sampling.steps == 20 and {job.source for job in plans[1].jobs} == {"", str(folder)}
