"""The pocket DiT's whole training, made small: `python -m ivgbench.pocket.train dit` that may kill itself on the way.

    python tests/pocket/small_dit.py WORK [PHASE STEP loss|write]

It dies by SIGKILL before a step's loss, or in the middle of writing the checkpoint of a step.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL

from ivgbench.pocket import train
from ivgbench.pocket.training import bank, dit, loop, vae

STEPS = 6


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def shrink(patch, kill=killed, phase: str | None = None, step: int = 0, moment: str = "loss") -> None:
    """Small models, batches and bank, a checkpoint every step; `kill` is called at that moment of that phase.

    patch: (object, name, value) -> None.
    """
    write = loop.save_checkpoint

    def fit(name, module, loss_of, *given, **options):
        def watched(at):
            if (name, at, moment) == (phase, step, "loss"):
                kill()
            return loss_of(at)

        return loop.fit(name, module, watched, *given, **{**options, "save_every_s": -1.0, "log_every": 4})

    def save(path, payload):
        if (path.stem, payload["step"], moment) == (phase, step, "write"):
            path.with_name(f".{path.name}.part").write_bytes(b"half")
            kill()
        write(path, payload)

    for name, one in dit.PHASES.items():
        patch(dit.PHASES, name, one._replace(batch=4))
    patch(dit.CONFIG, "num_layers", 1)
    patch(dit, "fit", fit)
    patch(loop, "save_checkpoint", save)
    patch(bank, "SHARD", 8)
    patch(dit, "load_bank", partial(bank.load_bank, clips=8))


def run(work: Path) -> None:
    """The command, with an untrained autoencoder beside it."""
    if not (work / "vae").is_dir():
        torch.manual_seed(0)
        AutoencoderKL(**vae.CONFIG).save_pretrained(work / "vae")
    given = ["dit", "--steps", STEPS, "--work", work, "--weights", work / "weights", "--device", "cpu", "--threads", 1]
    sys.argv = ["train", *map(str, given)]
    train.main()


def put(owner, name, value) -> None:
    owner.__setitem__(name, value) if isinstance(owner, dict) else setattr(owner, name, value)


if __name__ == "__main__":
    work, *at = sys.argv[1:]
    shrink(put, *([killed, at[0], int(at[1]), at[2]] if at else []))
    run(Path(work))
