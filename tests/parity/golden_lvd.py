"""Checks against numbers of LVD's official code: boxes to cells, the loss and its gradient, whole runs."""

import copy
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checks import Check, backbone

from ivgbench.cases import Case, Subject
from ivgbench.generator import generate
from ivgbench.generator.edits import energy
from ivgbench.generator.methods.options import resolve

#: Of a loss and its gradient; of the first gradient of a run, its guided latents, and its end: random weights amplify
#: what rounding makes of the gradients.
LOSS, GRADIENT, GUIDED, END = 1e-12, 1e-10, 1e-8, 1e-7
OPTIONS = (
    "loss_scale", "loss_threshold", "max_iter", "max_index_step", "fg_top_p", "bg_top_p", "fg_weight", "bg_weight",
    "com_loss_scale",
)  # fmt: skip


def checks(path: Path, name: str, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> list[Check]:
    """Of one fixture; none where its scheduler is not the tiny model's own."""
    official = partial(Check, source="official", dtype="float64")
    if "rects" in arrays:
        ours, theirs = partial(rects, arrays, meta), lambda: arrays["rects"][None]
        found = [official(f"{name}, boxes", tolerance=0.0, ours=ours, theirs=theirs)]
        ours, theirs = partial(positions, path, meta), lambda: stacked([one["positions"] for one in meta["texts"]])
        return [*found, official(f"{name}, words", tolerance=0.0, ours=ours, theirs=theirs)]
    if "settings" in meta:
        theirs = [np.array([one["loss"], *one["loss_per_map"]]) for one in meta["settings"]]
        found = []
        for at, said in enumerate(meta["settings"]):
            ours = partial(losses, arrays, meta, said)
            found.append(
                official(f"{name}, loss {at}", tolerance=LOSS, ours=ours, theirs=partial(theirs.__getitem__, at))
            )
            for one in range(len(meta["maps"]) * (f"grad_{at}_0" in arrays)):
                about = f"{name}, gradient {at} in map {one}"
                ours, theirs_ = partial(gradient, arrays, meta, said, one), partial(arrays.get, f"grad_{at}_{one}")
                found.append(official(about, tolerance=LOSS, ours=ours, theirs=theirs_))
        return found
    if meta["scheduler"] != "tiny_t2v DDIM":
        return []
    seen = {
        "first gradient": (GRADIENT, arrays["first_gradient"]),
        "guided latents": (GUIDED, arrays["guided_latents"][:1, 0]),
        "latents": (END, np.concatenate([arrays["latents_after_first_step"], arrays["final_latents"]])),
        "losses": (END, np.array(meta["losses"])[:, 1]),
    }
    made = cache(partial(run, path, arrays, meta))
    return [
        official(f"{name}, {what}", tolerance=limit, ours=partial(_of, made, what), theirs=partial(np.asarray, values))
        for what, (limit, values) in seen.items()
    ]


def _of(made: Any, what: str) -> np.ndarray:
    return made()[what]


def stacked(places: list[list[list[int]]]) -> np.ndarray:
    """Token positions of all phrases of all texts in a row."""
    return np.array([at for text in places for phrase in text for at in [*phrase, -1]])


def rects(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> np.ndarray:
    return np.stack([energy.edges(arrays["boxes"], *size) for size in meta["sizes"]], axis=1)[None]


def positions(path: Path, meta: dict[str, Any]) -> np.ndarray:
    reader, config = backbone(path.parents[1] / "tiny_t2v", torch.float64).reader, resolve("lvd", {"words": "official"})
    found = [config.spans(reader, one["prompt_sampled"], "", one["refined"]) for one in meta["texts"]]
    return stacked([[list(place) for place in text] for text in found])


def _loss(arrays: dict[str, np.ndarray], meta: dict[str, Any], said: dict[str, Any], maps: list[torch.Tensor]) -> Any:
    weights = energy.Weights(
        said["fg_top_p"], said["bg_top_p"], said["fg_weight"], said["bg_weight"], said["com_loss_scale"]
    )
    looked = [(one, tuple(about["cells"])) for one, about in zip(maps, meta["maps"], strict=True)]
    each = [energy.loss([one], arrays["boxes"], meta["positions"], weights) for one in looked]
    return energy.loss(looked, arrays["boxes"], meta["positions"], weights), each


def losses(arrays: dict[str, np.ndarray], meta: dict[str, Any], said: dict[str, Any]) -> np.ndarray:
    total, each = _loss(arrays, meta, said, _maps(arrays, meta))
    return np.array([float(one) for one in (total, *each)])


def gradient(arrays: dict[str, np.ndarray], meta: dict[str, Any], said: dict[str, Any], one: int) -> np.ndarray:
    maps = [attention.requires_grad_() for attention in _maps(arrays, meta)]
    return torch.autograd.grad(_loss(arrays, meta, said, maps)[0], maps)[one].numpy()


def _maps(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> list[torch.Tensor]:
    return [torch.from_numpy(arrays[f"attn_{one}"]) for one in range(len(meta["maps"]))]


def run(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> dict[str, np.ndarray]:
    """What is seen of a whole run through `generate`, and that it evaluates the network as often as the release."""
    bb, shown, rows, found = copy.copy(backbone(path.parents[1] / "tiny_t2v", torch.float64)), [], [], []

    def watched(name: str, count: int) -> Any:
        def evaluate(latents: torch.Tensor, *rest: torch.Tensor) -> Any:
            shown.append(latents.detach().clone())
            rows.append(count)
            return getattr(type(bb), name)(bb, latents, *rest)

        return evaluate

    bb.denoise, bb.denoise_conditional = watched("denoise", 2), watched("denoise_conditional", 1)
    own, energy.loss = energy.loss, lambda *arguments: found.append(own(*arguments)) or found[-1]
    try:
        clip = generate(
            bb,
            Case("golden", meta["prompt"], tuple(map(Subject, meta["phrases"], arrays["boxes"]))),
            "lvd",
            {**{name: meta[name] for name in OPTIONS}, "maps": [layer[:3] for layer in meta["maps"]]},
            steps=meta["steps"],
            guidance_scale=meta["guidance"],
            latents=torch.from_numpy(arrays["init_latents"]),
            prompt_embeds=torch.from_numpy(arrays["prompt_embeds"]),
            output="latent",
            return_trajectory=True,
        )
    finally:
        energy.loss = own
    assert rows == meta["evaluations_rows"] and clip.backward == meta["backward"] and clip.nfe == sum(rows) / 2
    level = (1 - bb.scheduler().alphas_cumprod[meta["timesteps"][0]]) ** 0.5
    return {
        "first gradient": ((shown[0] - shown[1]) / level).numpy(),
        "guided latents": shown[rows.index(2)].numpy(),
        "latents": np.stack([clip.trajectory[0].numpy(), clip.latents[0].numpy()]),
        "losses": np.array([float(one.detach()) for one in found]),
    }
