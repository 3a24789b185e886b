"""Checks against the second implementation: a small request for every rule that no golden fixture covers."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch
from checks import TOLERANCES, Check
from diffusers import UNet3DConditionModel
from reference_trailblazer import keyframes
from request import PROMPT, Composition, Request

from ivgbench.generator.keyframes import at_every_frame

#: Cell borders within the margin, an edge of the frame, a box too narrow for a region.
MOVING = [[0.05, 0.15, 0.55, 0.7], [0.245, 0.245, 0.75, 1.0], [0.46, 0.1, 0.48, 0.9]]
OTHER = [[0.4, 0.4, 1.0, 1.0], [0.0, 0.4, 0.6, 1.0], [0.2, 0.2, 0.8, 0.8]]


def rectangles(*edges: tuple[int, int, int, int]) -> np.ndarray:
    """Masks bool [F,8,12], a rectangle (top, bottom, left, right) a frame."""
    masks = np.zeros((len(edges), 8, 12), dtype=bool)
    for mask, (top, bottom, left, right) in zip(masks, edges, strict=True):
        mask[top:bottom, left:right] = True
    return masks


#: Odd edges, a column that no coarse level has, an empty frame; a full one.
FIRST = rectangles((1, 5, 1, 7), (2, 7, 5, 6), (0, 0, 0, 0))
SECOND = rectangles((3, 8, 4, 11), (0, 4, 2, 9), (0, 8, 0, 12))


@cache
def many_heads() -> UNet3DConditionModel:
    """A random denoiser whose temporal attention at 16x16 cells has the 128 heads that open the release's gate."""
    return random_unet(128, 1, "CrossAttn")


@cache
def only_transformer_in() -> UNet3DConditionModel:
    """A random denoiser for 64x64 cells, where the 8 heads of transformer_in open the gate; others are few."""
    return random_unet(32, 16, "")


def random_unet(channels: int, head_dim: int, kind: str) -> UNet3DConditionModel:
    torch.manual_seed(0)
    unet = UNet3DConditionModel(
        down_block_types=(f"{kind}DownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "UpBlock3D"),
        block_out_channels=(channels, channels),
        layers_per_block=1,
        cross_attention_dim=32,
        attention_head_dim=head_dim,
    )
    return unet.double().eval().requires_grad_(False)


def edits(**options: Any) -> dict[str, Any]:
    """TrailBlazer's options with strengths that differ from each other, and one edited step of two."""
    strengths = {"spatial_strengthen": 0.3, "spatial_weaken": 0.01, "temporal_strengthen": 0.2, "temporal_weaken": 0.05}
    return {"spatial_steps": 1, "temporal_steps": 1, "trailing_length": 3, **strengths, **options}


def peekaboo(*masks: np.ndarray, frozen_steps: int = 1, **request: Any) -> Request:
    options = {"frozen_steps": frozen_steps, **request.pop("options", {})}
    return Request("peekaboo", masks=np.stack(masks or [FIRST]), options=options, **request)


def trailblazer(**request: Any) -> Request:
    return Request("trailblazer", **{"boxes": (MOVING,), "options": edits(), **request})


LONG = np.linspace(MOVING[0], MOVING[1], 25)
WALK = np.linspace(MOVING[0], MOVING[1], 3)
TWO = {"phrases": ("zebra", "dog")}
FOUND = (2, 3, 14, 15, 16)
REQUESTS: dict[str, Request] = {
    "plain": Request("peekaboo", boxes=(MOVING,), options={"frozen_steps": 0}),
    "peekaboo, one subject": peekaboo(),
    "peekaboo, frozen throughout": peekaboo(frozen_steps=9),
    "peekaboo, boxes": Request("peekaboo", boxes=(MOVING,), options={"frozen_steps": 1}),
    "peekaboo, soft masks": replace(peekaboo(), masks=FIRST[None] * 0.3),
    "peekaboo, every occurrence": peekaboo(phrases=("a dog",), suffix=" in a red meadow"),
    "peekaboo, no phrase": peekaboo(phrases=(None,)),
    "peekaboo, phrase not in the prompt": peekaboo(phrases=("panda",)),
    "peekaboo, phrase not in the prompt, float32": replace(peekaboo(phrases=("panda",)), dtype=torch.float32),
    "peekaboo, two subjects": peekaboo(FIRST, SECOND, **TWO),
    "peekaboo, two subjects, no phrase": peekaboo(FIRST, SECOND, phrases=(None, None)),
    "peekaboo, two subjects, own words": peekaboo(FIRST, SECOND, **TWO, options={"bind": "own-words"}),
    "peekaboo, paper scope": peekaboo(options={"scope": "paper"}),
    "peekaboo, paper scope, two subjects": peekaboo(FIRST, SECOND, **TWO, options={"scope": "paper"}),
    "peekaboo, per-frame prompts": peekaboo(prompts=(PROMPT, "a dog", "a red ball rolling")),
    "peekaboo, dpm": peekaboo(sampler="dpm"),
    "peekaboo, dpm, 16 steps": peekaboo(FIRST[:2], sampler="dpm", steps=16),
    "peekaboo, 25 frames": Request("peekaboo", boxes=(LONG,), options={"frozen_steps": 1}, size=(8, 8), steps=1),
    "trailblazer, given tokens": trailblazer(options=edits(token_indices=[3]), tokens=(3, 10, 11, 12)),
    "trailblazer, found tokens": trailblazer(tokens=FOUND, suffix="; high quality"),
    "trailblazer, no phrase": trailblazer(phrases=(None,), tokens=FOUND[2:]),
    "trailblazer, dpm": trailblazer(tokens=FOUND, sampler="dpm", steps=4),
    "trailblazer, masks": trailblazer(masks=FIRST[None], tokens=FOUND),
    "trailblazer, per-frame prompts": trailblazer(prompts=(PROMPT, "a dog", "a red ball"), tokens=FOUND),
    "trailblazer, 25 frames": trailblazer(boxes=(LONG,), tokens=FOUND, size=(8, 8), steps=1),
    "trailblazer, gate of a level": trailblazer(boxes=(WALK,), tokens=FOUND, size=(16, 16), unet=many_heads, steps=1),
    "trailblazer, gate of transformer_in": trailblazer(
        boxes=(WALK,), tokens=FOUND, size=(64, 64), unet=only_transformer_in, steps=1
    ),
    "trailblazer, intent": trailblazer(
        boxes=(WALK,), tokens=FOUND, size=(8, 8), options=edits(temporal_gate="intent", spatial_steps=0)
    ),
    "trailblazer, two subjects": Composition(
        "trailblazer", **TWO, boxes=(MOVING, OTHER), options=edits(integration_steps=2), steps=3
    ),
}


def reference_checks() -> dict[str, Check]:
    """Name -> check. In float32 the tolerance is that of the official numbers."""
    checks = {}
    for name, request in REQUESTS.items():
        dtype = str(request.dtype).removeprefix("torch.")
        checks[name] = Check(name, "reference", dtype, TOLERANCES[dtype], request.ours, request.theirs)
    keys = {0: np.array(MOVING[0]), 3: np.array(MOVING[1]), 8: np.array(OTHER[0])}
    checks["keyframes"] = Check(
        "keyframes",
        "reference",
        "float64",
        0.0,
        ours=lambda: np.stack(at_every_frame(keys)),
        theirs=lambda: np.stack(keyframes(keys)),
    )
    return checks
