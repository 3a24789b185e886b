"""What a clip costs, before it is made: the sampler's own loop, run on a backbone on the meta device.

Tensors there have a shape and no content, so the full-size model is walked through in seconds, without weights and
without a GPU. What is counted: see `metering`. What a real GPU adds is not in it: work space of kernels, fragmentation,
the driver's own.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict

from ivgbench.cases import Case
from ivgbench.generator import inputs
from ivgbench.generator.backbones import layout, presets
from ivgbench.generator.backbones.base import Backbone, family
from ivgbench.generator.edits.watched import AllSeen, Watch
from ivgbench.generator.loop import sampled
from ivgbench.generator.metering import FusedAttention, Meter
from ivgbench.generator.methods.base import Method
from ivgbench.generator.sampling import PLAIN, Decided, Sampling

META = torch.device("meta")


@dataclass(frozen=True)
class Cost:
    """Of one clip.

    evaluations: guided network evaluations, of which a conditional half alone is a half; backward: how many are gone
    through backwards as well. At most: a method that stops by what it sees is taken to go on.
    flops: floating point operations of it all, a multiplication and an addition counting two.
    weights: bytes of text encoder, denoiser, VAE; working: most bytes alive beside them in denoiser, VAE; decoding: of
    the operations, those of the VAE.
    """

    evaluations: int | float
    backward: int
    flops: int
    weights: tuple[int, int, int]
    working: tuple[int, int]
    decoding: int = 0

    @property
    def peak(self) -> int:
        """Most bytes at once with all parts on the device."""
        return sum(self.weights) + max(self.working)

    @property
    def peak_offloaded(self) -> int:
        """The same when parts are on the device only while they work."""
        text, denoiser, vae = self.weights
        return max(text, denoiser + self.working[0], vae + self.working[1])


class _IdleScheduler:
    """Steps that cost nothing and move nothing, on latents without content."""

    config = FrozenDict(prediction_type="epsilon")

    def set_timesteps(self, steps: int, device: torch.device) -> None:
        self.timesteps = torch.arange(steps)
        self.alphas_cumprod = torch.full((steps,), 0.5)

    def step(self, prediction: torch.Tensor, timestep: torch.Tensor, latents: torch.Tensor, return_dict: bool) -> tuple:
        return (latents,)


class Costs:
    """Costs of methods on one architecture and clip size; what they share is walked through once.

    Args:
        architecture: the configs of a backbone's parts, see `sources.architecture`.
        preset: says how large a frame is.
    """

    def __init__(self, architecture: Mapping[str, Mapping[str, Any]], preset: presets.Preset, dtype: torch.dtype):
        cls = family(layout.family_of_parts(architecture))
        with META, torch.no_grad():
            self.backbone = cls.hollow(architecture, preset, dtype)
        self._passes: dict[Any, tuple[int, int]] = {}

    @property
    def weights(self) -> tuple[int, int, int]:
        """Bytes of text encoder, denoiser, VAE."""
        text, denoiser, vae = (
            sum(one.numel() * one.element_size() for one in part.parameters())
            for part in self.backbone.modules().values()
        )
        return text, denoiser, vae

    def of(self, config: Method, case: Case, sampling: Sampling) -> Cost:
        """The cost of a clip of `case` (its number of frames and subjects) with a method's config.

        sampling: its steps, and its size where it is not the backbone's own; the noise path does not matter.
        """
        walk = _Walk(self.backbone, self._passes)
        shape = inputs.geometry(self.backbone, [case], None, None, sampling.size)
        clip = inputs.clip_of(self.backbone, case, 0, "", shape, None)
        with walk, torch.no_grad():
            decided = Decided(**replace(sampling, scheduler=_IdleScheduler()).over(PLAIN).said())
            sample = sampled(self.backbone, config, [clip], shape, decided)
        decoding, decoder = self._decoding(shape)
        return Cost(sample.nfe, sample.backward, walk.flops + decoding, self.weights, (walk.working, decoder), decoding)

    def _decoding(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """(operations, working bytes) of decoding all latents, a slice at a time."""
        with META:
            parts = self.backbone.slices(torch.empty(1, *shape, dtype=self.backbone.dtype))
        found = []
        for part in parts:
            key = ("decode", tuple(part.shape))
            found.append(_walked(self._passes, key, partial(self.backbone.decoded, part), self.backbone.vae))
        return sum(flops for flops, _ in found), max(working for _, working in found)


class _Walk:
    """While open, the backbone's evaluations are counted, and each kind of them is walked through once.

    flops: of all; working: most bytes alive in one.
    """

    def __init__(self, backbone: Backbone, passes: dict[Any, tuple[int, int]]):
        self.backbone, self.flops, self.working = backbone, 0, 0
        self._passes = passes
        self._seen: dict[Any, tuple[int, int]] = {}
        self._edits: frozenset[tuple[Any, Any]] = frozenset()

    def __enter__(self) -> None:
        # Of this one object. Rounds of other steps have schedulers of their own.
        vars(self.backbone).update(
            denoise=self._denoise,
            denoise_conditional=self._denoise_conditional,
            edited=self._edited,
            scheduler=lambda which, shape: copy.copy(which),
        )

    def __exit__(self, *fault: object) -> None:
        for name in ("denoise", "denoise_conditional", "edited", "scheduler"):
            delattr(self.backbone, name)  # the class's own are back

    @contextmanager
    def _edited(self, edits: Mapping[Any, Any], clips: int) -> Any:
        self._edits, before = frozenset(edits.items()), self._edits
        with type(self.backbone).edited(self.backbone, edits, clips):
            yield
        self._edits = before

    def _denoise(
        self, latents: torch.Tensor, timestep: torch.Tensor, negative: torch.Tensor, positive: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        def evaluate(source: torch.Tensor) -> Sequence[torch.Tensor]:
            return type(self.backbone).denoise(self.backbone, source, timestep.to(META), negative, positive)

        self._evaluation(f"pair, {positive.shape[1]} tokens", latents, evaluate)
        return latents * 1, latents * 1

    def _denoise_conditional(
        self, latents: torch.Tensor, timestep: torch.Tensor, positive: torch.Tensor
    ) -> torch.Tensor:
        watch = next((edit for _, edit in self._edits if isinstance(edit, Watch) and edit.on), None)

        def evaluate(source: torch.Tensor) -> Sequence[torch.Tensor]:
            try:
                return [type(self.backbone).denoise_conditional(self.backbone, source, timestep.to(META), positive)]
            except AllSeen:  # what is gone back from is then the maps
                assert watch is not None, "who has seen all was watching"
                return [watch.maps.pop(site) for site in watch.sites]

        self._evaluation("watched" if watch else "half", latents, evaluate)
        return latents * 1

    def _evaluation(
        self, what: str, latents: torch.Tensor, evaluate: Callable[[torch.Tensor], Sequence[torch.Tensor]]
    ) -> None:
        """One more of a kind: with latents that ask for a gradient it is gone through backwards as well."""
        gradient = torch.is_grad_enabled() and latents.requires_grad

        def walk() -> None:
            source = torch.empty_like(latents).requires_grad_(gradient)
            results = evaluate(source)
            if gradient:
                total: Any = sum(one.sum() for one in results)
                torch.autograd.grad(total, source)

        # Without edits all methods are alike.
        kind = (what, tuple(latents.shape), gradient)
        passes, key = (self._seen, (*kind, self._edits)) if self._edits else (self._passes, kind)
        flops, working = _walked(passes, key, walk, self.backbone.denoiser)
        self.flops, self.working = self.flops + flops, max(self.working, working)


def _walked(
    passes: dict[Any, tuple[int, int]], key: Any, walk: Callable[[], Any], model: torch.nn.Module
) -> tuple[int, int]:
    """(operations, most living bytes) of a piece of work on the meta device, walked through once for each key."""
    if key not in passes:
        with META, Meter(model) as meter, FusedAttention(meter):
            walk()
        # What is left are the masks, made on the way and kept: they live all through the evaluations that follow.
        passes[key] = meter.flops, meter.peak + meter.alive
    return passes[key]
