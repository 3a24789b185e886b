"""References as statistics; and what is left of the metrics where encoders or frames are few."""

from dataclasses import replace

import numpy as np
import pytest
from fake_lab import Encoder, FakeLab, InlineEngine
from reference_runs import clip, fill, rows, run

from ivgbench import load_suite, world
from ivgbench.cases import Suite
from ivgbench.errors import UserError
from ivgbench.metrics.fid import against
from ivgbench.runs import reference_statistics, references, runner
from ivgbench.runs.external import import_videos
from ivgbench.store.runs import Store
from ivgbench.store.video import encode


def save(path, x, encoder="cells-cells", **changes):
    arrays = {"mean": x.mean(0), "covariance": np.cov(x, rowvar=False), "count": len(x), "encoder": encoder, **changes}
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.fixture
def features(tmp_path):
    encoder = Encoder(tmp_path / "direct", "direct")
    return np.concatenate([encoder.embed_video(world.sample_clip("held-out", index).video) for index in range(6)])


@pytest.mark.parametrize("names", [("mean", "covariance"), ("mu", "sigma")])
def test_statistics_give_the_fid_of_the_videos(tmp_path, features, names):
    folder = fill(tmp_path / "real", *range(6))
    moments = (features.mean(0), np.cov(features, rowvar=False))
    arrays = {"mean": None, "covariance": None, **dict(zip(names, moments, strict=True))}
    path = save(tmp_path / "real.npz", features, **arrays)
    run(tmp_path, folder, path)
    found = rows(tmp_path)
    videos, known = found["real", "plain"], found["real.npz", "plain"]
    expected = videos["metrics"]["frames"]["cells"]
    assert known["metrics"]["frames"]["cells"]["fid"] == pytest.approx(expected["fid"], rel=1e-6)
    assert known["metrics"]["frames"]["cells"]["fid_low"] == pytest.approx(expected["fid_low"], rel=1e-6)
    # Only FID, and only with the encoder that they are of.
    assert set(known["metrics"]) == {"frames"} and set(known["metrics"]["frames"]) == {"cells"}
    assert "kid" not in known["metrics"]["frames"]["cells"]
    assert (known["reference_videos"], known["reference_frames"]) == (None, 48)
    assert ("real.npz", "floor") not in found


def test_statistics_of_another_encoder_are_refused_with_both_ids(tmp_path, features):
    path, good = save(tmp_path / "real.npz", features, "inception-1234"), fill(tmp_path / "good", 3, 4)
    with pytest.raises(runner.NotCompared, match=r"encoder inception-1234, .* has hash-clip-1, cells-cells:"):
        run(tmp_path, path, good)
    assert {reference for reference, _ in rows(tmp_path)} == {"good"}
    wrong = save(tmp_path / "wrong.npz", features[:, :5])
    with pytest.raises(runner.NotCompared, match=r"--reference wrong.npz: .*one dimension, got 48 and 5"):
        run(tmp_path, wrong, good)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"mean": None}, r"no mean \(one of mean, mu\)"),
        ({"encoder": None}, "no encoder"),
        ({"count": None}, "no count"),
        ({"mu": np.zeros(48)}, "two of mean: mean and mu"),
        ({"mean": np.zeros(47)}, r"got \[47\] and \[48, 48\]"),
        ({"covariance": np.zeros(48)}, r"got \[48\] and \[48\]"),
        ({"mean": np.full(48, np.nan)}, "not finite"),
        ({"covariance": np.arange(48.0**2).reshape(48, 48)}, "not symmetric"),
        ({"covariance": -np.eye(48)}, "negative variance"),
        ({"covariance": np.full((48, 48), "x")}, "covariance must be of real numbers"),
        ({"mean": np.zeros(48, complex)}, "mean must be of real numbers"),
        ({"mean": np.array([None] * 48)}, "not statistics that can be read"),
        ({"count": 1}, "whole number of frames, at least 2"),
        ({"count": 2.5}, "whole number of frames"),
        ({"count": "many"}, "whole number of frames"),
        ({"encoder": 3}, "encoder must be a text"),
    ],
)
def test_statistics_that_are_none_are_refused_before_any_work(tmp_path, features, changes, words):
    path = save(tmp_path / "real.npz", features, **changes)
    with pytest.raises(UserError, match=words) as refused:
        run(tmp_path, path)
    assert "\n" not in str(refused.value) and "real.npz: " in str(refused.value)
    assert not (tmp_path / "jobs").exists()


def test_files_that_hold_no_statistics_are_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))
    (tmp_path / "array.npy").rename(tmp_path / "array.npz")
    (tmp_path / "text.npz").write_text("no statistics")
    (tmp_path / "empty.npz").write_bytes(b"")
    (tmp_path / "one.mkv").write_bytes(clip(0))
    for name in ("array.npz", "text.npz", "empty.npz"):
        with pytest.raises(UserError, match=r"not statistics that can be read .* another kind of file"):
            references.check([str(tmp_path / name)])
    with pytest.raises(UserError, match="there is no such file"):
        references.check([str(tmp_path / "none.npz")])
    # The ending counts in any letter case, and a folder may be called like a file.
    with pytest.raises(UserError, match="not statistics that can be read"):
        references.check([str((tmp_path / "text.npz").rename(tmp_path / "TEXT.NPZ"))])
    references.check([str(fill(tmp_path / "folder.npz", 0, 1))])
    with pytest.raises(UserError, match="a file; give its folder"):
        references.check([str(tmp_path / "one.mkv")])


def test_statistics_in_single_precision_are_good_enough(tmp_path, features):
    path = save(tmp_path / "real.npz", features.astype(np.float32), encoder=np.bytes_("cells-cells"))
    known = reference_statistics.load(path)
    assert known.encoder == "cells-cells" and known.frames == 48
    assert against(features, known.gaussian) == pytest.approx(0, abs=1e-4)


# ---- any suite, any number of frames


def test_without_an_encoder_of_videos_fid_and_kid_stand_alone(tmp_path):
    folder = fill(tmp_path / "real", 0, 1, 2)
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    suite = load_suite("scenes-static")
    small, frames = Suite("scenes", suite.frames, suite.cases[:3]), suite.frames
    for number, case in enumerate(small.cases):
        video = np.repeat(world.sample_clip("held-out", number).video, 4, 0)[:frames]
        (theirs / f"{case.id}.mkv").write_bytes(encode(video))
    store = Store(tmp_path / "runs")
    plan = import_videos(theirs, small, "theirs", store, references=(str(folder),), frame_encoders=("cells",))
    assert plan.spec.video_encoder is None
    runner.run(plan, store, FakeLab(tmp_path / "log"), InlineEngine())
    (row,) = store.set_rows(plan.spec.name)
    assert set(row["metrics"]) == {"frames"} and row["metrics"]["frames"]["cells"]["kid"] is not None
    assert row["encoders"] == {"frames cells": "cells-cells"}


@pytest.mark.parametrize("frames", [1, 2])
def test_few_frames_leave_kid_undefined_and_the_rest_as_it_is(tmp_path, frames):
    folder, theirs = tmp_path / "real", tmp_path / "theirs"
    folder.mkdir(), theirs.mkdir()
    cases = []
    for case in load_suite("static").cases[:2]:
        tracks = [replace(subject, boxes=subject.boxes[:frames]) for subject in case.subjects]
        cases.append(replace(case, subjects=tuple(tracks)))
    small = Suite("few", frames, tuple(cases))
    for number, case in enumerate(small.cases):
        (folder / f"{number}.mkv").write_bytes(clip(number, frames))
        (theirs / f"{case.id}.mkv").write_bytes(clip(5 + number, frames))
    store = Store(tmp_path / "runs")
    plan = import_videos(theirs, small, "theirs", store, references=(str(folder),))
    assert runner.run(plan, store, FakeLab(tmp_path / "log"), InlineEngine()).failed == 0
    (row,) = store.set_rows(plan.spec.name)
    values = row["metrics"]["frames"]["clip"]
    assert (values["kid"] is None) == (values["kid_std"] is None) == (frames == 1)
    assert values["kid_subset_size"] == (None if frames == 1 else 2)
    assert None not in (values["fid"], values["kid_xvideo"], row["metrics"]["video"]["jedi"])
