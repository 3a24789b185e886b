"""The way to a Ray cluster, and what its errors mean. Ray's own messages fill a screen; here they are one line."""

from __future__ import annotations

import logging
import os
import platform
import re
import signal
import socket
from typing import Any

from ivgbench.errors import UserError

#: Ray puts sockets below its folder for temporary files, and their paths may have 107 bytes.
SHORT = 40
#: Seconds in which a cluster's address answers.
ANSWERS_IN = 10.0
#: Of a reason, as it stands in a table.
MOST = 240


def connect() -> Any:
    """The module `ray`, connected: to the cluster that RAY_ADDRESS names, or else to the one that was started on this
    machine (`ray start`), or else to a new one of this machine alone, which ends with this process.

    Raises:
        UserError: Ray is not installed, or the cluster cannot be used.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nothing is sent anywhere
    if len(os.environ.get("TMPDIR", "")) > SHORT:
        os.environ.setdefault("RAY_TMPDIR", "/tmp")
    try:
        import ray
    except ImportError:
        raise UserError(
            "--engine ray needs Ray: pip install 'ivgbench[ray]' (or use --engine local). Ray has wheels for 64-bit "
            "Linux with glibc, macOS and Windows, for Python 3.10 to 3.13; this is Python "
            f"{platform.python_version()} on {platform.system()} {platform.machine()}"
        ) from None
    if not ray.is_initialized():
        _check_address(os.environ.get("RAY_ADDRESS", ""))
        at_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            # What workers print for the user comes with their answers. Logs of others are read with `ray logs`.
            ray.init(include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, OSError, RuntimeError, ValueError) as fault:
            address = os.environ.get("RAY_ADDRESS")
            where = f"the cluster at RAY_ADDRESS={address} cannot be used" if address else "Ray cannot be started"
            raise UserError(f"--engine ray: {where}: {_short(str(fault))}") from None
        # Ray has put its own in this place. Not in another thread than the main one, where nobody hears of signals.
        if callable(at_sigterm) and signal.getsignal(signal.SIGTERM) is not at_sigterm:
            signal.signal(signal.SIGTERM, at_sigterm)
    return ray


def _check_address(address: str) -> None:
    """Refuses a HOST:PORT where nobody answers: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdigit()) or "/" in host:
        return
    try:
        socket.create_connection((host, int(port)), timeout=ANSWERS_IN).close()
    except (OSError, OverflowError) as fault:
        raise UserError(
            f"--engine ray: nobody answers at RAY_ADDRESS={address} ({fault}): start a cluster there with "
            f"`ray start --head --port={port}`, or unset RAY_ADDRESS for one on this machine alone"
        ) from None


def is_lost(ray: Any, node: str, fault: Exception) -> bool:
    """Whether a worker went with its node, or cannot be reached: its item had no part in that."""
    if isinstance(fault, ray.exceptions.ActorUnavailableError):
        return True
    return not any(one["NodeID"] == node and one["Alive"] for one in ray.nodes())


def cause(fault: Exception) -> str:
    """Why a worker died, on one line."""
    told = str(fault)
    if type(fault).__name__ == "OutOfMemoryError":  # Ray's own, before the system's killer comes
        return _short("killed by Ray, out of memory: " + " ".join(told.splitlines()[:2]))
    if getattr(fault, "actor_init_failed", False):
        return _short(told.strip().splitlines()[-1])
    if detail := re.search(r"Worker exit detail: (.*?)\s*(?:Some common causes|$)", told, re.DOTALL):
        return _short(detail[1]) + " (killed? out of memory?)"
    # A class, its ids and addresses come first, each on a line that begins with a tab.
    lines = [line for line in told.splitlines() if line.strip() and not line.startswith("\t")]
    return _short(" ".join(lines[1:] or lines) or type(fault).__name__)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MOST else line[: MOST - 3] + "..."
