"""Checks against numbers of Direct-a-Video's official code: its masks, one attention layer, whole runs."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checks import Check, backbone
from diffusers.models.attention_processor import Attention

from ivgbench.cases import Case, Subject
from ivgbench.generator import generate
from ivgbench.generator.backbones.sites import Site
from ivgbench.generator.backbones.unet3d_attention import OneHalfEdited
from ivgbench.generator.edits import amplified
from ivgbench.generator.edits.biased import Bias
from ivgbench.generator.methods.base import Clip
from ivgbench.generator.methods.options import resolve

#: Of one layer, and of a run's latents; of masks: bit for bit.
LAYER, RUN = 1e-12, 1e-10
#: In place of minus infinity, which has no difference from itself.
HIDDEN = -1e9


def checks(path: Path, name: str, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> list[Check]:
    """Of one fixture."""
    official = partial(Check, source="official", dtype="float64")
    found = []
    for reg in [key for key in arrays if key.startswith("reg")]:
        grid, theirs = grid_of(meta, arrays[reg].shape[1]), partial(masks, arrays, meta, reg)
        ours = partial(bias, path, arrays, meta, grid, meta["attn_lambda"])
        found.append(official(f"{name}, masks of {grid[0]} x {grid[1]}", tolerance=0.0, ours=ours, theirs=theirs))
    if "output" in arrays:
        theirs = partial(arrays.__getitem__, "output")
        found.append(
            official(f"{name}, layer", tolerance=LAYER, ours=partial(layer, path, arrays, meta), theirs=theirs)
        )
    else:
        after = np.stack([arrays["latents_after_first_step"][0], arrays["final_latents"][0]])
        ours, theirs = partial(run, path, arrays, meta), partial(np.asarray, after)
        found.append(official(name, tolerance=RUN, ours=ours, theirs=theirs))
    return found


def grid_of(meta: dict[str, Any], cells: int) -> tuple[int, int]:
    height, width = meta["height_px"] // 8, meta["width_px"] // 8
    halvings = next(n for n in range(9) if (height >> n) * (width >> n) == cells)
    return height >> halvings, width >> halvings


def method(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> dict[str, Any]:
    """Our options. Without a marked background the release has words of its own for it."""
    marked = meta.get("prompt_sampled", meta["prompt_clean"]) != meta["prompt_clean"]
    subjects, used = len(arrays["boxes"]), meta["phrases_used"]
    background = used[subjects] if used[subjects] in meta["prompt_clean"] else None
    way = "marked" if marked or background is None else "clean"
    named = {"amplify": meta["attn_lambda"], "tau": meta["attn_tau"], "background": background, "prompt": way}
    return {**named, "words": "official"}


def bias(
    path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any], grid: tuple[int, int], gain: float
) -> np.ndarray:
    """What we add to the logits, [F,N,77]."""
    reader, config = backbone(path.parents[1] / "tiny_t2v", torch.float64).reader, method(arrays, meta)
    phrases = meta["phrases_used"][: len(arrays["boxes"])]
    own = resolve("direct-a-video", config).spans(reader, meta["prompt_clean"], "", phrases)
    said = amplified.Words(own, 77, meta["eos_index"], True)
    made = amplified.logits(arrays["boxes"].astype(float), said, grid, meta["height_px"] // 8 // grid[0], gain)
    return np.nan_to_num(made.numpy(), neginf=HIDDEN)


def masks(arrays: dict[str, np.ndarray], meta: dict[str, Any], reg: str) -> np.ndarray:
    """What they add: their masks put together as their attention does."""
    on, off = (np.unpackbits(arrays[reg.replace("reg", which)], axis=-1, count=77) for which in ("amplify", "suppress"))
    gain = (on * np.float32(meta["attn_lambda"]) * arrays[reg].astype(np.float32)[..., None]).astype(float)
    return np.where(off == 1, HIDDEN, gain)


def layer(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> np.ndarray:
    x, context = (torch.from_numpy(arrays[name]) for name in ("x", "context"))
    heads, width = meta["heads"], meta["dim_head"]
    attn = Attention(query_dim=x.shape[-1], cross_attention_dim=context.shape[-1], heads=heads, dim_head=width).double()
    names = {"to_q": attn.to_q.weight, "to_k": attn.to_k.weight, "to_v": attn.to_v.weight}
    names |= {"to_out_weight": attn.to_out[0].weight, "to_out_bias": attn.to_out[0].bias}
    for name, weight in names.items():
        weight.data = torch.from_numpy(arrays[name])
    grid = grid_of(meta, x.shape[1])
    gain = meta["attn_lambda"] if meta["t_now"] >= meta["attn_tau"] else 0.0
    edit = Bias({grid: torch.from_numpy(bias(path, arrays, meta, grid, gain))})
    site = Site("x", "late", "frame", "text", False, grid, 1, attn)
    with torch.no_grad():
        return OneHalfEdited(site, edit, 1)(attn, x, context.repeat_interleave(meta["frames"], 0)).numpy()


def run(path: Path, arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> np.ndarray:
    clip = generate(
        backbone(path.parents[1] / "tiny_t2v", torch.float64),
        case_of(arrays, meta),
        "direct-a-video",
        method(arrays, meta),
        steps=meta["steps"],
        guidance_scale=meta["guidance"],
        latents=torch.from_numpy(arrays["init_latents"]),
        prompt_embeds=torch.from_numpy(arrays["prompt_embeds"]),
        output="latent",
        return_trajectory=True,
    )
    return clip.trajectory.numpy()[[0, -1]]


def case_of(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> Case:
    subjects = zip(meta["phrases_used"], arrays["boxes"].astype(np.float64), strict=False)
    return Case("golden", meta["prompt_clean"], tuple(Subject(*subject) for subject in subjects))


def sampled_text(arrays: dict[str, np.ndarray], meta: dict[str, Any]) -> str:
    """What is encoded of a case's prompt with the method's options."""
    case = case_of(arrays, meta)
    clip = Clip(case.prompt, "", tuple(one.phrase for one in case.subjects), None, arrays["boxes"], lambda label: None)
    return resolve("direct-a-video", method(arrays, meta)).text(clip)
