"""Shared by all tests."""

import os
import sys
from pathlib import Path

import pytest

# One thread of torch in each process, whatever the machine's number of cores: numbers then agree to the bit, and
# processes beside each other take turns. Set before torch is loaded, as is what ivgbench sets.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import ivgbench  # noqa: F401

sys.path.insert(0, str(Path(__file__).parent / "doubles"))
pytest_plugins = ["made_runs", "dit_weights"]


@pytest.fixture(autouse=True)
def a_home_of_its_own(tmp_path_factory, monkeypatch):
    """No test sees, or leaves, what its user fetched."""
    monkeypatch.setenv("IVGBENCH_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def command_line(monkeypatch, capsys):
    """A function (*arguments) -> (exit code, stdout, stderr) of the command line, in this process."""

    def call(*arguments: object) -> tuple[int, str, str]:
        from ivgbench import cli

        monkeypatch.setattr(sys, "argv", ["ivgbench", *map(str, arguments)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        told = capsys.readouterr()
        return left.value.code or 0, told.out, told.err

    return call
