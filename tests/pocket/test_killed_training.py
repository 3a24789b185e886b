"""A training of the pocket DiT that is killed, wherever that is, ends with the weights of one that was not."""

import csv
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import small_dit

from ivgbench.files import file_sha256
from ivgbench.pocket.training import dit

WEIGHTS = "weights/dit/transformer/diffusion_pytorch_model.safetensors"


class Killed(BaseException):
    pass


def kill():
    raise Killed


def patched(monkeypatch):
    return lambda owner, name, value: (
        monkeypatch.setitem(owner, name, value) if isinstance(owner, dict) else monkeypatch.setattr(owner, name, value)
    )


def result(work):
    """Hashes of all that was written as weights, and the logs but for their seconds."""
    weights = {str(path.relative_to(work)): file_sha256(path) for path in sorted((work / "weights").rglob("*.*"))}
    assert WEIGHTS in weights and "weights/dit/model_index.json" in weights
    assert "_name_or_path" not in (work / "weights/dit/vae/config.json").read_text(), "weights know no place"
    logs = {}
    for path in sorted(work.glob("*.csv")):
        with path.open(newline="") as handle:
            logs[path.name] = [(row["step"], row["loss"], row["learning_rate"]) for row in csv.DictReader(handle)]
    assert set(logs) == {"dit-text.csv", *(f"dit-{phase}.csv" for phase in dit.PHASES)}
    return weights, logs


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What a run that nothing stopped makes."""
    work = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys.argv)
        small_dit.shrink(patched(patch))
        small_dit.run(work)
    return result(work)


def test_a_run_logs_the_mean_loss_since_the_row_before(whole):
    for name, rows in whole[1].items():
        assert [step for step, _, _ in rows] == ["4", "6"], name


@pytest.mark.parametrize("at", [("dit-frames", 3, "write"), ("dit-two", 5, "loss")])
def test_a_killed_run_goes_on_to_the_same_weights_and_logs(at, whole, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    with monkeypatch.context() as patch:
        small_dit.shrink(patched(patch), kill, *at)
        with pytest.raises(Killed):
            small_dit.run(tmp_path)
    assert not (tmp_path / "weights").exists()
    small_dit.shrink(patched(monkeypatch))
    small_dit.run(tmp_path)
    assert result(tmp_path) == whole


def test_another_seed_is_another_model(whole, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", sys.argv)
    small_dit.shrink(patched(monkeypatch))
    monkeypatch.setattr(small_dit.dit.train, "__defaults__", (1, *small_dit.dit.train.__defaults__[1:]))
    small_dit.run(tmp_path)
    name = "weights/dit/transformer/diffusion_pytorch_model.safetensors"
    assert result(tmp_path)[0][name] != whole[0][name]


@pytest.mark.slow
def test_sigkill_in_the_middle_changes_nothing(whole, tmp_path):
    command = [sys.executable, str(Path(small_dit.__file__)), str(tmp_path)]
    for at in (("dit-frames", "2", "loss"), ("dit-clips", "4", "write")):
        assert subprocess.run([*command, *at], capture_output=True).returncode == -signal.SIGKILL
    assert subprocess.run(command, capture_output=True).returncode == 0
    assert result(tmp_path) == whole
