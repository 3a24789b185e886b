"""benchmarks/speed.py on models of no size: its rows, its refusals, and its clock of a GPU on a pretended one."""

import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

import speed
import speed_models

from ivgbench.errors import UserError
from ivgbench.generator.backbones import layout, presets, sources


@pytest.fixture(scope="module")
def narrow():
    return speed_models.model("8x8", "cpu", torch.float32, frames=2)


@pytest.fixture(scope="module")
def narrow_wan():
    made = speed_models.model("wan-480p", "cpu", torch.float32)
    assert made.shape == (21, 60, 104) and 21 * 30 * 52 == 32_760
    return made._replace(shape=(2, 4, 4))


def test_a_row_of_each_method_with_its_ratios(narrow):
    rows = {row["method"]: row for row in speed.measured(narrow, speed.Clock(narrow.backbone.denoiser), 1)}
    assert set(rows) == set(speed.rows_of()) and set(speed.METHODS.builtin()) <= {
        m for m, _ in speed.rows_of().values()
    }
    assert rows["plain"]["of plain"] == "1.00" == rows["plain"]["memory, of plain"]
    assert rows["mask-norm-id"]["evaluations"] == 2 and float(rows["peekaboo"]["seconds"]) > 0
    assert float(rows["mask-norm-tid, exact"]["memory, of plain"]) > 2  # what the gradient keeps


def test_what_has_no_meaning_says_so(narrow_wan):
    rows = {row["method"]: row for row in speed.measured(narrow_wan, speed.Clock(narrow_wan.backbone.denoiser), 1)}
    assert "needs attention within frames" in rows["trailblazer"]["note"] and "seconds" not in rows["trailblazer"]
    assert rows["mask-norm"]["note"] == ""


class Event:
    """As torch.cuda's: time between two, in milliseconds."""

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.at = time.perf_counter()

    def elapsed_time(self, other):
        return 1000 * (other.at - self.at)


def test_the_clock_of_a_gpu(narrow, monkeypatch):
    bytes_ = iter([5, 105] * 20)
    monkeypatch.setattr(torch.cuda, "Event", Event)
    for name in ("synchronize", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda device: None)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: next(bytes_))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: next(bytes_))
    monkeypatch.setattr(speed, "ROWS", {name: speed.ROWS[name] for name in ("plain", "peekaboo")})
    monkeypatch.setattr(speed, "rows_of", lambda: speed.ROWS)
    monkeypatch.setattr(speed, "operations", lambda *of: 10**6)
    sized = narrow._replace(architecture={})
    rows = speed.measured(sized, speed.CudaClock(sized.backbone.denoiser, "cuda"), 2, batch=2, rate=1e9)
    assert rows[0]["peak MB"] == "0.0" and rows[0]["of the bf16 rate"] == "" and rows[1]["memory, of plain"] == "1.00"
    rows = speed.measured(sized._replace(architecture={"x": 1}), speed.CudaClock(None, "cuda"), 1, batch=2, rate=1e9)
    share = 2 * 10**6 / float(rows[0]["seconds"]) / 1e9
    assert float(rows[0]["of the bf16 rate"].rstrip("%")) / 100 == pytest.approx(share, abs=2e-3)


def test_operations_are_the_plans_without_the_vae():
    preset = presets.PRESETS["pocket"]
    one = speed_models.Model("x", None, (8, 12, 20), sources.architecture("pocket"), preset)
    plain, tid = (speed.operations(one, name, {}) for name in ("plain", "mask-norm-tid"))
    assert 1.9 < tid / plain < 2.6


def test_the_table_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(speed, "rows_of", lambda: {"plain": ("plain", {})})
    assert speed.main(["--grid", "8x8", "--frames", "2", "--rounds", "1", "--out", str(tmp_path)]) == 0
    assert "| narrow UNet | 2 x 8 x 8 | plain |" in (tmp_path / "speed.md").read_text()
    assert "medians of 1" in capsys.readouterr().out and (tmp_path / "speed.csv").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--grid", "big"], "write pocket, pocket-dit, HEIGHTxWIDTH of latents such as 40x72, wan-480p"),
        (["--grid", "0x8"], "write pocket"),
        (["--rounds", "0"], "must be at least 1"),
        (["--device", "tpu"], "no such device"),
        (["--device", "cuda:99"], "torch finds"),
    ],
)
def test_bad_arguments_are_told(arguments, words, capsys):
    with pytest.raises(SystemExit) as left:
        speed.main(arguments)
    assert left.value.code == 2 and words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["zeroscope", "wan-1.3b"])
def test_published_ones_are_built_at_true_size(name, monkeypatch):
    """Their random weights fill gigabytes: here without content."""
    seen = {}

    def random(parts, preset, device, dtype):
        seen["parts"] = parts
        with torch.device("meta"):
            return speed_models.family(layout.family_of_parts(parts)).hollow(parts, preset, dtype)

    monkeypatch.setattr(speed_models, "random", random)
    made = speed_models.model(name, "cuda", torch.bfloat16)
    assert made.shape == {"zeroscope": (24, 40, 72), "wan-1.3b": (21, 60, 104)}[name]
    assert made.architecture == presets.published_architecture(presets.PRESETS[name]) == seen["parts"]


def test_a_name_of_none_is_refused():
    with pytest.raises(UserError, match="--grid 'x'"):
        speed_models.model("x", "cpu", torch.float32)
