"""From a spec to its jobs."""

import numpy as np

from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.suites import load_suite, spread


def test_boxes_are_spread_over_the_frames_that_a_backbone_can_make():
    spec = RunSpec("r", (MethodSpec("plain"),), "wan-1.3b", ("scenes-static",), cases=1)
    plan = make_plan(spec, Lab("cpu"), dry=True)
    (job,) = plan.jobs
    assert job.case.frames == 81 and plan.suites["scenes-static"].frames == 81
    assert any("the boxes of its 24 frames are spread over 81" in note for note in plan.notes)


def test_a_spread_path_keeps_its_ends_and_its_way():
    suite = load_suite("scenes-dynamic")
    wide = spread(suite, 2 * suite.frames - 1)
    for before, after in zip(suite.cases, wide.cases, strict=True):
        for old, new in zip(before.subjects, after.subjects, strict=True):
            np.testing.assert_allclose(new.boxes[::2], old.boxes, atol=1e-12)
            assert new.phrase == old.phrase and len(new.boxes) == wide.frames
