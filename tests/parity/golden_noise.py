"""Checks of FreeInit and FreeTraj against numbers of their official implementations."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from checks import Check, backbone
from diffusers.models.attention_processor import Attention
from fixtures import load

from ivgbench.cases import Case, Subject
from ivgbench.generator import generate
from ivgbench.generator.backbones.unet3d_attention import UNetSite, compiled
from ivgbench.generator.edits.frequency import low_pass, mix
from ivgbench.generator.edits.trajectory import TextInside, injected, isolated, places
from ivgbench.generator.keyframes import trajectory
from ivgbench.generator.methods import freeinit
from ivgbench.generator.methods.options import resolve

#: Of mixed noise in float32: other libraries' transforms round differently.
MIXED = 5e-7


def checks(path: Path, name: str, *_: Any) -> list[Check]:
    """Those of a fixture of either method."""
    kind = path.stem.partition("_")[0]
    made = {"mix": mixes, "loop": loops, "noise": noises, "attn": attentions, "run": runs}[kind]
    return made(path, name)


def official(name: str, tolerance: float, ours: Callable[[], Any], theirs: Callable[[], Any], dtype="float64") -> Check:
    return Check(name, "official", dtype, tolerance, lambda: np.asarray(ours()), lambda: np.asarray(theirs()))


def arrays(path: Path) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(values) for name, values in load(path)[0].items()}


def filtering(meta: dict) -> dict[str, Any]:
    """The options of a fixture's filter."""
    order = {} if meta["n"] is None else {"order": meta["n"]}
    return {"filter": meta["filter"], "d_s": meta["d_s"], "d_t": meta["d_t"], **order}


def kept(path: Path, shape: tuple[int, ...]) -> torch.Tensor:
    """The filter that a fixture was made with."""
    return resolve("freeinit", filtering(load(path)[1])).kept(shape[-3:])


# ---- FreeInit


def mixes(path: Path, name: str) -> list[Check]:
    given, shape = arrays(path), load(path)[1]["shape"]
    return [
        filters(path, name, shape),
        official(name, 1e-12, lambda: mix(given["x"], given["noise"], kept(path, shape)), lambda: given["mixed"]),
    ]


def filters(path: Path, name: str, shape: tuple[int, ...]) -> Check:
    theirs = load(path)[0]["lpf"]
    return official(f"{name}, filter", 0.0, lambda: kept(path, shape)[None], lambda: theirs[None], "float32")


@cache
def loop(path: Path) -> dict[str, np.ndarray]:
    """The method's own loop with the recorded draws, its rounds started where the release's did."""
    given, meta = arrays(path), load(path)[1]
    draws, starts, noised, restarts = iter(given["z_rand"]), iter(given["restarts"]), [], []

    def recorded(slow: torch.Tensor, fast: torch.Tensor, filter: torch.Tensor) -> torch.Tensor:
        noised.append(slow.numpy())
        restarts.append(mix(slow, fast, filter).numpy())
        return next(starts)

    options = {"rounds": meta["num_iters"], "fast": meta["use_fast_sampling"]} | filtering(meta)
    told: list[tuple[int, int]] = []
    with (
        patch.object(freeinit, "standard_normal", lambda streams, shape: next(draws)),
        patch.object(freeinit, "mix", recorded),
    ):
        clip = sampled(
            path,
            "freeinit",
            options,
            given["init_latents"],
            meta["steps"],
            lambda done, steps: told.append((done, steps)),
        )
    assert told == [(done + 1, meta["evaluations"]) for done in range(meta["evaluations"])]
    return {
        "diffused": np.stack(noised), "restarts": np.stack(restarts), "latents": clip.trajectory.numpy()[:, None],
        "evaluations": np.array([clip.nfe]),
    }  # fmt: skip


def sampled(path: Path, method: str, options: dict, latents: torch.Tensor, steps: int, callback=None, subjects=()):
    return generate(
        backbone(path.parents[1] / "tiny_t2v", torch.float64), Case("golden", "a zebra", tuple(subjects)),
        method=method, method_options=options, steps=steps, guidance_scale=load(path)[1]["guidance"], latents=latents,
        prompt_embeds=load(path)[0]["prompt_embeds"], output="latent", return_trajectory=True, callback=callback,
    )  # fmt: skip


def rounds(path: Path) -> np.ndarray:
    """Every step of every round, each round sampled alone from where the release's began."""
    given, meta = arrays(path), load(path)[1]
    starts = [given["init_latents"], *given["restarts"]]
    share = meta["steps"] / meta["num_iters"]
    steps = [int(share * (k + 1)) if meta["use_fast_sampling"] else meta["steps"] for k in range(len(starts))]
    made = [sampled(path, "plain", {}, start, count) for start, count in zip(starts, steps, strict=True)]
    return np.concatenate([clip.trajectory.numpy() for clip in made])[:, None]


def loops(path: Path, name: str) -> list[Check]:
    theirs, meta = load(path)

    def last() -> np.ndarray:
        return theirs["latents_per_step"][-len(loop(path)["latents"]) :]

    return [
        official(f"{name}, noised back", MIXED, lambda: loop(path)["diffused"], lambda: theirs["diffused"], "float32"),
        official(f"{name}, restarts", MIXED, lambda: loop(path)["restarts"], lambda: theirs["restarts"], "float32"),
        official(f"{name}, every round", 1e-10, lambda: rounds(path), lambda: theirs["latents_per_step"]),
        official(f"{name}, last round", 1e-10, lambda: loop(path)["latents"], last),
        official(f"{name}, evaluations", 0.0, lambda: loop(path)["evaluations"], lambda: [meta["evaluations"]]),
    ]


# ---- FreeTraj


def path_of(path: Path, rows: int | None = None) -> np.ndarray:
    """Boxes from a fixture's keys, [frame, top, bottom, left, right]."""
    meta = load(path)[1]
    keys = {frame: (left, top, right, bottom) for frame, top, bottom, left, right in meta["trajectory"]}
    return trajectory(keys, meta["frames"] if rows is None else rows)


def keys(path: Path, name: str) -> Check:
    theirs = load(path)[0]["path"]
    return official(
        f"{name}, path of the keys", 0.0, lambda: path_of(path, len(theirs))[:, [1, 3, 0, 2]], lambda: theirs
    )


def laid(path: Path) -> torch.Tensor:
    given = arrays(path)
    shape = given["base"].shape[-2:]
    return injected(given["base"][0], given["patch"], places(path_of(path), *shape))[None]


def noises(path: Path, name: str) -> list[Check]:
    given = arrays(path)
    shape = given["base"].shape

    def mixed(dtype: torch.dtype) -> torch.Tensor:
        return mix(laid(path).to(dtype), given["rand"].to(dtype), kept(path, shape))

    return [
        keys(path, name),
        official(f"{name}, injected", 0.0, lambda: laid(path), lambda: given["injected"], "float32"),
        filters(path, name, shape),
        official(name, MIXED, lambda: mixed(torch.float32), lambda: given["x_T"], "float32"),
        official(name, 1e-12, lambda: mixed(torch.float64), lambda: given["x_T_f64"]),
    ]


def attention(path: Path) -> np.ndarray:
    """An edited layer's output, of both guidance halves: they are edited alike."""
    given, meta = arrays(path), load(path)[1]
    width, context = given["to_q"].shape[1], given["to_k"].shape[1]
    layer = Attention(width, context, heads=meta["heads"], dim_head=meta["dim_head"]).double()
    layer.load_state_dict(
        {f"{name}.weight": given[name] for name in ("to_q", "to_k", "to_v")}
        | {"to_out.0.weight": given["to_out_weight"], "to_out.0.bias": given["to_out_bias"]}
    )
    over, reads = ("cell" if meta["kind"] == "temporal" else "frame"), ("text" if meta["kind"] == "cross" else "self")
    grid, boxes = (meta["h"], meta["w"]), path_of(path)
    site = UNetSite("layer", "early", over, reads, False, grid, 1, layer, 0, None)
    edit = TextInside([boxes], [meta["token_ids"]]) if reads == "text" else isolated([boxes], grid)
    hidden = torch.cat([given["x"], given["x"]])
    text = given["context"].expand(len(hidden), -1, -1) if reads == "text" else None
    with torch.no_grad():
        return compiled({site: edit}, 1)["layer"](layer, hidden, text).numpy()


def attentions(path: Path, name: str) -> list[Check]:
    theirs = load(path)[0]["output"]
    return [
        keys(path, name), official(name, 1e-12, lambda: attention(path), lambda: np.concatenate([theirs, theirs]))
    ]  # fmt: skip


@cache
def edited(path: Path) -> np.ndarray:
    """Latents of a whole run from the release's noise."""
    given, meta = arrays(path), load(path)[1]
    options = {"noise": False, "ddim_edit": meta["ddim_edit"], "tokens": meta["token_ids"]}
    subject = Subject(None, path_of(path))
    return sampled(path, "freetraj", options, given["x_T"], meta["steps"], subjects=[subject]).trajectory.numpy()


def runs(path: Path, name: str) -> list[Check]:
    given = arrays(path)
    first, last = given["latents_after_first_step"], given["final_latents"]

    def noise() -> torch.Tensor:
        return mix(laid(path), given["rand"], low_pass(given["base"].shape[-3:], d_t=0.1))

    return [
        keys(path, name),
        official(f"{name}, noise", MIXED, noise, lambda: given["x_T"], "float32"),
        official(name, 1e-10, lambda: edited(path)[[0, -1]], lambda: torch.cat([first, last])),
    ]
