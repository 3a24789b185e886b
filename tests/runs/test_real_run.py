"""A run with the real models of the pocket lab: every method, the same bit for bit in any number of workers."""

import numpy as np
import pytest

from ivgbench.engines.local import LocalEngine
from ivgbench.generator.backbones.base import family_of
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.sampling import Sampling
from ivgbench.registry import METHODS
from ivgbench.runs import runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["pocket", "pocket-dit"])
def test_all_methods_run_and_workers_do_not_matter(tmp_path, backbone):
    offers = family_of(backbone).offers
    methods = tuple(MethodSpec(name) for name in METHODS.builtin() if resolve(name).needs() <= offers)
    spec = RunSpec("r", methods, backbone, suites=("static",), cases=1, sampling=Sampling(2), ground_truth=True)
    lab = Lab("cpu")
    plan = make_plan(spec, lab)
    pixels = []
    for workers in (1, 2):
        store = Store(tmp_path / str(workers))
        outcome = runner.run(plan, store, lab, LocalEngine(workers))
        assert (outcome.made, outcome.failed, outcome.missing) == (len(methods) + 1, 0, 0)
        sidecars = [store.sidecar(job.id) for job in plan.jobs]
        generated = [
            (job, facts) for job, facts in zip(plan.jobs, sidecars, strict=True) if job.method in METHODS.builtin()
        ]
        cost = lab.costs(spec)
        assert [facts["nfe"] for _, facts in generated] == [cost(job).evaluations for job, _ in generated]
        pixels.append([facts["pixel_sha256"] for facts in sidecars])
        rows, _ = store.load_rows("r")
        truth = {row["metric"]: row["value"] for row in rows if row["method"] == "ground-truth"}
        assert truth["covered"] == 1 and truth["miou_volume"] > 0.7
        assert truth["clip_sim"] > truth["clip_sim_shuffled"]
    assert pixels[0] == pixels[1]
    assert len(set(pixels[0])) == len(pixels[0])


def test_a_batch_makes_the_clips_of_its_jobs():
    lab = Lab("cpu")
    spec = RunSpec("r", (MethodSpec("peekaboo"),), suites=("static",), cases=2, sampling=Sampling(1))
    jobs = make_plan(spec, lab).jobs
    backbone = lab.backbone("pocket", "float32")
    together = lab.generate_batch(backbone, jobs)
    for job, made in zip(jobs, together, strict=True):
        alone = lab.generate(backbone, job)
        assert (made.nfe, made.backward) == (alone.nfe, alone.backward) == (1, 0)
        assert np.abs(made.video.astype(int) - alone.video.astype(int)).max() <= 1
    assert np.abs(together[0].video.astype(int) - together[1].video.astype(int)).max() > 10
