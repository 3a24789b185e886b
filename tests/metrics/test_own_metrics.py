"""Metrics of other packages: a column, a line of the list and a part of the score each; a broken one costs itself."""

import json
import sys

import numpy as np
import plugin_package
import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench.cli.catalogue import list_command
from ivgbench.errors import UserError
from ivgbench.metrics import own
from ivgbench.metrics.catalogue import KNOWN
from ivgbench.plugins import PluginFault
from ivgbench.report import layout, render, tables
from ivgbench.runs import doctor, runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

HEAD = "import numpy as np\nfrom ivgbench.metrics.catalogue import Metric\n"
ROW = "Metric('glow', 'mean brightness', ('video', 'asked boxes', 'detections', 'frame features', 'text features'), "
ROW += "'Glow_|', '%', -1, 3, version={version})"
#: Brightness; of clips whose prompt has a blue thing there is no value. It writes down the shapes of what it is given.
GLOW = (
    HEAD
    + """
class Glow:
    about = {row}

    def measure(self, seen):
        with open({log!r}, "a") as log:
            print(seen.prompt, *(one.shape for one in (seen.video, seen.asked, seen.detected)), file=log)
        assert not seen.video.flags.writeable and seen.video.dtype == np.uint8 and seen.phrases
        assert seen.frame_features.shape[1:] == seen.text_features.shape
        {body}
"""
)
MEAN = "return None if 'blue' in seen.prompt else seen.video.mean() / 255"
POINTS = {"ivgbench.metrics": {"glow": "glow:Glow"}}


def glow(log, version=1, body=MEAN):
    return GLOW.format(row=ROW.format(version=version), log=str(log), body=body)


@pytest.fixture
def install(monkeypatch, tmp_path):
    """A package glow 1.2 of some code; what was installed before is replaced, as in a new process."""

    def put(code, points=POINTS, at="site"):
        folder = tmp_path / at
        folder.mkdir()
        monkeypatch.setattr(sys, "path", [str(folder), *(one for one in sys.path if not one.startswith(str(tmp_path)))])
        monkeypatch.setattr(own.METRICS, "_found", None)
        sys.modules.pop("glow", None)
        return plugin_package.install(folder, code, points, "glow")

    monkeypatch.setattr(own.METRICS, "_found", None)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield put
    sys.modules.pop("glow", None)


@pytest.fixture
def run(tmp_path):
    """Runs two cases under two methods; the built table and the store."""
    lab, store = FakeLab(tmp_path / "log"), Store(tmp_path / "runs")

    def made(name="r"):
        methods = (MethodSpec("plain", {"shift": 0.3}), MethodSpec("tid"))
        runner.run(make_plan(RunSpec(name, methods, suites=("static",), cases=3), lab), store, lab, InlineEngine())
        return tables.build(1, store.root, name), store

    return made


def scores(store):
    return [json.loads(path.read_text()) for path in sorted((store.root / "scores").glob("*.json"))]


def test_it_is_a_column_after_the_others_in_every_output(install, run, tmp_path):
    install(glow(tmp_path / "asked"))
    built, store = run()
    lines = built.frame.set_index("label")
    keys = list(built.frame)
    at = keys.index("centroid_distance_n") + 1
    assert keys[at : at + 4] == ["glow", "glow_low", "glow_high", "glow_n"]
    clips = [store.clip(one["job"]) for one in store.manifest("r")["jobs"] if one["label"] == "plain"]
    prompts = [store.sidecar(one["job"])["spec"]["case"]["prompt"] for one in store.manifest("r")["jobs"]]
    known = [clip.mean() / 255 for clip, prompt in zip(clips, prompts[::2], strict=True) if "blue" not in prompt]
    assert lines.loc["Plain", "glow"] == pytest.approx(100 * np.mean(known)) and lines.loc["Plain", "glow_n"] == len(
        known
    )
    (block, _) = layout.blocks(built)
    place = block.header.index("Glow_| % ↓")
    assert block.header[place - 1] == "CD ↓" and block.header[place + 1] == "n"
    assert {row[place].rank for row in block.rows[:2]} <= {0, 1, 2}
    assert r"Glow\_\| % ↓" in render.markdown(built) and r"Glow\_| \% $\downarrow$" in render.tex(built)
    assert ",glow,glow_low," in render.csv(built)
    (note,) = [
        one for one in built.notes if one.startswith("Glow_|: mean brightness (of another package: glow, version 1")
    ]
    lacking = 2 * (3 - len(known))
    assert (f"{lacking} of 6 clips have no value" in note) == bool(lacking)
    assert all(one["own_metrics"] == {"glow": 1} and "glow" in one["metrics"] for one in scores(store))


def test_it_sees_each_clip_once_and_another_version_sees_it_again(install, run, tmp_path):
    log = tmp_path / "asked"
    install(glow(log))
    first, store = run()
    assert len(log.read_text().splitlines()) == 6
    assert all("(8, 48, 80, 3) (1, 8, 4) (1, 8, 4)" in line for line in log.read_text().splitlines())
    run()
    assert len(log.read_text().splitlines()) == 6
    install(glow(log, 2, "return 0.5"), at="second")
    # A stored run is what it was measured by, whatever is installed now.
    assert tables.build(1, store.root, "r").frame["glow"].tolist() == first.frame["glow"].tolist()
    second, _ = run("other")
    assert len(log.read_text().splitlines()) == 12 and set(second.frame["glow"]) == {50.0}
    with pytest.raises(UserError, match=r"their metric 'glow' differs \(version 1; 2\); score one of them again"):
        tables.build(1, store.root, ["r", "other"])


def test_a_stored_run_needs_the_package_no_more_and_one_without_it_stays_as_it_was(install, run, tmp_path):
    before, store = run("before")
    named = {path.name for path in (store.root / "scores").iterdir()}
    kept = {path.name: path.read_bytes() for path in (store.root / "scores").iterdir()}
    install(glow(tmp_path / "asked"))
    run("after")
    assert {path.name: path.read_bytes() for path in (store.root / "scores").iterdir() if path.name in named} == kept
    install("", {}, at="nothing")
    assert "glow" not in tables.build(1, store.root, "before").frame and "own_metrics" not in store.manifest("before")
    assert tables.build(1, store.root, "after").frame["glow"].notna().all()
    both = tables.build(1, store.root, ["before", "after"])
    assert "glow" in both.frame and len(both.frame) == len(before.frame)


def test_what_fails_on_a_clip_costs_that_value(install, run, tmp_path, capsys):
    install(glow(tmp_path / "asked", body="return 1 / ('star' not in seen.prompt) if 'star' in seen.prompt else 1.0"))
    built, store = run()
    told = capsys.readouterr().err
    failed = [one for one in scores(store) if "faults" in one]
    if not failed:
        pytest.fail("no prompt of the cases has a star")
    assert (
        "the metric 'glow' of the package glow 1.2 (glow:Glow) failed: ZeroDivisionError" in failed[0]["faults"]["glow"]
    )
    assert f"no glow of {len(failed)} clips: the metric 'glow' of the package glow 1.2" in told
    assert built.partial is None and built.frame["miou_all"].notna().all()
    assert all(one["metrics"]["glow"] is None for one in failed)
    # The next run tries these again, and only these.
    count = len((tmp_path / "asked").read_text().splitlines())
    run()
    assert len((tmp_path / "asked").read_text().splitlines()) == count + len(failed)


@pytest.mark.parametrize("body", ["return 'much'", "return float('inf')", "return [1.0]", "raise SystemExit(3)",
                                  "seen.video[:] = 0"])  # fmt: skip
def test_what_is_no_number_is_a_fault(install, tmp_path, body):
    install(glow(tmp_path / "asked", body=body))
    with pytest.raises(
        PluginFault, match=r"the metric 'glow' of the package glow 1.2 \(glow:Glow\) (returned|failed)"
    ) as fault:
        own.measured("glow", own.make("glow"), own.Seen("a star", ("star",), np.zeros((2, 4, 4, 3), np.uint8),
                     *[np.zeros((1, 2, 4))] * 2, np.zeros((2, 8)), np.zeros(8)))  # fmt: skip
    assert "\n" not in str(fault.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import nothing_of_this_name", "cannot be imported: ModuleNotFoundError"),
        ("raise SystemExit(3)", "cannot be imported: SystemExit"),
        ("Glow = 3", "is no metric: it must be a class with `about`, a ivgbench.metrics.catalogue.Metric"),
        (HEAD + "class Glow: about = Metric('glow', 'what', ())", "is no metric"),
        (HEAD + "class Glow:\n    about = Metric('glow', 'what', ('pixels',))", "it needs 'pixels'; known: video"),
        (
            HEAD + "class Glow:\n    about = Metric('glow', 'what', 'references')\n    def measure(self, seen): ...",
            "needs 'references'; of one clip there are: video",
        ),
        (
            HEAD + "class Glow:\n    about = Metric('shine', 'what', ())\n    def measure(self, seen): ...",
            "says that its name is 'shine'",
        ),
    ],
)
def test_a_broken_one_is_one_line_and_the_run_goes_on_without_it(install, run, capsys, code, words):
    install(code)
    built, store = run()
    (line,) = [one for one in capsys.readouterr().err.splitlines() if "left out" in one]
    assert "the metric 'glow' of the package glow 1.2 (glow:Glow)" in line and words in line
    assert "glow" not in built.frame and "own_metrics" not in store.manifest("r") and built.partial is None
    list_command("metrics")
    told = " ".join(capsys.readouterr().out.split())
    assert "miou_volume" in told and "glow 1.2" in told
    (found,) = [one for one in doctor._plugins() if one.what == "plug-in: metric glow"]
    assert found.result == "broken" and words in found.remedy


@pytest.mark.parametrize("name", ["miou", "miou_all", "kid_std", "label", "clip_sim_low", "two words"])
def test_a_name_that_is_taken_is_left_out(install, name):
    install("", {"ivgbench.metrics": {name: "glow:Glow", "fine": "glow:Glow"}})
    assert own.METRICS.plugins() == ["fine"] and name in own.METRICS.left_out()[0]


def test_endings_of_columns_are_no_names(install):
    code = HEAD + "class Glow:\n    about = Metric('glow_n', 'what', ())\n    def measure(self, seen): ..."
    install(code, {"ivgbench.metrics": {"glow_n": "glow:Glow"}})
    assert own.find().rows == () and "ends in _low, _high, _n" in own.find().faults["glow_n"]


def test_it_is_listed(install, capsys, tmp_path):
    install(glow(tmp_path / "asked", 7))
    list_command("metrics")
    told = capsys.readouterr().out
    assert "glow" in told and "mean brightness" in told and "7" in told and all(name in told for name in KNOWN)
