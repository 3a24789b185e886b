"""Which torch device is meant, and whether this machine has it: told in one line, before any work."""

from __future__ import annotations

import re

from ivgbench.errors import UserError

KNOWN = "auto, cpu, cuda, cuda:0 (and other numbers), mps"


def chosen(asked: str) -> str:
    """The device that is meant by "auto", "cpu", "cuda", "cuda:N" or "mps". Torch is imported only where it matters.

    Raises:
        UserError: another name, or a device that this machine does not have.
    """
    if asked == "cpu":
        return asked
    if asked not in ("auto", "mps") and not re.fullmatch(r"cuda(:(0|[1-9][0-9]{0,3}))?", asked):
        raise UserError(f"--device {asked!r}: no such device; use one of {KNOWN}")
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if asked == "auto":
        return "cuda" if count else "cpu"
    if asked == "mps":
        if not torch.backends.mps.is_available():
            raise UserError("--device mps: torch finds no Apple GPU; use --device cpu")
        return asked
    if not count:
        raise UserError(f"--device {asked}: torch finds no GPU; use --device cpu")
    if int(asked.partition(":")[2] or 0) >= count:
        told = "1 GPU; use cuda" if count == 1 else f"{count} GPUs; use cuda:0 to cuda:{count - 1}"
        raise UserError(f"--device {asked}: torch finds {told}")
    return asked


def check(asked: str) -> str:
    """What was asked for, if it can be had. For options of commands: "auto" always can, and costs no import here."""
    if asked != "auto":
        chosen(asked)
    return asked
