"""As much of Ray as the engine uses, in one process: actors, references, wait, and actors that die."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    pass


class ActorUnavailableError(RayError):
    pass


class Died(BaseException):
    """What work raises here to take its actor with it, as a kill would; or, `lost`, the machine with it."""

    def __init__(self, lost: bool = False):
        self.lost = lost


def install(monkeypatch: Any, resources: dict[str, float]) -> SimpleNamespace:
    """Puts a `ray` into sys.modules; returns what it did: actors made, killed, and the options they were made with."""
    log = SimpleNamespace(made=0, killed=0, options=[], inits=0)

    class Actor:
        def __init__(self, cls: type, *arguments: Any):
            log.made += 1
            self._held, self._dead = cls(*arguments), False

        def __getattr__(self, name: str) -> Any:
            call = SimpleNamespace(remote=lambda *arguments: Reference(self, name, arguments))
            call.options = lambda **_: call
            return call

    class Reference:
        """Computed when it is asked for, once."""

        def __init__(self, actor: Actor, name: str, arguments: tuple):
            self.actor, self.name, self.arguments = actor, name, arguments

        def get(self) -> Any:
            if self.actor._dead:
                raise ActorDiedError("the actor\nis dead")
            try:
                return getattr(self.actor._held, self.name)(*self.arguments)
            except Died as fault:
                self.actor._dead = True
                raise (ActorUnavailableError if fault.lost else ActorDiedError)("killed by signal 9") from None

    def remote(**options: Any) -> Any:
        log.options.append(options)
        return lambda cls: SimpleNamespace(remote=lambda *arguments: Actor(cls, *arguments))

    def kill(actor: Actor) -> None:
        log.killed += 1

    def init(**_: Any) -> None:
        log.inits += 1

    def wait(asked: list, num_returns: int, timeout: float) -> tuple[list, list]:
        """The last that was asked for, out of order; what says how far another is comes after all else."""
        done = [one for one in asked if one.name != "heard"][-num_returns:]
        return done, [one for one in asked if one not in done]

    fake = ModuleType("ray")
    fake.remote, fake.kill, fake.init = remote, kill, init
    fake.is_initialized = lambda: log.inits > 0
    fake.cluster_resources = lambda: resources
    fake.get = lambda reference: reference.get()
    fake.available_resources = lambda: resources
    fake.wait = wait
    fake.nodes = lambda: [{"NodeID": "node", "Alive": True}]
    fake.get_runtime_context = lambda: SimpleNamespace(get_node_id=lambda: "node")
    fake.exceptions = SimpleNamespace(RayError=RayError, ActorUnavailableError=ActorUnavailableError)
    monkeypatch.setitem(sys.modules, "ray", fake)
    return log


def die(lost: bool = False) -> None:
    """Takes the fake actor with it."""
    raise Died(lost)
