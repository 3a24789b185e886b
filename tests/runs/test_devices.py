"""Devices: a mistyped one, or one that is not there, is told before any work."""

import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.runs import devices
from ivgbench.runs.lab import Lab


def machine(monkeypatch, gpus=0, apple=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)


@pytest.mark.parametrize(
    ("asked", "gpus", "apple", "words"),
    [
        *((asked, 2, True, "no such device; use one of auto, cpu, cuda") for asked in (
            "", "gpu", "cpu:1", "cpu:0", "CUDA", "meta", "cuda:", "cuda:-1", "cuda:x", "cuda:01", "mps:0", " cpu")),
        ("cuda", 0, False, "torch finds no GPU; use --device cpu"),
        ("cuda:0", 0, False, "torch finds no GPU"),
        ("cuda:99", 2, False, "torch finds 2 GPUs; use cuda:0 to cuda:1"),
        ("cuda:1", 1, False, "torch finds 1 GPU; use cuda"),
        ("mps", 2, False, "torch finds no Apple GPU"),
    ],
)  # fmt: skip
def test_a_device_that_is_not_there_is_refused(monkeypatch, asked, gpus, apple, words):
    machine(monkeypatch, gpus, apple)
    for call in (devices.chosen, devices.check, lambda one: Lab(one).device()):
        with pytest.raises(UserError, match=f"--device {asked!r}: |--device {asked}: ") as refused:
            call(asked)
        assert words in str(refused.value)


def test_what_is_there_is_taken(monkeypatch):
    machine(monkeypatch, gpus=2, apple=True)
    for asked in ("cpu", "cuda", "cuda:0", "cuda:1", "mps"):
        assert devices.chosen(asked) == devices.check(asked) == Lab(asked).device() == asked
    assert devices.chosen("auto") == "cuda" and devices.check("auto") == "auto"
    machine(monkeypatch)
    assert devices.chosen("auto") == "cpu"
