"""From a command to a running studio: the address, the token, and a quick end."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import uvicorn

from ivgbench.errors import UserError
from ivgbench.runs.lab import Lab
from ivgbench.runs.progress import log
from ivgbench.store.runs import Store
from ivgbench.studio import catalogue
from ivgbench.studio.guard import is_loopback, rules
from ivgbench.studio.making import Maker
from ivgbench.studio.saving import Suites
from ivgbench.studio.server import Studio, application
from ivgbench.studio.tickets import Queue

#: Connections at a time.
MOST_CONNECTIONS = 200


def open_studio(
    backbones: list[str], runs: Path, suites: Path, device: str, offload: bool, told_runs: Path | None
) -> Studio:
    """A studio that is not served yet. UserError for a backbone that is not on this machine."""
    log("opening the studio: reading the methods and the backbone's files")
    choices = catalogue.choices(backbones)
    maker = Maker(Lab(device, offload), Store(runs))
    first = next(iter(choices.values()))
    ready = partial(maker.ready, first.source, first.preset.sampling.dtype)
    return Studio(choices, maker, Queue(maker.work, ready), Suites(suites), told_runs)


def serve(studio: Studio, host: str, port: int, open_page: bool) -> None:
    """Listens until it is interrupted. UserError for an address that cannot be listened on."""
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    token = "" if is_loopback(host) else secrets.token_urlsafe(24)
    app = application(studio, rules(host, port, [socket.gethostname(), socket.getfqdn()], token))
    address = _address(host, port, token)
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1,
        limit_concurrency=MOST_CONNECTIONS, h11_max_incomplete_event_size=16384, http="h11", ws="none", lifespan="on",
    )  # fmt: skip
    server = uvicorn.Server(config)
    with _ended_by_signals(server):
        print(f"ivgbench studio: {address} (Ctrl-C ends it)", flush=True)
        if open_page:
            threading.Thread(target=_open, args=(address,), daemon=True).start()
        server.run(sockets=[listening])
    log("the studio is closed; what was made is kept")
    if not studio.queue.close(0):  # within a long step: nothing that is half made is kept in any case
        sys.stdout.flush()
        os._exit(0)


@contextmanager
def _ended_by_signals(server: uvicorn.Server) -> Iterator[None]:
    """Ctrl-C and SIGTERM are how a studio ends, not what interrupts it: one that comes before uvicorn listens to them
    ends it, and so does uvicorn's, which raises them again once all is closed."""

    def end(*_: object) -> None:
        server.should_exit = True

    before = {one: signal.signal(one, end) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=_family(host))
    except (OSError, OverflowError) as fault:
        why = getattr(fault, "strerror", None) or fault
        raise UserError(f"cannot listen on {host}, port {port}: {why}; give another --port (0 for any)") from None


def _family(host: str) -> socket.AddressFamily:
    try:
        return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]
    except (OSError, UnicodeError):
        raise UserError(f"--host {host!r} is no address of this machine") from None


def _address(host: str, port: int, token: str) -> str:
    """What to open. Of "all addresses", this machine's name."""
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/{f'?token={token}' if token else ''}"


def _open(address: str) -> None:
    """Opens the page in a window; a browser within this terminal would take it over."""
    try:
        controller = webbrowser.get()
    except webbrowser.Error:
        return
    if type(controller) is not webbrowser.GenericBrowser:
        controller.open(address)
