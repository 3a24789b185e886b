"""What a clip costs, before it is made: the method's own code run over the denoiser on the meta device.

Tensors there have a shape and no content, so the full-size model is walked through in seconds, without weights and
without a GPU. What is counted: see `metering`. What a real GPU adds is not in it: work space of kernels, fragmentation,
the driver's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet3DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from ivgbench import boxes
from ivgbench.cases import Case
from ivgbench.generator.backbones import sources
from ivgbench.generator.backbones.unet3d import DECODE_SLICE, Backbone
from ivgbench.generator.backbones.unet3d_attention import attached
from ivgbench.generator.metering import FusedAttention, Meter
from ivgbench.generator.methods.base import Clip, Method, Noise, Setup

META = torch.device("meta")


@dataclass(frozen=True)
class Cost:
    """Of one clip.

    evaluations: guided network evaluations; backward: how many of them are gone through backwards as well.
    flops: floating point operations of it all, a multiplication and an addition counting two.
    weights: bytes of text encoder, denoiser, VAE; working: most bytes alive beside them in denoiser, VAE.
    """

    evaluations: int
    backward: int
    flops: int
    weights: tuple[int, int, int]
    working: tuple[int, int]

    @property
    def peak(self) -> int:
        """Most bytes at once with all parts on the device."""
        return sum(self.weights) + max(self.working)

    @property
    def peak_offloaded(self) -> int:
        """The same when parts are on the device only while they work."""
        text, denoiser, vae = self.weights
        return max(text, denoiser + self.working[0], vae + self.working[1])


class _Run(NamedTuple):
    """Network evaluations, backward passes and operations, which add up, and working bytes, of which the most count."""

    forward: int = 0
    backward: int = 0
    flops: int = 0
    working: int = 0

    def __add__(self, other: _Run) -> _Run:
        return _Run(*(a + b for a, b in zip(self[:3], other[:3], strict=True)), max(self.working, other.working))


class _Hollow(Backbone):
    """The denoiser without content behind a backbone's interface: what a method's run asks of one."""

    def __init__(self, unet: UNet3DConditionModel, dtype: torch.dtype):  # nothing is loaded: no super().__init__
        self.unet, self.device, self.dtype, self.offload = unet, META, dtype, False

    def token_ids(self, text: str) -> list[int]:
        """A token per word: which ones does not matter here, only that a phrase's are the prompt's."""
        ids = self.phrase_ids(text)[:-1]
        return (ids + [1] * 77)[:77]

    def phrase_ids(self, text: str) -> list[int]:
        return [0, *(2 + zlib.crc32(word.strip(".,").encode()) for word in text.lower().split()), 1]

    def places(self, text: str, phrase: str) -> list[range]:
        """At the beginning: where it is does not matter here either."""
        return [range(1, len(self.phrase_ids(phrase)) - 1)]


class Costs:
    """Costs of methods on one architecture and clip size; what they share is walked through once.

    Args:
        architecture: the configs of "unet", "text_encoder" and "vae".
        preset: says how large a frame is.
    """

    def __init__(self, architecture: Mapping[str, Mapping[str, Any]], preset: sources.Preset, dtype: torch.dtype):
        self.dtype = dtype
        with META, torch.no_grad():
            self.unet = UNet3DConditionModel.from_config(dict(architecture["unet"]))
            text = CLIPTextModel(CLIPTextConfig(**architecture["text_encoder"]))
            vae = AutoencoderKL.from_config(dict(architecture["vae"]))
        for model in (self.unet, text, vae):
            torch.nn.Module.to(model, dtype).eval().requires_grad_(False)
        self.weights = tuple(
            sum(one.numel() * one.element_size() for one in model.parameters()) for model in (text, self.unet, vae)
        )
        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        height, width = sources.frame_size(preset, self.unet.config, factor)
        self.cells = (height // factor, width // factor)
        self._vae, self._passes = vae, {}

    def of(self, config: Method, case: Case, steps: int, guidance: float) -> Cost:
        """The cost of a clip of `case` (its number of frames and subjects) with a method's config."""
        run = self._sampling(config, self._clip(case), steps, guidance)
        decoding, decoder = self._decoding(case.frames)
        return Cost(run.forward, run.backward, run.flops + decoding, self.weights, (run.working, decoder))

    def _clip(self, case: Case) -> Clip:
        masks = np.stack([boxes.rasterise(subject.boxes, *self.cells) for subject in case.subjects])
        return Clip(
            case.prompt, "", tuple(subject.phrase for subject in case.subjects), torch.from_numpy(masks).to(META),
            np.stack([subject.boxes for subject in case.subjects]), lambda label: None,
        )  # fmt: skip

    def _sampling(self, config: Method, clip: Clip, steps: int, guidance: float) -> _Run:
        """A run over one clip, and the solo runs it asks for."""
        backbone = _Hollow(self.unet, self.dtype)
        solos: list[_Run] = []

        def idle(own: Clip, prompt: str, alone: Method, label: str) -> torch.Tensor:
            return torch.empty(steps, *self._shape(own)[1:])

        def solo(own: Clip, prompt: str, alone: Method, label: str) -> torch.Tensor:
            solos.append(self._sampling(alone, own, steps, guidance))
            return idle(own, prompt, alone, label)

        # How often the network is asked does not depend on the number of frames: two of them tell, at little cost.
        ends = [0, clip.masks.shape[1] - 1]
        brief = replace(clip, masks=clip.masks[:, ends], boxes=clip.boxes[:, ends])
        with META, torch.no_grad():
            alphas = torch.empty(1000)
            moves = config.start(Setup(backbone, [brief], steps, guidance, alphas, idle))
            run = config.start(Setup(backbone, [clip], steps, guidance, alphas, solo))
            total = _Run()
            seen: dict[Any, tuple[int, int]] = {}
            for step in range(steps):
                noise = Noise(lambda latents: latents * 1, torch.empty(()))
                moves.after_step(
                    step, moves.before_step(step, torch.empty(self._shape(brief), dtype=self.dtype), noise)
                )
                processors = run.processors(step)
                for gradient, times in ((False, 1 + noise.evaluations - noise.backward), (True, noise.backward)):
                    if times:
                        key = (frozenset(processors.items()), gradient)
                        if key not in seen:
                            seen[key] = self._evaluation(backbone, processors, self._shape(clip), gradient)
                        total += _Run(times, times * gradient, times * seen[key][0], seen[key][1])
        return sum(solos, total)

    def _shape(self, clip: Clip) -> tuple[int, ...]:
        return 1, self.unet.config.in_channels, clip.masks.shape[1], *self.cells

    def _evaluation(
        self, backbone: Backbone, processors: dict[str, Any], shape: tuple[int, ...], gradient: bool
    ) -> tuple[int, int]:
        """(operations, working bytes) of one guided evaluation, and of the way back through it with `gradient`."""

        def walk() -> None:
            context = torch.empty(2, 77, self.unet.config.cross_attention_dim, dtype=self.dtype)
            latents = torch.empty(shape, dtype=self.dtype)
            with attached(self.unet, processors), torch.set_grad_enabled(gradient):
                pair = backbone.denoise(latents.requires_grad_(gradient), torch.empty((), dtype=torch.long), context)
                if gradient:
                    torch.autograd.grad(sum(pair).sum(), latents)

        # Without processors all methods are alike.
        return self._walked((shape, gradient) if not processors else None, walk, self.unet)

    def _decoding(self, frames: int) -> tuple[int, int]:
        """(operations, working bytes) of decoding all frames, a slice at a time."""
        count = min(DECODE_SLICE, frames)

        def walk() -> None:
            with META, torch.no_grad():
                latents = torch.empty(count, self._vae.config.latent_channels, *self.cells, dtype=self.dtype)
                self._vae.decode(latents, return_dict=False)

        flops, working = self._walked(("decode", count), walk, self._vae)
        return flops * frames // count, working

    def _walked(self, key: Any, walk: Callable[[], None], model: torch.nn.Module) -> tuple[int, int]:
        if key is not None and key in self._passes:
            return self._passes[key]
        with Meter(model) as meter, FusedAttention(meter):
            walk()
        # What is left are the masks, made on the way and kept: they live all through the evaluations that follow.
        walked = meter.flops, meter.peak + meter.alive
        if key is not None:
            self._passes[key] = walked
        return walked
