"""Every row says what it was set to: in each output of a table, in claims, in figures; older runs too can be read."""

import csv
import io

import pytest

from ivgbench.report import layout, paper, qualitative, render, settings_notes, tables
from ivgbench.report.page import scenes
from ivgbench.study import claims_text
from ivgbench.study.claims import ClaimsSpec

TUNED = ("tuned + scope=paper", "frozen_steps=12, scope=paper; released: frozen_steps=2, scope=official")


def set_to(manifest, label="mask-norm", told=TUNED):
    """The manifest of a run that recorded settings; one row has some."""
    jobs = [
        {
            **job,
            "settings": told[0] if job["label"] == label else "–",
            "about": told[1] if job["label"] == label else "",
        }
        for job in manifest["jobs"]
    ]
    return {**manifest, "jobs": jobs, "suites": {}, "environment": {}}


@pytest.fixture
def recorded(stored):
    """The store of a whole run whose manifest has settings; the run without them is put back afterwards."""
    store, _, manifest, _ = stored
    store.save_manifest("table1", set_to(manifest))
    yield store
    store.save_manifest("table1", manifest)


def test_every_row_of_a_table_says_its_settings_in_every_output(recorded):
    built = tables.build(1, recorded.root)
    told = built.frame.set_index(["split", "label"])["settings"]
    assert told["static", "Mask Norm"] == TUNED[0] and told["dynamic", "Ground truth"] == "–"
    for block in layout.blocks(built)[:2]:
        assert block.header[1] == "Settings" and block.lead == 2
        assert all(len(row) == len(block.header) for row in block.rows)
    rows = list(csv.DictReader(io.StringIO(render.csv(built))))
    assert {row["settings"] for row in rows} == {"–", TUNED[0]}
    assert "| Mask Norm | tuned + scope=paper |" in render.markdown(built)
    assert r"Mask Norm & tuned + scope=paper &" in render.tex(built)
    for text in (render.markdown(built), render.tex(built)):
        assert f"Mask Norm: {TUNED[0]}: {TUNED[1]}." in text.replace("\\_", "_")
    assert settings_notes.NAMES in built.notes


def test_a_run_that_recorded_no_settings_is_read_and_says_so(stored):
    built = tables.build(1, stored[0].root)
    told = built.frame.groupby("label")["settings"].unique().map(list).to_dict()
    assert told == {"Plain": ["not recorded"], "Mask Norm": ["not recorded"], "Ground truth": ["–"]}
    assert settings_notes.NAMES not in built.notes


def test_clips_side_by_side_say_it_too(recorded, tmp_path, monkeypatch):
    recorded_specs(recorded, monkeypatch)
    rows, _ = scenes.collect(recorded, recorded.manifest("table1"), [])
    told = [(row.name, row.settings, row.about) for row in rows]
    assert told == [("Plain", "", ""), ("Mask Norm", *TUNED), ("Ground truth", "", "")]
    labels = []
    monkeypatch.setattr(qualitative, "contact_sheet", lambda clips, *_: labels.extend(clip[0] for clip in clips))
    qualitative.figure4(recorded.root, "table1", tmp_path)
    assert labels[:3] == ["Plain", "Mask Norm (tuned + scope=paper)", "Ground truth"]


def recorded_specs(store, monkeypatch):
    """Sidecars that say what was asked, as a real run's do."""
    asked = {"case": {"prompt": "a red star", "subjects": [{"boxes": [[0, 0, 1, 1]] * 2}]}}
    intact = type(store).intact_sidecar
    monkeypatch.setattr(type(store), "intact_sidecar", lambda self, job: {**intact(self, job), "spec": asked})


def test_claims_say_what_their_rows_were_set_to(tmp_path):
    spec = ClaimsSpec(tmp_path / "run.toml", ())
    told = settings_notes.by_label(set_to({"jobs": [job(name) for name in ("plain", "mask-norm")]})["jobs"])
    page = claims_text.markdown(claims_text.Study(spec, {}, {}, "run", "pocket", 1, 1, told))
    assert f"| Mask Norm | {TUNED[0]} | {TUNED[1]} |" in page and "| Plain | – |  |" in page


def job(label):
    return {"label": label, "method": label}


def test_rows_that_no_method_makes_have_none():
    assert settings_notes.by_label([job(paper.GROUND_TRUTH)])[paper.GROUND_TRUTH] == ("–", "")
    assert settings_notes.by_label([{**job("theirs"), "method": "external", "settings": ""}])["theirs"] == ("–", "")
