"""Ray's engine on a real cluster: two nodes on this machine, which are killed while they work.

What is killed here is a process or a node of this test's own cluster; the clips of a run are drawn by the fake lab, and
once by the pocket lab.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest
from engine_work import bad_start, broken_start, dead_start, start, work
from fake_lab import FakeLab
from ray_work import SlowLab, walk

from ivgbench.engines.base import TRIES, Failure, StartFailed
from ivgbench.engines.local import LocalEngine
from ivgbench.errors import UserError
from ivgbench.generator.sampling import Sampling
from ivgbench.report import render, tables
from ivgbench.runs import runner
from ivgbench.runs.lab import Lab
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

pytest.importorskip("ray", reason="Ray is not installed: pip install 'ivgbench[ray]'")
pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
NODE = {"num_cpus": 1, "num_gpus": 0, "object_store_memory": 80 * 2**20}
SPEC = RunSpec("r", (MethodSpec("plain"), MethodSpec("tid")), cases=5, suites=("static",))


class Nodes:
    """A cluster of two nodes, of one CPU each; a test that takes one away leaves the next one two again."""

    def __init__(self):
        from ray.cluster_utils import Cluster

        self.cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        self.second = None

    def two(self):
        if self.second is None:
            self.second = self.cluster.add_node(**NODE)
            self.cluster.wait_for_nodes()

    def remove(self, rudely: bool):
        node, self.second = self.second, None
        self.cluster.remove_node(node, allow_graceful=not rudely)


@pytest.fixture(scope="module")
def nodes():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", f"{HERE.parents[1]}:{HERE.parent / 'doubles'}:{os.environ.get('PYTHONPATH', '')}")
        import ray

        made = Nodes()
        patch.setenv("RAY_ADDRESS", made.cluster.address)
        try:
            yield made
        finally:
            ray.shutdown()
            made.cluster.shutdown()


@pytest.fixture
def engine(nodes):
    from ivgbench.engines.ray import RayEngine

    nodes.two()
    return lambda workers=None: RayEngine(workers, "cpu")


def csv(store: Store, run: str = "r") -> bytes:
    """Table 1 of a run as its file, without the seconds that a clip took."""
    table = tables.build(1, store.root, run)
    for row in table.rows:
        row["seconds"] = 0.0
    return render.csv(table).encode()


def made_here(tmp_path: Path, spec: RunSpec = SPEC) -> Store:
    lab, store = FakeLab(tmp_path / "log-local"), Store(tmp_path / "local")
    runner.run(make_plan(spec, lab), store, lab, LocalEngine(1))
    return store


def while_at_work(lab: SlowLab, begun: int, act) -> threading.Thread:
    """Acts once so many clips are begun."""

    def wait():
        until = time.monotonic() + 60
        while len(lab.begun()) < begun and time.monotonic() < until:
            time.sleep(0.02)
        act()

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def is_there(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


def test_items_are_spread_over_both_nodes_and_models_are_loaded_once(engine, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IVGBENCH_NUMBER", "7")
    items = [*map(str, range(20)), "raise", "folder"]
    outcomes = dict(engine().run(start, work, items))
    assert [outcomes[k][0] for k in range(20)] == items[:20]
    pids = {outcomes[k][1] for k in range(20)}
    assert os.getpid() not in pids and len(pids) == 2
    assert outcomes[20].reason == "ValueError: two lines"
    assert outcomes[21][0] == str(tmp_path) and outcomes[21][2] == 7  # the driver's folder and settings
    until = time.monotonic() + 20
    while any(map(is_there, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_there, pids))


@pytest.mark.parametrize(
    ("begin", "kind", "words"),
    [(bad_start, UserError, "no weights"), (broken_start, StartFailed, "bug"), (dead_start, StartFailed, "died while")],
)
def test_workers_that_cannot_start_say_why(engine, begin, kind, words):
    with pytest.raises(kind, match=words):
        list(engine().run(begin, work, ["a", "b"]))


def test_a_worker_that_is_killed_is_replaced_and_its_item_tried_again(engine):
    outcomes = dict(engine(1).run(start, work, ["a", "die", "b"]))
    assert outcomes[0][0] == "a" and outcomes[2][0] == "b"
    assert isinstance(outcomes[1], Failure) and outcomes[1].kind == "died"
    assert outcomes[1].reason.startswith("the worker died: ") and f"({TRIES} times)" in outcomes[1].reason
    assert "\n" not in outcomes[1].reason and len(outcomes[1].reason) < 300


def test_workers_tell_how_many_steps_are_done(engine):
    heard = []
    assert dict(engine().run(start, walk, [9, 9], hear=lambda *far: heard.append(far))) == {0: 9, 1: 9}
    for item in (0, 1):
        done = [done for index, done, of in heard if index == item]
        assert len(set(done)) >= 3 and done == sorted(done)


def test_a_run_gives_the_local_table(engine, tmp_path):
    store, lab = Store(tmp_path / "ray"), FakeLab(tmp_path / "log")
    assert runner.run(make_plan(SPEC, lab), store, lab, engine())[1:] == (10, 10, 0, 0)
    assert csv(store) == csv(made_here(tmp_path))


@pytest.mark.parametrize("rudely", [False, True])
def test_what_a_lost_node_held_is_given_out_again(nodes, engine, tmp_path, rudely, capsys):
    lab, store = SlowLab(tmp_path / "log", pids=tmp_path / "pids", seconds=0.4), Store(tmp_path / "ray")
    killer = while_at_work(lab, 4, lambda: nodes.remove(rudely))
    outcome = runner.run(make_plan(SPEC, lab), store, lab, engine())
    killer.join()
    assert outcome[1:] == (10, 10, 0, 0)  # none failed
    # What the node held was begun again, by the other's worker or, where Ray was quick, by a new one.
    assert len(lab.begun()) == 11 and len(set(lab.begun())) in (2, 3)
    assert "failed" not in capsys.readouterr().err
    assert csv(store) == csv(made_here(tmp_path))


def test_a_node_that_joins_is_used(nodes, engine, tmp_path):
    nodes.remove(False)
    engine = engine()
    lab, store = SlowLab(tmp_path / "log", pids=tmp_path / "pids", seconds=1.0), Store(tmp_path / "ray")
    plan = make_plan(RunSpec("r", SPEC.methods, cases=20, suites=("static",)), lab)
    made = []
    at_work = threading.Thread(target=lambda: made.append(runner.run(plan, store, lab, engine).made))
    at_work.start()
    while not lab.begun():
        time.sleep(0.02)
    nodes.two()  # Ray starts a node from the main thread only
    at_work.join()
    assert made == [40] and len(set(lab.begun())) == 2


@pytest.mark.parametrize("how", ["kill", "torch"])
def test_a_worker_without_memory_has_smaller_batches(engine, tmp_path, how, capsys):
    lab, store = SlowLab(tmp_path / "log", pids=tmp_path / "pids", too_many=2, how=how), Store(tmp_path / "ray")
    assert runner.run(make_plan(SPEC, lab), store, lab, engine(), batch_size=4)[1:] == (10, 10, 0, 0)
    tried = {line for line in lab.made() if line.startswith("batch:")}
    assert tried == {"batch:4", "batch:2"}
    told = capsys.readouterr().err
    assert ("made again, 2 at once: the worker died" if how == "kill" else "going on with 2") in told
    assert csv(store) == csv(made_here(tmp_path))


def test_a_clip_that_always_kills_its_worker_is_a_row_with_its_reason(engine, tmp_path):
    broken = {"pocket-static-01": "die"}
    lab, store = SlowLab(tmp_path / "log", broken, pids=tmp_path / "pids"), Store(tmp_path / "ray")
    assert runner.run(make_plan(SPEC, lab), store, lab, engine(), batch_size=2)[1:] == (10, 8, 2, 0)
    failed = {row["case"]: row["status"] for row in store.load_rows("r")[0] if row["metric"] == "failed"}
    assert failed.keys() == broken.keys()
    assert failed["pocket-static-01"].startswith("failed: ") and "times)" in failed["pocket-static-01"]
    mended = FakeLab(tmp_path / "log2")
    assert runner.run(make_plan(SPEC, mended), store, mended, engine()).made == 2
    assert csv(store) == csv(made_here(tmp_path))


PROGRAM = """
import sys
from pathlib import Path
from ray_work import SlowLab
from test_ray_cluster import SPEC
from ivgbench.engines.ray import RayEngine
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.store.runs import Store
root = Path(sys.argv[1])
lab = SlowLab(root / "log", pids=root / "pids", seconds=0.5)
print(runner.run(make_plan(SPEC, lab), Store(root / "ray"), lab, RayEngine(None, "cpu")).made)
"""


def test_a_driver_that_is_killed_leaves_no_worker_and_the_next_one_goes_on(engine, tmp_path):
    lab = SlowLab(tmp_path / "log", pids=tmp_path / "pids")
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{os.environ['PYTHONPATH']}"}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as driver:
        while len(lab.begun()) < 5 and driver.poll() is None:
            time.sleep(0.02)
        driver.send_signal(signal.SIGKILL)
    assert driver.returncode == -signal.SIGKILL
    killed, until = set(lab.begun()), time.monotonic() + 30
    while any(map(is_there, killed)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(is_there, killed))  # actors die with their driver
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert told.returncode == 0, told.stderr
    assert 3 <= int(told.stdout) <= 8  # the rest only
    assert csv(Store(tmp_path / "ray")) == csv(made_here(tmp_path))


def test_the_pocket_lab_makes_the_same_table_on_ray(engine, tmp_path):
    methods = (MethodSpec("plain"), MethodSpec("tid"))
    spec, lab = RunSpec("r", methods, suites=("static",), cases=2, sampling=Sampling(2)), Lab("cpu")
    plan, stores = make_plan(spec, lab), [Store(tmp_path / name) for name in ("local", "ray")]
    assert runner.run(plan, stores[0], lab, LocalEngine(1))[1:] == (4, 4, 0, 0)
    assert runner.run(plan, stores[1], lab, engine())[1:] == (4, 4, 0, 0)
    assert csv(stores[0]) == csv(stores[1])
    pixels = [[store.sidecar(job.id)["pixel_sha256"] for job in plan.jobs] for store in stores]
    assert pixels[0] == pixels[1]
