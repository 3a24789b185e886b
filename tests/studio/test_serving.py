"""How a studio ends: by Ctrl-C or SIGTERM, which are no faults of it."""

import signal
from types import SimpleNamespace

import pytest

pytest.importorskip("uvicorn", reason="the studio's packages are not installed")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_interrupts_nothing(number):
    from ivgbench.studio.serving import _ended_by_signals

    server, before = SimpleNamespace(should_exit=False), signal.getsignal(number)
    with _ended_by_signals(server):
        signal.raise_signal(number)  # as uvicorn does once more when all is closed
    assert server.should_exit and signal.getsignal(number) is before
