"""Without the extras: what needs no model works, and everything else names the extra to install, in one line."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from ivgbench import extras

ROOT = Path(__file__).parents[2]
#: What only the extras bring.
ABSENT = ("torch", "torchvision", "diffusers", "transformers", "safetensors", "huggingface_hub", "open_clip",
          "ultralytics", "torch_fidelity", "torchmetrics", "cv2", "ray")  # fmt: skip
HIDE = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
"""
#: Runs commands one after another: a line of JSON each with its exit code and what it printed.
EACH = f"""{HIDE}
import contextlib, io, json
from ivgbench import cli
for arguments in json.loads(sys.argv[1]):
    sys.argv, out, err, code = ["ivgbench", *arguments], io.StringIO(), io.StringIO(), "none"
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as left:
            code = left.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
BOX = ["--box", "0:0.1,0.2,0.4,0.6"]
NEEDING = [
    ["run", "--method", "tid"],
    ["run", "--spec", f"{ROOT}/benchmarks/pocket.toml"],
    ["run", "--ground-truth"],
    ["run", "--method", "tid", "--device", "cuda"],
    ["run", "--method", "tid", "--engine", "ray"],
    ["plan", "--method", "tid"],
    ["plan", "--spec", f"{ROOT}/benchmarks/table1.toml"],
    ["score", "--videos", ".", "--suite", "static"],
    ["figure", "2"],
    ["claims", "--spec", f"{ROOT}/benchmarks/claims.toml"],
    ["generate", "a red star", "--subject", "red star", *BOX, "-o", "c.mp4"],
    ["compare", "a red star", "--subject", "red star", *BOX, "-o", "c.gif"],
    ["snapshot", "check", "--spec", f"{ROOT}/benchmarks/snapshot.toml", "--snapshots", f"{ROOT}/results/snapshots"],
    ["list", "methods", "--options"],
    ["fetch", "zeroscope"],
    ["fetch", "owlvit"],
]
WORKING = [
    ["--version"],
    ["--help"],
    ["run", "--help"],
    ["list", "methods"],
    ["list", "backbones"],
    ["list", "metrics"],
    ["list", "detectors"],
    ["suites", "list"],
    ["suites", "show", "static", "--cases", "1"],
    ["suites", "validate", "static", "scenes-dynamic"],
    ["table", "1", "--runs", "RUNS"],
    ["figure", "4", "--runs", "RUNS"],
    ["report", "--runs", "RUNS"],
    ["leaderboard", f"{ROOT}/results/records"],
]


def called(commands, tmp_path):
    command = [sys.executable, "-c", EACH, json.dumps(commands)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(commands), done.stderr
    return answers


def test_what_needs_a_model_names_the_extra_in_one_line(tmp_path):
    for command, (code, out, err) in zip(NEEDING, called(NEEDING, tmp_path), strict=True):
        assert code == 2 and out == "" and err.count("\n") == 1, (command, code, out, err)
        assert err.startswith("ivgbench: this needs ") and 'pip install "ivgbench[' in err, (command, err)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_needs_no_model_works(tmp_path, runs):
    commands = [[str(runs) if one == "RUNS" else one for one in command] for command in WORKING]
    for command, (code, out, err) in zip(commands, called(commands, tmp_path), strict=True):
        assert code == 0 and out, (command, code, err)
    ((code, out, _),) = called([["doctor"]], tmp_path)
    assert code == 1 and out.count("not installed") == 5 and "pip install" in out


@pytest.mark.parametrize(
    ("command", "extra"),
    [
        (["score", "--videos", ".", "--suite", "static"], "metrics"),
        (["score", "--videos", ".", "--suite", "static", "--device", "cuda"], "metrics"),
        (["run", "--method", "tid"], "gen"),
        (["generate", "a red star", "--subject", "red star", *BOX, "-o", "c.mp4"], "gen"),
        (["fetch", "owlvit"], "metrics"),
        (["fetch", "zeroscope"], "gen"),
    ],
)
def test_the_extra_is_that_of_the_command(tmp_path, command, extra):
    ((code, _, err),) = called([command], tmp_path)
    assert code == 2 and f'pip install "ivgbench[{extra}]"' in err, err


@pytest.mark.parametrize("name", ["DETECTORS.get('owlvit')", "FRAME_ENCODERS.get('inception')", "METHODS.get('tid')"])
def test_the_extra_is_that_of_what_was_asked_for(name):
    code = f"{HIDE}from ivgbench.registry import *; {name}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    extra = "gen" if "METHODS" in name else "metrics"
    assert f'pip install "ivgbench[{extra}]"' in done.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    "line",
    [
        "from ivgbench.generator import generate",
        "from ivgbench.generator import Backbone, generate_batch",
        "from ivgbench.generator.methods.trailblazer import spatial_edit",
        "from ivgbench.registry import DETECTORS; DETECTORS.get('owlvit')",
        "from ivgbench.registry import METHODS; METHODS.get('tid')",
    ],
)
def test_an_import_that_needs_a_model_names_the_extra(line):
    done = subprocess.run([sys.executable, "-c", HIDE + line], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 1 and 'pip install "ivgbench[' in done.stderr.splitlines()[-1]
    asked = f"{HIDE}\ntry:\n    {line}\nexcept ImportError as fault:\n    print(fault.name)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout.strip() in ABSENT, done.stderr


def test_imports_that_need_no_model_work():
    lines = (
        "from ivgbench import Case, Subject, load_suite; import ivgbench.generator\n"
        "from ivgbench.metrics import clip_sim, control, fid, kid, jedi\n"
        "from ivgbench.report import table\nfrom ivgbench.generator.backbones import sources"
    )
    done = subprocess.run([sys.executable, "-c", HIDE + lines], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr


NEEDS = ["numpy>=1.26", 'torch!=2.13.*,>=2.4; extra == "gen"', 'torch>=2.4; extra == "metrics"',
         'open_clip_torch>=3.0; extra == "metrics"', 'torch-fidelity>=0.4; extra == "metrics"',
         "opencv-python>=4; extra == 'metrics'", 'ray>=2.9; extra == "ray"']  # fmt: skip


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "gen"), ("open_clip", "metrics"), ("torch_fidelity", "metrics"), ("cv2", "metrics"), ("ray", "ray"),
     ("scipy", "all"), ("numpy", "all")],
)  # fmt: skip
def test_the_extra_is_the_packages_own_word(monkeypatch, module, extra):
    monkeypatch.setattr(metadata, "requires", lambda name: NEEDS)
    assert extras.extra_of(module) == extra
    fault = extras.missing(ModuleNotFoundError(f"No module named '{module}.part'", name=f"{module}.part"))
    assert f'this needs {module}, which is not installed: pip install "ivgbench[{extra}]"' in str(fault)


def test_other_failed_imports_are_what_they_were():
    for fault in (ImportError("cannot import name 'x' from 'torch'", name="torch"), ImportError("broken"),
                  ModuleNotFoundError("No module named 'ivgbench.x'", name="ivgbench.x")):  # fmt: skip
        assert extras.missing(fault) is None
