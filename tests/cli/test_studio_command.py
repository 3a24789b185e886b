"""The command that opens the studio: what cannot be opened is one line, before anything is served."""

import builtins
import socket
from importlib import metadata

import pytest

pytest.importorskip("uvicorn", reason="the studio's packages are not installed")


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--backbone", "nowhere"], "no backbone 'nowhere'"),
        (["--backbone", "pocket", "--backbone", "zeroscope"], "ivgbench fetch zeroscope"),
        (["--host", ""], "--host is empty"),
        (["--host", "no.such.host.invalid"], "is no address of this machine"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
        (["--port", "70000"], "--port"),
        (["--device", "abacus"], "abacus"),
        (["--suites", __file__], "is a file, not a folder"),
    ],
)
def test_what_cannot_be_opened_is_one_line(command_line, arguments, words):
    code, out, err = command_line("studio", "--no-browser", *arguments)
    told = [line for line in err.splitlines() if "opening the studio" not in line]
    assert (code, out, len(told)) == (2, "", 1) and words in told[0], err


def test_a_port_that_is_taken_is_told(command_line, taken):
    code, out, err = command_line("studio", "--port", taken)
    assert (code, out) == (2, "") and f"port {taken}" in err and "another --port" in err


def test_without_its_packages_the_extra_is_named(command_line, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "fastapi":
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(metadata, "requires", lambda name: ['fastapi>=0.110; extra == "studio"'])
    code, out, err = command_line("studio")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert 'this needs fastapi, which is not installed: pip install "ivgbench[studio]"' in err
