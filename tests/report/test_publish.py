"""`make publish`: the committed files from the stored runs, and a reason for each that stays as it is."""

import importlib.util
from pathlib import Path

import pytest

from ivgbench.report.leaderboard.reading import read_all

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def publish(monkeypatch):
    spec = importlib.util.spec_from_file_location("publish", BENCHMARKS / "publish.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "SPECS", BENCHMARKS)
    monkeypatch.setattr(module, "SHEETS", ())  # the clips of `stored` have no cases
    return module


def test_what_is_stored_is_written_and_the_rest_told(publish, stored, tmp_path):
    store, *_ = stored
    own, out = tmp_path / "own", tmp_path / "out"
    (own / "tables").mkdir(parents=True)
    (own / "tables" / "table1.md").write_text("another run's")
    (own / "tables" / "search.md").write_text("found")
    told = list(publish.publish(store.root, own, out))
    assert len(told) == 8 + 2 + 4 + 1 + 8
    assert (
        told[0] == f"table 1 of table1: {', '.join(str(out / f'tables/table1.{end}') for end in ('csv', 'md', 'tex'))}"
    )
    assert "run `table1`" in (out / "tables/table1.md").read_text(encoding="utf-8")
    assert (out / "tables/search.md").read_text() == "found"
    left = [line for line in told if "left as it is: " in line]
    assert len(left) == len(told) - 3
    assert "table 1 of claims: left as it is: there is no run 'claims'" in "\n".join(left)
    assert "figures 2 and 3 of the first cases: left as it is: no activations of" in "\n".join(left)
    assert any(line.startswith("CLAIMS.md: left as it is: there is no run 'claims'") for line in left)
    assert sorted(path.name for path in out.rglob("*.*")) == [
        "search.md", "table1.csv", "table1.md", "table1.record.json", "table1.tex",
    ]  # fmt: skip
    (sent,) = read_all([out / "records"])
    assert sent.record.by == "ivgbench" and len(sent.record.table) == 6


def test_a_run_that_is_not_whole_is_not_published(publish, stored, tmp_path, monkeypatch):
    store, *_ = stored
    monkeypatch.setattr(publish, "TABLES", (("half", 1, ""),))
    monkeypatch.setattr(publish, "RECORDS", ("half",))
    manifest = store.manifest("table1")
    store.save_manifest("half", {**manifest, "jobs": [*manifest["jobs"], {**manifest["jobs"][0], "job": "none"}]})
    try:
        first, *rest = publish.publish(store.root, tmp_path, tmp_path / "out")
    finally:
        store.manifest_path("half").unlink()
    assert first.startswith("table 1 of half: left as it is: run 'half' is partial")
    assert "record of half: left as it is: run 'half' is partial: 1 of 49 clips failed or are missing" in rest
    assert not (tmp_path / "out" / "records").exists()
