"""Checks against the second implementation: a small request for every rule that no golden fixture covers."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import reference
import torch
from checks import TOLERANCES, Check, backbone
from diffusers import UNet3DConditionModel
from reference_peekaboo import Peekaboo
from reference_trailblazer import TrailBlazer, compose, keyframes

from ivgbench.cases import Case, Subject
from ivgbench.files import digest
from ivgbench.generator import Backbone, generate
from ivgbench.generator.keyframes import at_every_frame

FOLDER = Path(__file__).parents[1] / "golden" / "tiny_t2v"
STEPS, GUIDANCE = 2, 9.0
#: Its tokens: BOS, a, ze, bra, and, a, dog, on, the, g, re, e, n, grass, EOS.
PROMPT = "a zebra and a dog on the green grass"
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


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked of both. `tokens`: what TrailBlazer edits; `unet`: another denoiser than the tiny model's."""

    method: str
    phrases: tuple[str | None, ...] = ("zebra",)
    boxes: tuple[Any, ...] = (None,)
    masks: np.ndarray | None = None
    options: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (8, 12)
    sampler: str = "ddim"
    prompts: tuple[str, ...] = (PROMPT,)
    tokens: tuple[int, ...] = ()
    unet: Callable[[], UNet3DConditionModel] | None = None
    steps: int = STEPS
    dtype: torch.dtype = torch.float64

    @property
    def frames(self) -> int:
        return len(self.boxes[0]) if self.masks is None else self.masks.shape[1]

    @property
    def case(self) -> Case:
        subjects = zip(self.phrases, self.boxes if self.masks is None else [None] * len(self.phrases), strict=True)
        return Case("request", PROMPT, tuple(Subject(*subject) for subject in subjects))

    def backbone(self, dtype: torch.dtype = torch.float64) -> Backbone:
        bb = backbone(FOLDER, dtype)
        if self.unet is not None:
            bb = copy.copy(bb)
            bb.unet = self.unet()
        return bb

    def latents(self) -> torch.Tensor:
        shape = (1, 4, self.frames, *self.size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def embeds(self) -> torch.Tensor:
        return self.backbone().encode_prompt([*["dog"] * len(self.prompts), *self.prompts])

    def ours(self) -> np.ndarray:
        clip = generate(
            self.backbone(self.dtype),
            self.case,
            self.method,
            self.options,
            steps=self.steps,
            guidance_scale=GUIDANCE,
            scheduler=self.sampler,
            latents=self.latents(),
            masks=self.masks,
            negative_prompt="dog",
            prompt_embeds=self.embeds() if len(self.prompts) > 1 else None,
            output="latent",
            return_trajectory=True,
        )
        return clip.trajectory.numpy()

    @cache  # noqa: B019 - the requests live as long as the process
    def theirs(self) -> np.ndarray:
        layers = self.peekaboo_layers() if self.method in ("peekaboo", "mask-norm") else self.trailblazer_layers()
        return self.sample(self.embeds(), self.latents(), layers)

    def sample(self, embeds: torch.Tensor, latents: torch.Tensor, layers: Any, blend: Any = None) -> np.ndarray:
        bb = self.backbone()
        settings = (bb.scheduler_config, embeds, latents, self.steps, GUIDANCE, layers, self.sampler, blend)
        return reference.trajectory(bb.unet, *settings)

    def peekaboo_layers(self) -> Any:
        bb = self.backbone()
        height, width = self.size
        masks = self.masks
        if masks is None:
            masks = np.zeros((len(self.boxes), self.frames, height, width), dtype=bool)
            for k, track in enumerate(self.boxes):
                for f, (x0, y0, x1, y1) in enumerate(track):
                    masks[k, f, int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
        phrases = [None if phrase is None else bb.tokenizer(phrase)["input_ids"] for phrase in self.phrases]
        ids = bb.tokenizer(PROMPT, padding="max_length", max_length=77, truncation=True)["input_ids"]
        return Peekaboo(bb.unet, masks, ids, phrases, **{"frozen_steps": 4, **self.options}).layers

    def trailblazer_layers(self) -> Any:
        o = self.options
        spatial = o["spatial_steps"], o["spatial_strengthen"], o["spatial_weaken"]
        temporal = o["temporal_steps"], o["temporal_strengthen"], o["temporal_weaken"]
        gate = o.get("temporal_gate", "official")
        track = self.boxes[0] if self.masks is None else tight(self.masks[0])
        return TrailBlazer(self.backbone().unet, self.size, track, self.tokens, spatial, temporal, gate).layers


class Composition(Request):
    """Several subjects: each alone from its own noise and phrase, then the joint run."""

    @cache  # noqa: B019
    def theirs(self) -> np.ndarray:
        alone = []
        for k, phrase in enumerate(self.phrases):
            key = digest({"case": self.case.content(), "seed": 0, "stream": f"subject {k}"})
            generator = torch.Generator().manual_seed(int(key[:16], 16) >> 1)
            noise = torch.randn((1, 4, self.frames, *self.size), generator=generator).double()
            # The phrases' own tokens: BOS, then two for zebra, one for dog; then the trailing ones.
            count = {"zebra": 2, "dog": 1}[phrase]
            tokens = tuple(range(1, 1 + count + self.options["trailing_length"]))
            single = Request(self.method, boxes=(self.boxes[k],), options=self.options, tokens=tokens)
            embeds = self.backbone().encode_prompt(["dog", phrase])
            alone.append(self.sample(embeds, noise, single.trailblazer_layers()))
        first = self.options["integration_steps"]

        def blend(step: int, latents: torch.Tensor) -> torch.Tensor:
            if step >= first:
                return latents
            return compose(latents, [torch.from_numpy(one[step])[None] for one in alone], self.boxes, step / first)

        return self.sample(self.embeds(), self.latents(), lambda step: {}, blend)


def tight(masks: np.ndarray) -> np.ndarray:
    """Boxes around masks [F,h,w], zeros around nothing."""
    track, (height, width) = np.zeros((len(masks), 4)), masks.shape[1:]
    for frame, mask in enumerate(masks):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if mask.any():
            edges = columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height
            track[frame] = edges
    return track


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
    "peekaboo, every occurrence": peekaboo(phrases=("a dog",)),
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
    "trailblazer, found tokens": trailblazer(tokens=FOUND),
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
