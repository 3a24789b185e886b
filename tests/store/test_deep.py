"""What no size and no time tells: everything is read, damage is named, and the next run makes it good."""

import os

import pytest
from fake_lab import FakeLab, InlineEngine

from ivgbench.runs import doctor, runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store


def looked(root):
    return {one.what: one for one in doctor.stored(root, lambda what, count: lambda: None)}


@pytest.mark.parametrize("kind", ["clips", "scores", "manifests", "cached"])
def test_damage_under_the_same_size_and_time_is_found_and_mended(tmp_path, kind):
    spec, lab = RunSpec("r", (MethodSpec("plain"),), suites=("static",), cases=2), FakeLab(tmp_path / "log")
    plan = make_plan(spec, lab)
    runner.run(plan, Store(tmp_path), lab, InlineEngine())
    assert not any(one.remedy for one in looked(tmp_path).values())
    assert looked(tmp_path)["stored clips"].result == "2 whole"
    pattern = {"clips": "jobs/*/video.mkv", "scores": "scores/*", "manifests": "manifests/*", "cached": "cache/*/*"}
    file = sorted(tmp_path.glob(pattern[kind]))[0]
    data, about = bytearray(file.read_bytes()), file.stat()
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(about.st_atime_ns, about.st_mtime_ns))
    told = looked(tmp_path)
    assert "1 of " in told[f"stored {kind}"].result and "damaged; first: " in told[f"stored {kind}"].result
    assert [name for name, one in told.items() if one.remedy] == [f"stored {kind}"]
    outcome = runner.run(plan, Store(tmp_path), lab, InlineEngine())
    assert outcome.made == (kind == "clips") and outcome.failed == outcome.missing == 0
    assert not any(one.remedy for one in looked(tmp_path).values())


def test_an_empty_folder_has_nothing_damaged(tmp_path):
    assert all(one.result == "0 whole" for one in looked(tmp_path / "none").values())
    assert not (tmp_path / "none").exists()
