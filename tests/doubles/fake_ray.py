"""As much of Ray as the engine uses, in one process: actors, references, wait, and actors that die."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any


class RayError(Exception):
    pass


class ActorDiedError(RayError):
    pass


class Died(BaseException):
    """What work raises here to take its actor with it, as a kill would."""


def install(monkeypatch: Any, resources: dict[str, float]) -> SimpleNamespace:
    """Puts a `ray` into sys.modules; returns what it did: actors made, killed, and the options they were made with."""
    log = SimpleNamespace(made=0, killed=0, options=[], inits=0)

    class Actor:
        def __init__(self, cls: type, *arguments: Any):
            log.made += 1
            self._held, self._dead = cls(*arguments), False

        def __getattr__(self, name: str) -> Any:
            return SimpleNamespace(remote=lambda *arguments: Reference(self, name, arguments))

    class Reference:
        """Computed when it is asked for, once."""

        def __init__(self, actor: Actor, name: str, arguments: tuple):
            self.actor, self.name, self.arguments = actor, name, arguments

        def get(self) -> Any:
            if self.actor._dead:
                raise ActorDiedError("the actor\nis dead")
            try:
                return getattr(self.actor._held, self.name)(*self.arguments)
            except Died:
                self.actor._dead = True
                raise ActorDiedError("killed by signal 9") from None

    def remote(**options: Any) -> Any:
        log.options.append(options)
        return lambda cls: SimpleNamespace(remote=lambda *arguments: Actor(cls, *arguments))

    def kill(actor: Actor) -> None:
        log.killed += 1

    def init() -> None:
        log.inits += 1

    fake = ModuleType("ray")
    fake.remote, fake.kill, fake.init = remote, kill, init
    fake.is_initialized = lambda: log.inits > 0
    fake.cluster_resources = lambda: resources
    fake.get = lambda reference: reference.get()
    fake.wait = lambda references, num_returns: (references[-num_returns:], references[:-num_returns])  # out of order
    fake.exceptions = SimpleNamespace(RayError=RayError)
    monkeypatch.setitem(sys.modules, "ray", fake)
    return log


def die() -> None:
    """Takes a real process, or a fake actor, with it."""
    if "ray" in sys.modules and isinstance(sys.modules["ray"].exceptions, SimpleNamespace):
        raise Died
    os._exit(9)
