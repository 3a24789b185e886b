"""The documentation's method in 30 lines: its files, as printed, built and installed into a fresh environment."""

import csv
import json
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", (ROOT / "docs" / "own-method.md").read_text(encoding="utf-8"), re.DOTALL)


def said(command, **how):
    done = subprocess.run(command, capture_output=True, text=True, **how)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    """The bin folder of an environment that has the package, and ivgbench and its libraries from this one."""
    folder = tmp_path_factory.mktemp("fresh")
    for kind, text in BLOCKS:
        if kind in ("toml", "python"):
            path = folder / re.match(r"# (\S+)", text)[1]
            path.parent.mkdir(exist_ok=True)
            with path.open("a") as file:  # some are continued further down
                file.write(text)
    venv.create(folder / "env", with_pip=False)
    (place,) = (folder / "env" / "lib").glob("python*/site-packages")
    (place / "from_here.pth").write_text(f"{ROOT}\n{sysconfig.get_path('purelib')}\n")
    python = folder / "env" / "bin" / "python"
    offline = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    said([python, "-m", "pip", "install", *offline, folder / "nudge"])
    return python


def test_it_has_no_more_lines_than_it_says():
    code = [line for kind, text in BLOCKS if kind in ("toml", "python") and "(continued)" not in text.splitlines()[0]
            for line in text.splitlines()]  # fmt: skip
    method = [line for line in code if line.strip() and not line.lstrip().startswith("#")]
    assert len(method) - sum("Middle" in line or "detect" in line for line in method) <= 40


def test_its_rows_stand_in_the_table(fresh, tmp_path):
    commands = [line for _, text in BLOCKS for line in text.splitlines() if line.startswith("ivgbench run")]
    said([fresh, "-m", "ivgbench", *commands[0].split()[1:], "--steps", "2"], cwd=tmp_path)
    table = said([fresh, "-m", "ivgbench", "table", "1"], cwd=tmp_path)
    assert "nudge" in table and "Mask Norm + TID" in table and "by=0.4" in table
    # Its metric is measured with everything else.
    assert "Jumps %" in table and "(of another package: jumps, version 1" in table
    for suffix, words in ((".csv", ",jumps,jumps_low,"), (".md", "Jumps % ↓"), (".tex", r"Jumps \% $\downarrow$")):
        assert words in (tmp_path / "results/own/tables/table1").with_suffix(suffix).read_text(encoding="utf-8")
    scores = [json.loads(path.read_text()) for path in (tmp_path / "results/runs/scores").iterdir()]
    assert all(one["own_metrics"] == {"jumps": 1} and "jumps" in one["metrics"] for one in scores)
    assert "jumps" in said([fresh, "-m", "ivgbench", "list", "metrics"], cwd=tmp_path)
    spec = 'name = "judged"\ncases = 1\nsteps = 2\ndetector = "middle"\n[[methods]]\nmethod = "nudge"\n'
    (tmp_path / "spec.toml").write_text(spec)
    said([fresh, "-m", "ivgbench", "run", "--spec", "spec.toml"], cwd=tmp_path)
    assert "middle-1" in said([fresh, "-m", "ivgbench", "table", "1", "--run", "judged"], cwd=tmp_path)
    with (tmp_path / "results/own/tables/table1.csv").open(encoding="utf-8") as file:
        assert {row["jumps"] for row in csv.DictReader(file)} == {"0.000000"}  # it never moves
    doctor = said([fresh, "-m", "ivgbench", "doctor"], cwd=tmp_path)
    assert "nudge" in doctor and "broken" not in doctor


def test_this_environment_does_not_have_it():
    gone = subprocess.run([sys.executable, "-m", "ivgbench", "list", "methods"], capture_output=True, text=True)
    assert "nudge" not in gone.stdout
    gone = subprocess.run([sys.executable, "-m", "ivgbench", "list", "metrics"], capture_output=True, text=True)
    assert gone.returncode == 0 and "jumps" not in gone.stdout
