"""The first look at control, at clips whose sprites are known to follow their boxes or not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from ivgbench.generator import Backbone
from ivgbench.generator.sources import PRESETS
from ivgbench.pocket import control, reference, samples
from ivgbench.suites import load_suite


def test_rendered_clips_meet_the_bars_that_control_must_and_not_the_one_it_must_not(tmp_path, monkeypatch, capsys):
    def rendered(_, cases, method, options, seeds):
        # Plain draws the scene of another case: the right phrase somewhere else.
        asked = cases[::-1] if method == "plain" else cases
        placed = [
            replace(case, subjects=(replace(case.subjects[0], boxes=other.subjects[0].boxes),))
            for case, other in zip(cases, asked, strict=True)
        ]
        return [SimpleNamespace(video=reference.render_case(case, 0)) for case in placed]

    monkeypatch.setattr(control, "generate_batch", rendered)
    facts = control.measure(None, control.ROWS, 4, 0, tmp_path)
    told = capsys.readouterr().out
    for split in control.SPLITS:
        assert facts[f"plain, {split}"]["mIoU"] < 40 and facts[f"plain, {split}"]["above plain"] == 0
        one = facts[f"trailblazer, {split}"]
        assert one["mIoU"] > 80 and one["coverage"] == 1
        assert one["above plain"] == pytest.approx(one["mIoU"] - facts[f"plain, {split}"]["mIoU"])
        assert (tmp_path / f"control-{split}-trailblazer-words-only.png").is_file()
    assert told.count(": met)") == 6 and told.count(": missed)") == 2
    assert all("padding" in line for line in told.splitlines() if "missed" in line)


def test_the_padding_row_edits_what_the_default_edits_after_the_prompt():
    from ivgbench.generator.methods.trailblazer import TrailBlazer, edited_tokens

    backbone = samples.backbone_of(samples.SHIPPED, "cpu")
    for case in load_suite("pocket-tuning-static").cases:
        clip = SimpleNamespace(prompt=case.prompt, phrases=(case.subjects[0].phrase,))
        words, whole, padding = (
            set(edited_tokens(backbone, clip, TrailBlazer(**control.ROWS[row][1])))
            for row in ("trailblazer, words only", "trailblazer", "trailblazer, padding only")
        )
        assert padding == whole - words and len(padding) == 15


def test_weights_anywhere_are_run_as_the_pocket_is():
    here, named = samples.backbone_of(samples.SHIPPED, "cpu"), Backbone.from_pretrained("pocket")
    assert (here.frames, here.height, here.width, here.default_steps) == (8, 48, 80, PRESETS["pocket"].steps)
    assert here.weights_hash == named.weights_hash and here.empty_padding == named.empty_padding
    prompt = ["a red star on a grey background"]
    assert np.array_equal(here.encode_prompt(prompt), named.encode_prompt(prompt))
