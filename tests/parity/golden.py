"""Checks against numbers of the official implementations, from a folder of golden fixtures (tests/golden, or more)."""

from pathlib import Path
from typing import Any

import golden_noise
import numpy as np
import torch
from checks import TOLERANCES, Check, backbone
from diffusers.schedulers.scheduling_utils import SchedulerMixin
from fixtures import load

from ivgbench.cases import Case, Subject
from ivgbench.generator import generate
from ivgbench.generator.keyframes import at_every_frame
from ivgbench.generator.methods.trailblazer import spatial_edit, temporal_edit

DTYPES = {"float64": torch.float64, "float32": torch.float32}


def golden_checks(folder: Path) -> tuple[list[Check], list[str]]:
    """(checks, "NAME: why not" of the fixtures that are left out)."""
    checks: list[Check] = []
    left_out: list[str] = []
    for path in sorted(folder.glob("*/*.npz")):
        meta = load(path)[1]
        name = f"{path.parent.name}/{path.stem}"
        if path.parent.name == "peekaboo":
            if meta["unet_train_mode"]:
                left_out.append(f"{name}: made with dropout on, whose random stream belongs to the release's own torch")
                continue
            checks += [peekaboo(path, name, "float64"), peekaboo(path, name, "float32")]
            if meta["frozen_steps"] and "vanilla_final_latents" in load(path)[0]:
                checks.append(vanilla(path, name))
        elif path.parent.name in ("freeinit", "freetraj"):
            checks += golden_noise.checks(path, name)
        elif meta.get("kind") == "units":
            checks += [unit(path, name, which, bits) for which in ("spatial", "temporal") for bits in (32, 16)]
        elif meta.get("kind") == "single" and (folder / meta["model"] / "unet").is_dir():
            checks += [track(path, name), embeds(path, name), trailblazer(path, name)]
        else:
            left_out.append(f"{name}: the kind {meta.get('kind')!r}, or its model, is not known here")
    return checks, left_out


def shortened(name: str, first: int) -> str:
    return f"{name}, first {first}" if first else name


def first_steps(scheduler: SchedulerMixin, count: int) -> SchedulerMixin:
    """The same schedule, of which one step more than so many is taken: as the last, that one may be another."""

    class FirstSteps(type(scheduler)):
        def set_timesteps(self, *arguments: Any, **keywords: Any) -> None:
            super().set_timesteps(*arguments, **keywords)
            self.timesteps = self.timesteps[: count + 1]

    scheduler.__class__ = FirstSteps
    return scheduler


def run_peekaboo(path: Path, dtype: str, frozen_steps: int | None = None, first: int = 0) -> np.ndarray:
    arrays, meta = load(path)
    bb = backbone(path.parents[1] / "tiny_t2v", DTYPES[dtype])
    phrases = meta["fg_prompt"] if isinstance(meta["fg_prompt"], list) else [meta["fg_prompt"]]
    masks = [arrays[f"mask{k}"][:, 0] for k in range(meta["n_masks"])]
    scheduler = bb.scheduler({"DDIMScheduler": None, "DPMSolverMultistepScheduler": "dpm"}[meta["scheduler"]])
    clip = generate(
        bb,
        Case("golden", meta["prompt"], tuple(Subject(phrases[k % len(phrases)], None) for k in range(len(masks)))),
        method="peekaboo",
        method_options={"frozen_steps": meta["frozen_steps"] if frozen_steps is None else frozen_steps},
        steps=meta["num_inference_steps"],
        guidance_scale=meta["guidance_scale"],
        scheduler=first_steps(scheduler, first) if first else scheduler,
        latents=torch.from_numpy(arrays["init_latents"]),
        masks=np.stack(masks) if masks else None,
        prompt_embeds=torch.from_numpy(arrays["text_embeds"]),
        output="latent",
        return_trajectory=True,
    )
    return clip.trajectory.numpy()


def peekaboo(path: Path, name: str, dtype: str, first: int = 0) -> Check:
    """`first`: the first so many steps only, of a fixture that has them."""
    kept = slice(first or None)
    # The repository's copies keep some steps only, and say which.
    steps = kept if first else load(path)[0].get("steps", kept)
    return Check(
        shortened(name, first),
        "official",
        dtype,
        TOLERANCES[dtype],
        ours=lambda: run_peekaboo(path, dtype, first=first)[steps],
        theirs=lambda: load(path)[0]["all_latents"][kept],
    )


def vanilla(path: Path, name: str) -> Check:
    return Check(
        f"{name}, no mask",
        "official",
        "float64",
        1e-10,
        ours=lambda: run_peekaboo(path, "float64", frozen_steps=0)[-1:],
        theirs=lambda: load(path)[0]["vanilla_final_latents"],
    )


def unit_boxes(meta: dict) -> np.ndarray:
    return np.stack(at_every_frame({key["frame"]: np.array(key["bbox_ratios"]) for key in meta["keyframe"]}))


def unit(path: Path, name: str, which: str, bits: int) -> Check:
    short = {"spatial": "sp", "temporal": "tm"}[which]

    def ours() -> np.ndarray:
        arrays, meta = load(path)
        boxes, strength = unit_boxes(meta), (meta["strengthen"], meta["weaken"])
        probs = torch.from_numpy(arrays[f"{short}_in_f{bits}"])
        if which == "temporal":
            return temporal_edit(probs, boxes, *strength).numpy()
        words = len(meta["keyframe"][0]["prompt"].split())
        trailing = range(words + 1, words + 1 + meta["trailblazer"]["trailing_length"])
        return spatial_edit(probs, boxes, {*meta["token_inds"], *trailing}, *strength).numpy()

    return Check(
        f"{name}, {which}_edit", "official", f"float{bits}", 0.0, ours, lambda: load(path)[0][f"{short}_out_f{bits}"]
    )


def run_trailblazer(path: Path, first: int = 0) -> np.ndarray:
    arrays, meta = load(path)
    bundle, theirs = meta["bundle"], meta["bundle"]["trailblazer"]
    options = {
        "spatial_steps": theirs["num_dd_spatial_steps"],
        "temporal_steps": theirs["num_dd_temporal_steps"],
        "spatial_strengthen": theirs["spatial_strengthen_scale"],
        "spatial_weaken": theirs["spatial_weaken_scale"],
        "temporal_strengthen": theirs["temp_strengthen_scale"],
        "temporal_weaken": theirs["temp_weaken_scale"],
        "trailing_length": theirs["trailing_length"],
        "token_indices": bundle["token_inds"],
    }
    bb = backbone(path.parents[1] / meta["model"], torch.float64)
    clip = generate(
        bb,
        Case("golden", bundle["keyframe"][0]["prompt"], (Subject(None, unit_boxes(bundle)),)),
        method="trailblazer",
        method_options=options,
        steps=meta["num_inference_steps"],
        guidance_scale=meta["guidance_scale"],
        scheduler=first_steps(bb.scheduler("dpm"), first) if first else "dpm",
        latents=torch.from_numpy(arrays["init_latents"]),
        prompt_embeds=torch.from_numpy(arrays["prompt_embeds"]),
        output="latent",
        return_trajectory=True,
    )
    return clip.trajectory.numpy()


def trailblazer(path: Path, name: str, first: int = 0) -> Check:
    """`first`: the first so many steps only."""
    kept = slice(first or None)
    return Check(
        shortened(name, first),
        "official",
        "float64",
        1e-5,
        ours=lambda: run_trailblazer(path, first)[kept],
        theirs=lambda: load(path)[0]["latents_at_steps_f64"][kept],
    )


def track(path: Path, name: str) -> Check:
    return Check(
        f"{name}, boxes of the keys",
        "official",
        "float64",
        0.0,
        ours=lambda: unit_boxes(load(path)[1]["bundle"]),
        theirs=lambda: load(path)[0]["bbox_per_frame"],
    )


def embeds(path: Path, name: str) -> Check:
    """Per-frame prompts. The release's own suffix and negative prompt are known by their token ids only."""

    def ours() -> np.ndarray:
        arrays, meta = load(path)
        encoder = backbone(path.parents[1] / meta["model"], torch.float32).text_encoder
        ids = np.concatenate([arrays["negative_token_ids"][None], arrays["token_ids"]])
        with torch.no_grad():
            states = encoder(torch.from_numpy(ids)).last_hidden_state
        at = [key["frame"] for key in meta["bundle"]["keyframe"]]
        frames = torch.stack(at_every_frame(dict(zip(at, states[1:], strict=True))))
        return torch.cat([states[:1].expand_as(frames), frames]).numpy()

    return Check(
        f"{name}, prompts of the keys", "official", "float32", 1e-5, ours, lambda: load(path)[0]["prompt_embeds"]
    )
