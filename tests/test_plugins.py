"""Plug-ins as installed packages: they are as good as what is built in, and a broken one costs itself alone."""

import sys
from functools import partial

import plugin_package
import pytest
from fake_lab import InlineEngine

from ivgbench import cli
from ivgbench.engines.local import LocalEngine
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import Sampling
from ivgbench.plugins import PluginFault
from ivgbench.registry import DETECTORS, FRAME_ENCODERS, METHODS, VIDEO_ENCODERS, Registry
from ivgbench.report import table
from ivgbench.runs import doctor, estimates, runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

BUILT_IN = METHODS.builtin()
HEAD = "from dataclasses import dataclass\nfrom ivgbench.generator.methods.base import Method, Run\n"
CONFIG = f"{HEAD}@dataclass(frozen=True)\nclass Lamp(Method):\n"
NAMED = "    name, version = 'lamp', 1\n    def start(self, setup): return Run()\n"


@pytest.fixture
def install(monkeypatch, tmp_path):
    """`plugin_package.install` into a folder on the path; the registries read it as a new process would."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    for registry in (METHODS, DETECTORS, FRAME_ENCODERS, VIDEO_ENCODERS):
        monkeypatch.setattr(registry, "_found", None)
    for name in ("lamp", "torch_light"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield partial(plugin_package.install, folder)
    for name in ("lamp", "torch_light"):
        sys.modules.pop(name, None)


@pytest.fixture
def lamp(install):
    install()


def said(capsys, monkeypatch, *arguments):
    """(exit code, stdout and stderr without line breaks) of the command line."""
    monkeypatch.setattr(sys, "argv", ["ivgbench", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    told = capsys.readouterr()
    return left.value.code or 0, " ".join((told.out + told.err).split())


def test_what_is_added_stands_behind_what_is_built_in(lamp):
    assert METHODS.names()[: len(BUILT_IN)] == BUILT_IN
    assert METHODS.names()[len(BUILT_IN) :] and "lamp" in METHODS.plugins() and "lamp-finder" in DETECTORS.plugins()
    assert "lamp-grey" in FRAME_ENCODERS.names() and "lamp-film" in VIDEO_ENCODERS.names()
    assert "lamp" not in sys.modules  # listing imports nothing
    assert (resolve("lamp").by, resolve("lamp", {"by": 1}).by, resolve("lamp").version) == (0.25, 1.0, 3)
    with pytest.raises(ValueError, match="did you mean 'by'"):
        resolve("lamp", {"bye": 1})


def test_it_is_listed_with_its_options(lamp, capsys, monkeypatch):
    code, told = said(capsys, monkeypatch, "list", "methods", "--options")
    assert code == 0 and "lamp.by 0.25" in told and "mask-norm-tid.kappa" in told
    assert "lamp-finder" in said(capsys, monkeypatch, "list", "detectors")[1]


def test_it_is_run_judged_and_counted_like_the_others(lamp, tmp_path):
    methods = (MethodSpec("lamp"), MethodSpec("plain"))
    judges = {"detector": "lamp-finder", "frame_encoders": ("lamp-grey",), "video_encoder": "lamp-film"}
    spec = RunSpec(
        "r", methods, suites=("static",), cases=2, references=("suite",), reference_videos=6, **judges,
        sampling=Sampling(1),
    )  # fmt: skip
    lab, store = Lab("cpu"), Store(tmp_path / "runs")
    plan = make_plan(spec, lab)
    assert runner.run(plan, store, lab, InlineEngine())[2:] == (4, 0, 0)
    for number in (1, 2):
        frame = table(number, tmp_path / "runs", "r")
        assert [label for label in frame["label"] if label in ("Plain", "lamp")] == ["Plain", "lamp"]
    counted = estimates.rows(plan, set(), lab.costs(spec), None)
    assert [(row.label, row.evaluations, row.uncounted) for row in counted] == [("lamp", 2, ""), ("plain", 2, "")]


def test_worker_processes_see_it(lamp):
    engine = LocalEngine(1)
    ((_, told),) = engine.run(plugin_package.nothing, plugin_package.called, ["lamp"])
    assert told == "the method 'lamp' of the package lamp 1.2 (lamp:Lamp)"


BROKEN = {
    "does not import": ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
    "is no Python": ("def (", "SyntaxError"),
    "leaves": ("raise SystemExit(3)", "SystemExit: 3"),
    "lacks the attribute": ("", "AttributeError: module 'lamp' has no attribute 'Lamp'"),
    "is no class": ("Lamp = 3", "is no method"),
    "is another class": ("class Lamp: pass", "is no method"),
    "has no version": (f"{HEAD}class Lamp(Method):\n    name = 'lamp'", "needs a name and a version"),
    "has a text as version": (f"{HEAD}class Lamp(Method):\n    name, version = 'lamp', '1'", "needs a name"),
    "forgot the decorator": (f"{HEAD}class Lamp(Method):\n    by: float = 1.0\n{NAMED}", "@dataclass(frozen=True)"),
    "has an option without default": (f"{CONFIG}    by: float\n{NAMED}",
                                      "options of plain data, each with a default"),
    "has an option that is no data": (f"{CONFIG}    by: type = int\n{NAMED}",
                                      "options of plain data"),
    "has a type that is not there": (f"{CONFIG}    by: 'Foo' = 1\n{NAMED}",
                                     "NameError"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_method_is_one_line_and_the_others_work(install, kind, capsys, monkeypatch):
    code, words = BROKEN[kind]
    install(code)
    with pytest.raises(PluginFault) as fault:
        resolve("lamp")
    line = str(fault.value)
    assert "the method 'lamp' of the package lamp 1.2 (lamp:Lamp)" in line and words in line and "\n" not in line
    assert [resolve(name).name for name in METHODS.builtin()] == BUILT_IN
    status, told = said(capsys, monkeypatch, "list", "methods", "--options")
    assert status == 0 and "mask-norm-tid.kappa" in told and "lamp 1.2" in told
    status, told = said(capsys, monkeypatch, "plan", "--method", "lamp")
    assert status == 2 and "the method 'lamp' of the package lamp 1.2" in told
    (found,) = [one for one in doctor.examine(doctor.Path(".")) if one.what == "plug-in: method lamp"]
    assert found.result == "broken" and found.remedy == line


def test_a_method_that_cannot_be_counted_costs_the_plan_nothing_else(install, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # where no job is done
    install(f"{HEAD}class Bright(Run):\n    def after_step(self, step, latents):\n"
            "        return latents if latents.mean() > 0 else -latents\n"
            "class Lamp(Method):\n    name, version = 'lamp', 1\n    def start(self, setup):\n"
            "        return Bright()")  # fmt: skip
    status, told = said(capsys, monkeypatch, "plan", "--method", "lamp", "--method", "plain", "--cases", "1")
    assert status == 0 and "plain 2 0 40 0" in told and "total 4 0 40 0 leaves out lamp" in told
    assert "lamp 2 0 ? ? cannot be estimated: the method 'lamp' of the package lamp 1.2 (lamp:Lamp) does not" in told
    assert "? ? ?" in said(capsys, monkeypatch, "plan", "--method", "lamp", "--cases", "1", "--gpu", "t4")[1]


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        ("ZeroDivisionError('no\\nwidth')", "ZeroDivisionError: no width"),
        ("UserError('two subjects are needed')", "UserError: two subjects are needed"),
        ("SystemExit(3)", "SystemExit: 3"),
        ("NotImplementedError()", "NotImplementedError"),
    ],
)
def test_whatever_it_raises_is_a_row_that_says_so(install, capsys, monkeypatch, tmp_path, raised, words):
    monkeypatch.chdir(tmp_path)
    install(f"{HEAD}from ivgbench.errors import UserError\n@dataclass(frozen=True)\nclass Lamp(Method):\n"
            f"    name, version = 'lamp', 1\n    def start(self, setup): raise {raised}")  # fmt: skip
    status, told = said(capsys, monkeypatch, "plan", "--method", "lamp", "--cases", "1")
    assert status == 0 and "cannot be estimated: the method 'lamp' of the package lamp 1.2" in told and words in told
    assert "total 2 0 0 0 leaves out lamp" in told


def test_a_fault_of_ours_is_not_laid_on_a_plugin(lamp, monkeypatch):
    lab, spec = Lab("cpu"), RunSpec("r", (MethodSpec("plain"),), cases=1)
    (job, *_) = make_plan(spec, lab).jobs
    monkeypatch.setattr("ivgbench.generator.methods.plain.Plain.start", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lab.costs(spec)(job)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "def Finder(device): raise RuntimeError('no\\nweights')",
            "cannot be made of [] and device='cpu': RuntimeError",
        ),
        ("Finder = 3", "cannot be made of"),
        ("def Finder(): pass", "cannot be made of"),
        ("def Finder(device): return 3", "makes a int; it must have an `id`, a text, and `detect`"),
        ("import nothing_of_this_name", "cannot be imported"),
        (
            "from ivgbench.errors import UserError\ndef Finder(device): raise UserError('fetch it first')",
            "fetch it first",
        ),
    ],
)
def test_a_broken_judge_is_one_line(install, code, words):
    install(code)
    with pytest.raises(ValueError) as fault:
        Lab("cpu").detector("lamp-finder")
    assert words in str(fault.value) and "\n" not in str(fault.value)
    assert "fetch" in words or "the detector 'lamp-finder' of the package lamp 1.2" in str(fault.value)


@pytest.mark.parametrize("name", ["plain", "tid", "ground-truth", "floor", "two words", "../up"])
def test_a_name_that_is_taken_or_not_allowed_is_left_out_and_told_once(install, name, caplog):
    install(points={"ivgbench.methods": {name: "lamp:Lamp", "lamp": "lamp:Lamp"}})
    for _ in range(2):
        assert METHODS.names()[: len(BUILT_IN)] == BUILT_IN
        assert "lamp" in METHODS.plugins() and name not in METHODS.plugins()
    (line,) = caplog.messages
    assert line.startswith(f"ivgbench: left out: the method {name!r} of the package lamp 1.2 (lamp:Lamp): ")
    assert METHODS.get("plain").__module__ == "ivgbench.generator.methods.plain"
    assert METHODS.canonical("tid") == "mask-norm-tid"


def test_two_packages_with_one_name_get_neither(install, caplog):
    install(points={"ivgbench.methods": {"lamp": "lamp:Lamp"}})
    install("", {"ivgbench.methods": {"lamp": "torch_light:Lamp", "light": "lamp:Lamp"}}, "torch_light")
    assert "light" in METHODS.names() and "lamp" not in METHODS.names()
    with pytest.raises(ValueError, match=r"lamp 1\.2 \(lamp:Lamp\) and .* torch_light 1\.2 .*offered once"):
        METHODS.canonical("lamp")
    (left_out,) = [one for one in doctor.examine(doctor.Path(".")) if one.result == "left out"]
    assert left_out.remedy == METHODS.left_out()[0] == caplog.messages[0].removeprefix("ivgbench: ")


def test_the_frame_encoder_clip_is_the_runs_own(install):
    install(points={"ivgbench.frame_encoders": {"clip": "lamp:Grey"}})
    assert "clip" not in FRAME_ENCODERS.names() and "package lamp 1.2" in FRAME_ENCODERS.left_out()[0]


def test_a_registry_of_another_kind_reads_its_own_group(install):
    install(points={"ivgbench.soft_things": {"pillow": "lamp:Lamp"}})
    assert Registry("soft thing", {"colour": "colorsys:rgb_to_hsv"}).names() == ["colour", "pillow"]
