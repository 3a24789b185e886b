"""One small request to both implementations: `generate` of ivgbench, and the second one of this folder."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import reference
import torch
from checks import backbone
from diffusers import UNet3DConditionModel
from reference_peekaboo import Peekaboo
from reference_trailblazer import TrailBlazer, compose

from ivgbench.cases import Case, Subject
from ivgbench.files import digest
from ivgbench.generator import Backbone, generate

FOLDER = Path(__file__).parents[1] / "golden" / "tiny_t2v"
STEPS, GUIDANCE = 2, 9.0
#: Its tokens: BOS, a, ze, bra, and, a, dog, on, the, g, re, e, n, grass, EOS.
PROMPT = "a zebra and a dog on the green grass"


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
    suffix: str = ""
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
        texts = [prompt + self.suffix for prompt in self.prompts]
        return self.backbone().encode_prompt([*["dog"] * len(texts), *texts])

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
            prompt_suffix=self.suffix,
            prompt_embeds=self.embeds() if len(self.prompts) > 1 else None,
            output="latent",
            return_trajectory=True,
        )
        return clip.trajectory.numpy()

    @cache  # noqa: B019 - the requests live as long as the process
    def theirs(self) -> np.ndarray:
        layers = self.peekaboo_layers() if self.method == "peekaboo" else self.trailblazer_layers()
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
        ids = bb.tokenizer(PROMPT + self.suffix, padding="max_length", max_length=77, truncation=True)["input_ids"]
        return Peekaboo(bb.unet, masks, ids, phrases, **self.options).layers

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
