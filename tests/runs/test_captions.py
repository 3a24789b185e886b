"""Prompts that the judge reads the beginning of only: a fact of the run, marked in its table."""

from dataclasses import replace

from fake_lab import FakeLab, InlineEngine

from ivgbench import load_suite
from ivgbench.cases import Suite
from ivgbench.report import tables
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.scoring import text_key
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

TAIL = ", very calm and quiet" * 4


def test_cut_captions_are_counted_in_the_table_without_the_model(tmp_path):
    first, second = load_suite("static").cases[:2]
    Suite("mine", 8, (first, replace(second, prompt=second.prompt + TAIL))).save(tmp_path / "mine.jsonl")
    spec = RunSpec("r", (MethodSpec("plain"),), suites=(str(tmp_path / "mine.jsonl"),))
    store, lab = Store(tmp_path), FakeLab(tmp_path / "log")

    def line():
        runner.run(make_plan(spec, lab), store, lab, InlineEngine())
        built = tables.build(1, tmp_path, "r")
        return built.frame["captions_cut"].tolist(), built.notes[-1]

    assert line() == ([1], f"† The prompts of 1 cases (1 clips; the first is {second.id}) are longer than CLIP reads: "
                      "these CLIP-SIMs judge their beginning only.")  # fmt: skip
    # What was cached before the fact was kept is read again.
    clip = lab.clip("pocket")
    store.save_arrays(clip.id, text_key(second.prompt + TAIL), {"text": clip.embed_text([second.prompt + TAIL])[0]})
    assert line()[0] == [1]
