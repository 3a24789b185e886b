"""Ray's engine against a stand-in for Ray, in an instant; `test_ray_cluster` has the real one."""

import socket
import sys

import fake_ray
import pytest
from fake_lab import FakeLab

from ivgbench.engines.base import TRIES, DiskFull, Failure, StartFailed
from ivgbench.engines.queue import LOST
from ivgbench.engines.ray import RayEngine
from ivgbench.errors import UserError
from ivgbench.runs import runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.spec import MethodSpec, RunSpec
from ivgbench.store.runs import Store

CLUSTER = {"CPU": 6.0, "GPU": 2.0}


def start():
    return {"calls": 0}


def work(state, item):
    state["calls"] += 1
    if item == "raise":
        raise ValueError("two\nlines")
    if item == "die":
        fake_ray.die()
    if item == "lost":
        fake_ray.die(lost=True)
    if item == "full":
        raise OSError(28, "No space left on device", "clip.mkv")
    return item, state["calls"]


def broken():
    raise RuntimeError("bug")


def bad():
    raise UserError("no weights")


@pytest.fixture
def ray(monkeypatch):
    return fake_ray.install(monkeypatch, CLUSTER)


def test_every_item_has_an_outcome_and_models_are_loaded_once_per_actor(ray):
    items = [str(k) for k in range(12)]
    outcomes = dict(RayEngine(3, "cpu").run(start, work, items))
    assert [outcomes[k][0] for k in range(12)] == items
    assert (ray.made, ray.killed, ray.inits) == (3, 3, 1)


def test_one_actor_per_gpu_or_cpu_of_the_cluster(ray):
    assert [RayEngine(None, device).workers for device in ("cuda", "auto", "cpu")] == [2, 2, 6]
    assert RayEngine(1, "auto").asks == {"num_cpus": 1, "num_gpus": 1}
    assert RayEngine(9, "cpu").asks == {"num_cpus": 1, "num_gpus": 0}
    list(RayEngine(1, "cuda").run(start, work, ["a"]))
    assert ray.options == [{"num_cpus": 1, "num_gpus": 1, "concurrency_groups": {"ear": 1}}]


def test_as_many_actors_as_are_up_wait_for_room(monkeypatch):
    ray = fake_ray.install(monkeypatch, {"CPU": 1.0})
    assert len(list(RayEngine(None, "cpu").run(start, work, [str(k) for k in range(40)]))) == 40
    assert 4 < ray.made == ray.killed <= 40  # all find room here; no more than there are items
    ray = fake_ray.install(monkeypatch, {"CPU": 1.0})
    list(RayEngine(3, "cpu").run(start, work, [str(k) for k in range(40)]))
    assert ray.made == 3


def test_a_fault_costs_one_item(ray):
    outcomes = dict(RayEngine(1, "cpu").run(start, work, ["a", "raise", "die", "b"]))
    assert outcomes[0][0] == "a" and outcomes[3][0] == "b"
    assert outcomes[1].reason == "ValueError: two lines"
    assert outcomes[2] == Failure(f"the worker died: killed by signal 9 ({TRIES} times)", kind="died")
    assert ray.made == 1 + TRIES  # a fresh one took its place, each time


def test_what_goes_with_its_machine_is_given_out_more_often(ray):
    (outcome,) = dict(RayEngine(1, "cpu").run(start, work, ["lost"], lambda item: 1)).values()
    assert outcome.reason == f"its machine was lost: killed by signal 9 ({LOST} times)"


@pytest.mark.parametrize(
    ("begin", "kind", "words"),
    [(broken, StartFailed, "bug"), (bad, UserError, "no weights"), (fake_ray.die, StartFailed, "died while loading")],
)
def test_workers_that_cannot_start_say_why(ray, begin, kind, words):
    with pytest.raises(kind, match=words):
        list(RayEngine(2, "cpu").run(begin, work, ["a", "b", "c"]))
    assert 2 <= ray.killed == ray.made


def test_a_full_disk_stops_the_work(ray):
    with pytest.raises(DiskFull, match=r"clip\.mkv"):
        list(RayEngine(1, "cpu").run(start, work, ["a", "full", "b"]))


def test_no_items_start_no_actor(ray):
    assert list(RayEngine(2, "cpu").run(broken, work, [])) == [] and ray.made == 0


def test_what_is_wrong_is_one_line(ray, monkeypatch):
    with pytest.raises(UserError, match="at least 1"):
        RayEngine(0, "cpu")
    fake_ray.install(monkeypatch, {"CPU": 1.0})
    with pytest.raises(UserError, match="no GPU"):
        RayEngine(None, "cuda")
    with pytest.raises(UserError, match="a GPU of its own; use --device cuda"):
        RayEngine(None, "cuda:1")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'ivgbench\[ray\]' .* this is Python 3"):
        RayEngine(None, "cpu")


def test_an_address_where_nobody_answers_is_told_at_once(ray, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        monkeypatch.setenv("RAY_ADDRESS", address)
        RayEngine(1, "cpu")
    ray.inits = 0
    with pytest.raises(UserError, match=f"nobody answers at RAY_ADDRESS={address}"):
        RayEngine(1, "cpu")


def test_a_run_is_the_same_on_ray(ray, tmp_path):
    spec = RunSpec("r", (MethodSpec("plain"), MethodSpec("tid")), cases=2, suites=("static",))
    stores = []
    for name, engine in (("ray", RayEngine(2, "cpu")), ("again", RayEngine(1, "cpu"))):
        lab, store = FakeLab(tmp_path / f"log-{name}"), Store(tmp_path / name)
        assert runner.run(make_plan(spec, lab), store, lab, engine).made == 4
        stores.append([{k: v for k, v in row.items() if row["metric"] != "seconds"} for row in store.load_rows("r")[0]])
    assert stores[0] == stores[1]
