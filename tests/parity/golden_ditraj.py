"""DiTraj's official numbers: the network's raw outputs in every step, who attends to whom, and the last latents."""

import json
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checks import Check
from diffusers import WanTransformer3DModel
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from safetensors.torch import load_file

from ivgbench.cases import Case, Subject
from ivgbench.generator import generate
from ivgbench.generator.backbones.presets import Preset
from ivgbench.generator.backbones.wan import Wan
from ivgbench.generator.edits.positions import decoupled, isolated
from ivgbench.generator.methods.base import Clip, Setup
from ivgbench.generator.methods.options import resolve
from ivgbench.generator.words import WordReader

#: The library's blocks round to float32 on the way, whatever the weights are.
OUTPUTS, FINAL = 3e-6, 3e-6


def checks(path: Path, name: str, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> list[Check]:
    official = partial(Check, source="official", dtype="float64")
    found = [
        official(
            f"{name}, {half}", tolerance=OUTPUTS, ours=partial(outputs, path, at), theirs=partial(arrays.get, half)
        )
        for at, half in enumerate(("uncond", "cond"))
    ]
    if arrays["self_allowed"].size:
        theirs = partial(arrays["self_allowed"].__getitem__, None)
        found.append(official(f"{name}, pairs", tolerance=0.0, ours=partial(pairs, arrays), theirs=theirs))
    last = partial(final, path, arrays, meta)
    return [*found, official(f"{name}, latents", tolerance=FINAL, ours=last, theirs=lambda: arrays["final_latents"])]


def pairs(arrays: dict[str, np.ndarray]) -> np.ndarray:
    cells = torch.from_numpy(arrays["token_mask"])
    rule = isolated(cells, decoupled(cells))
    labels = rule.labels.flatten()
    return rule.sees[labels][:, labels].numpy()[None]


class Tiny(Wan):
    """The tiny model behind a backbone without other parts; the recorded states stand for its texts."""

    def __init__(self, folder: Path, meta: dict[str, Any], states: dict[str, torch.Tensor]):
        self._start("tiny", Preset(), "cpu", torch.float64, False)
        config = json.loads((folder / "config.json").read_text())
        transformer = WanTransformer3DModel.from_config(config)
        transformer.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"))
        self.transformer, self.text_encoder, self.vae = transformer.double().eval().requires_grad_(False), None, None
        self.states, self.reader = states, WordReader(meta["text_length"], start=0)
        self.latent_channels, self.vae_scale_factor, self.time_factor = config["in_channels"], 8, 4
        self.latent_height, self.latent_width = (self.cell * side for side in meta["token_grid"][1:])
        self.scheduler_config = {
            "_class_name": "UniPCMultistepScheduler", "prediction_type": "flow_prediction", "use_flow_sigmas": True,
            "flow_shift": meta["flow_shift"],
        }  # fmt: skip

    def encode_prompt(self, texts):
        return torch.cat([self.states[text] for text in texts])


@cache
def loaded(path: Path) -> tuple[dict[str, np.ndarray], dict[str, Any], Tiny]:
    arrays = dict(np.load(path, allow_pickle=False))
    meta = json.loads(str(arrays.pop("meta")))
    states = {name: torch.from_numpy(arrays[f"text_{name}"]) for name in ("bg", "fg", "base", "negative")}
    return arrays, meta, Tiny(path.parent / meta["model"], meta, states)


def asked(meta: dict[str, Any]) -> dict[str, Any]:
    return {"mask_steps": meta["mask_step"], "rope_steps": meta["fixRope_step"], "foreground": "fg", "background": "bg"}


def outputs(path: Path, which: int) -> np.ndarray:
    """The raw outputs of one half from the recorded latents of every step."""
    arrays, meta, bb = loaded(path)
    clip = Clip("base", "", ("it",), torch.from_numpy(arrays["token_mask"])[None], np.zeros((1, 1, 4)), torch.Generator)
    setup = Setup(bb, [clip], arrays["inputs"].shape[2:], meta["steps"], meta["guidance"], None, None)
    run, made = resolve("ditraj", asked(meta)).start(setup), []
    for step, latents in enumerate(torch.from_numpy(arrays["inputs"])[:, None]):
        text = run.text(step)
        with torch.no_grad(), bb.edited(run.edits(step), 1), bb.placed(run.positions(step)):
            halves = bb.denoise(
                latents, torch.tensor(arrays["timesteps"][step]), bb.states["negative"],
                bb.states["base"] if text is None else text,
            )  # fmt: skip
        made.append(halves[which][0].numpy())
    return np.stack(made)


def older(scheduler: SchedulerMixin) -> SchedulerMixin:
    """With the spacing of sigmas that the release's library had."""

    class Older(type(scheduler)):
        def set_timesteps(self, steps: int, device: Any = None) -> None:
            super().set_timesteps(steps, device, sigmas=0.999 * (1 - np.arange(steps) / steps))

    scheduler.__class__ = Older
    return scheduler


def final(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> np.ndarray:
    bb = loaded(path)[2]
    case = Case(path.stem, "base", (Subject("it", None),))
    cells = arrays["token_mask"][None].repeat(bb.cell, axis=2).repeat(bb.cell, axis=3)
    return generate(
        bb, case, "ditraj", asked(meta), meta["steps"], meta["guidance"], scheduler=older(bb.scheduler()),
        negative_prompt="negative", latents=arrays["initial_latents"], masks=cells, output="latent",
    ).latents.numpy()  # fmt: skip
