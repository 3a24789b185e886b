"""What the shell offers, asked as bash asks, and that nothing heavy is loaded for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: A command of this name, as pip would install it.
COMMAND = f"""#!{sys.executable}
import sys
from ivgbench.cli import main
try:
    main()
finally:
    heavy = {{"torch", "diffusers", "transformers", "open_clip", "ultralytics", "matplotlib", "av", "pandas"}}
    print("heavy:", *heavy & set(sys.modules), file=sys.stderr)
"""


@pytest.fixture
def command(tmp_path):
    path = tmp_path / "bin" / "ivgbench"
    path.parent.mkdir()
    path.write_text(COMMAND)
    path.chmod(0o755)
    return path


def said(arguments, command, **variables):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    environment["PATH"] = f"{command.parent}:{environment['PATH']}"
    done = subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=command.parent)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def offered(command):
    def ask(line, **variables):
        asked = {"_IVGBENCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
        out, err = said([command], command, **asked, **variables)
        assert err.splitlines()[-1].strip() == "heavy:"
        return out.split()

    return ask


def test_names_are_offered_without_torch(offered, tmp_path, runs):
    assert offered("ivgbench run --method t") == ["trailblazer", "tid"]
    assert offered("ivgbench generate PROMPT --method mask") == ["mask-norm", "mask-norm-id", "mask-norm-tid"]
    assert offered("ivgbench compare PROMPT --backbone pocket-") == ["pocket-dit"]
    assert set(offered("ivgbench score --suite scenes")) == {"scenes-static", "scenes-dynamic"}
    assert offered("ivgbench plan --spec pocket-t") == ["pocket-table2"]
    assert offered(f"ivgbench table 1 --runs {runs} --run t") == ["table1"]
    assert offered("ivgbench sna") == ["snapshot"]


def test_a_store_that_is_none_offers_nothing(offered, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert offered(f"ivgbench table 1 --runs {tmp_path / 'file'} --run t") == []


def test_it_is_installed_for_a_shell(command, tmp_path):
    pytest.importorskip("shellingham")
    home = tmp_path / "home"
    home.mkdir()
    out, _ = said(["bash", "-c", "ivgbench --install-completion; true"], command, HOME=str(home))
    assert "bash completion installed" in out
    assert "_IVGBENCH_COMPLETE" in (home / ".bash_completions" / "ivgbench.sh").read_text()
