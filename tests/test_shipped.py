"""Specs and suites that ship, by name: from any folder, and a file of one's own before them."""

from pathlib import Path

import pytest

from ivgbench import shipped
from ivgbench.errors import UserError

ROOT = Path(__file__).parents[1]


def test_every_spec_of_a_checkout_has_its_name():
    assert shipped.specs() == {path.stem: path for path in (ROOT / "benchmarks").glob("*.toml")}
    assert {"pocket", "pocket-table2", "table1", "claims", "ablations", "calibration", "snapshot"} <= set(
        shipped.specs()
    )


def test_a_name_is_a_shipped_spec_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shipped.spec("pocket") == ROOT / "benchmarks" / "pocket.toml"
    (tmp_path / "pocket").mkdir()  # a folder is no spec
    assert shipped.spec("pocket") == ROOT / "benchmarks" / "pocket.toml"
    (tmp_path / "snapshot").write_text('name = "mine"')
    assert shipped.spec("snapshot") == Path("snapshot")


@pytest.mark.parametrize("path", ["none.toml", "pocket.toml", "specs/pocket", "/pocket"])
def test_a_path_stays_a_path(path):
    assert shipped.spec(path) == Path(path)


@pytest.mark.parametrize(("name", "words"), [("pokcet", "did you mean 'pocket'"), ("zzzzzz", "known: ablations, ")])
def test_an_unknown_name_is_refused(name, words):
    with pytest.raises(UserError, match=f"unknown spec '{name}'; {words}"):
        shipped.spec(name)


def test_a_run_takes_a_shipped_spec_by_name(command_line, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = command_line("plan", "--spec", "pocket", "--cases", 1, "--runs", tmp_path)
    assert code == 0 and "run table1-" in out and "mask-norm-tid" in out
    for command in (("run",), ("study", "claims"), ("study", "ablations"), ("figure", 2), ("snapshot", "check")):
        code, out, err = command_line(*command, "--spec", "pokcet")
        assert (code, out, err.count("\n")) == (2, "", 1) and "did you mean 'pocket'" in err
    assert list(tmp_path.iterdir()) == []
