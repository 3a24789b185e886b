"""Metrics of other packages when a run is looked at again: what has its value is left alone, what failed is tried."""

import json
import shutil

import pytest
from test_proportion import SPEC, counts, run  # noqa: F401

from ivgbench import load_suite
from ivgbench.files import digest
from ivgbench.metrics import own
from ivgbench.metrics.catalogue import Metric
from ivgbench.runs import scoring
from ivgbench.store import runs as stored

CLIPS = 3 * SPEC.cases


class Glow:
    """Brightness. `seen`: prompts of the clips that it was asked of; it fails where one has a word of `dark`."""

    about = Metric("glow", "mean brightness", ("video", "detections"))
    seen, dark = [], []

    def measure(self, seen):
        self.seen.append(seen.prompt)
        if any(word in seen.prompt for word in self.dark):
            raise ArithmeticError("too dark")
        return seen.video.mean() / 255


@pytest.fixture
def install(monkeypatch):
    """Offers Glow as if a package did, as one of some version and needs."""

    def put(version=1, needs=Glow.about.needs):
        about = Metric("glow", "mean brightness", needs, version=version)
        monkeypatch.setattr(Glow, "about", about)
        monkeypatch.setattr(own, "find", lambda: own.Found((about,), {}))
        Glow.seen.clear()

    monkeypatch.setitem(own.METRICS._builtin, "glow", f"{__name__}:Glow")
    monkeypatch.setattr(Glow, "dark", [])
    put()
    return put


def scores(root):
    return {path.name: json.loads(path.read_bytes()) for path in (root / "scores").iterdir()}


def test_a_finished_run_reads_nothing_and_asks_nobody(tmp_path, install, counts):  # noqa: F811
    run(tmp_path)
    asked = len(Glow.seen)
    assert asked == CLIPS and all(one["metrics"]["glow"] > 0 for one in scores(tmp_path).values())
    counts.clear()
    assert run(tmp_path) == ("r", CLIPS, 0, 0, 0)
    assert not counts and len(Glow.seen) == asked
    (tmp_path / "index.json").unlink()
    run(tmp_path)
    assert counts["scores"] == counts["cache reads"] == 0 and len(Glow.seen) == asked


def test_a_score_with_a_fault_is_tried_again_and_no_other(tmp_path, install, counts):  # noqa: F811
    Glow.dark = ["star"]
    assert run(tmp_path).failed == 0
    faults = {name: one for name, one in scores(tmp_path).items() if "faults" in one}
    assert 0 < len(faults) < CLIPS
    Glow.seen.clear()
    counts.clear()
    run(tmp_path)
    assert counts["scores written"] == len(faults) and {"star" in prompt for prompt in Glow.seen} == {True}
    Glow.dark = []
    run(tmp_path)
    now = scores(tmp_path)
    assert not any("faults" in one for one in now.values()) and all(now[name]["metrics"]["glow"] > 0 for name in faults)
    counts.clear()
    run(tmp_path)
    assert not counts


def test_a_fault_is_tried_again_though_its_value_came_by_another_run(tmp_path, install):
    Glow.dark = [""]
    run(tmp_path)
    before = scores(tmp_path)
    Glow.dark = []
    shutil.move(tmp_path / "scores", tmp_path / "kept")
    run(tmp_path)
    shutil.rmtree(tmp_path / "scores")
    shutil.move(tmp_path / "kept", tmp_path / "scores")
    (tmp_path / "index.json").unlink()
    assert scores(tmp_path) == before and all("faults" in one for one in before.values())
    Glow.seen.clear()
    run(tmp_path)
    assert not Glow.seen and not any("faults" in one for one in scores(tmp_path).values())


def test_a_value_that_is_gone_or_of_other_needs_is_measured_again(tmp_path, install, counts):  # noqa: F811
    run(tmp_path)
    next((tmp_path / "cache").glob("metric*/*.npz")).unlink()
    counts.clear()
    Glow.seen.clear()
    run(tmp_path)
    # All methods drew this case alike: one value is of all these clips.
    assert len(set(Glow.seen)) == 1 and counts["scores written"] == len(Glow.seen) < CLIPS
    for about in ({"needs": ("video",)}, {"version": 2}):
        install(**about)
        run(tmp_path)
        assert Glow.seen and all("glow" in one["metrics"] for one in scores(tmp_path).values())


def test_a_metric_that_changes_is_out_of_date_in_every_score(tmp_path, monkeypatch, counts):  # noqa: F811
    run(tmp_path)
    run(tmp_path)  # now the index knows the scores
    monkeypatch.setattr(stored.catalogue, "raised", lambda: {"miou": 2})
    counts.clear()
    run(tmp_path)
    assert counts["scores written"] == CLIPS and counts["workers"] == 0
    counts.clear()
    run(tmp_path)
    assert not counts


def test_the_key_of_a_value_is_the_digest_of_what_it_is_made_of():
    case, judges = load_suite("static").cases[0], scoring.Judges("d", "c", "s")
    made = digest([case.content(), ["video", "detections"], ["d"]])
    assert scoring.own_key(Glow.about, judges, "p", case) == f"p-{made[:12]}"


def test_a_score_of_metrics_of_its_own_is_another_file(install):
    suite, judges = load_suite("static"), scoring.Judges("d", "c", "s")
    plain, glow = (f"j-{digest(['d', 'c', 's', suite.sha256, *more])[:8]}" for more in ([], [{"glow": 1}]))
    assert scoring.score_id("j", judges, suite) == plain
    assert scoring.score_id("j", judges._replace(own=(Glow.about,)), suite) == glow
