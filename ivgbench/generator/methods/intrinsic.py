"""Intrinsic Denoising and Temporal Intrinsic Denoising (Test-Time Domain Adaptation, section 2.3, Eq. 2, Algorithm 1).

Before each sampler step, M times: z <- z + eta_l (c_g grad tau + score) + eta_k n, with score = -eps/b at the step's
noise level z = a z0 + b n (`levels.Level`). Step sizes after DreamClean's variance-preserving rule (Xiao et al.,
ICLR 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ivgbench.errors import UserError
from ivgbench.generator.edits.tau import Grid, tau
from ivgbench.generator.levels import Level, Schedule
from ivgbench.generator.methods.base import Clip, Network, Run, Setup, option, standard_normal
from ivgbench.generator.methods.mask_norm import MaskNorm
from ivgbench.generator.methods.peekaboo import MaskedRun


@dataclass(frozen=True)
class MaskNormID(MaskNorm):
    """Mask Normalization with Intrinsic Denoising: each step is preceded by a move along the score and fresh noise.

    gamma: eta_l = gamma b^2, eta_k = sqrt(gamma (2-gamma)) b: 0 is off, 1 re-noises the clean estimate, at most 2.
        The paper does not say; DreamClean's public text gives the form but not the value.
    inner_steps: M; each costs one guided network evaluation. The paper does not say; DreamClean uses 1.
    window: (first, stop): the steps first..stop-1 it acts on; None: all, as in Algorithm 1.
    """

    name: ClassVar[str] = "mask-norm-id"
    version: ClassVar[int] = 1

    gamma: float = option(0.1, low=0, high=2)
    inner_steps: int = option(1, low=0)
    window: tuple[int, int] | None = option(None, low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window is not None and self.window[0] > self.window[1]:
            raise UserError(f"{self.name}: window {list(self.window)} ends before it starts; give [first, stop]")

    @property
    def acts(self) -> bool:
        """Whether there is any inner step at all."""
        return self.gamma > 0 and self.inner_steps > 0

    def check_schedule(self, schedule: Schedule, subjects: int) -> None:
        if self.acts and schedule.levels is None:
            raise UserError(
                f"{self.name} needs a variance-preserving scheduler with alphas_cumprod: use 'ddim' or 'dpm'"
            )
        if self.acts:
            schedule.check_hand(self.name)

    def start(self, setup: Setup) -> Run:
        return IntrinsicRun(setup, self, guide=None)


@dataclass(frozen=True)
class MaskNormTID(MaskNormID):
    """Adds the gradient of the temporal prior tau to the score. kappa 0 is `MaskNormID` bit for bit.

    kappa: scales the gradient so that ||c_g grad tau|| = kappa ||score||, per clip. The paper does not say.
    c_g: if given, the raw factor instead of kappa (useful sizes depend on the latents' size: 1e3 to 1e4 at 24x40x72).
    gradient: of tau through the clean estimate: "detached" holds eps constant (no backward pass through the
        network), "exact" goes through it. The paper does not say.
    guided_steps: "all", or "frozen": guided only while the masks are on. The paper does not say; Algorithm 1 has all.
    crop_grid: grid that tau compares crops on (`tau.Grid`). The paper does not say.
    """

    name: ClassVar[str] = "mask-norm-tid"
    version: ClassVar[int] = 1

    kappa: float = option(0.1, low=0)
    c_g: float | None = option(None, low=0)
    gradient: Literal["detached", "exact"] = "detached"
    guided_steps: Literal["all", "frozen"] = "all"
    crop_grid: Grid = "mean"

    def start(self, setup: Setup) -> Run:
        strength = self.kappa if self.c_g is None else self.c_g
        return IntrinsicRun(setup, self, guide=self if strength > 0 else None)


class IntrinsicRun(MaskedRun):
    """Masks and normalisation as in `MaskedRun`, and the inner steps before the sampler's."""

    def __init__(self, setup: Setup, config: MaskNormID, guide: MaskNormTID | None):
        super().__init__(setup, config, config.norm_self, config.norm_cross)
        self._config, self._guide, self._clips = config, guide, setup.clips
        self._streams = [clip.stream("intrinsic") for clip in setup.clips]

    def before_step(self, step: int, latents: torch.Tensor, network: Network) -> torch.Tensor:
        first, stop = self._config.window or (0, step + 1)
        if not self._config.acts or not first <= step < stop:
            return latents
        guide = self._guide
        if guide is not None and guide.guided_steps == "frozen" and step >= guide.frozen_steps:
            guide = None
        for _ in range(self._config.inner_steps):
            latents = self._inner(latents, network, guide)
        return latents

    def _inner(self, latents: torch.Tensor, network: Network, guide: MaskNormTID | None) -> torch.Tensor:
        # At least float32: near the end the variance has no digits left in half precision.
        wide = torch.promote_types(latents.dtype, torch.float32)
        level = network.level
        if guide is not None and guide.gradient == "exact":
            eps, gradient = _exact(latents, network, self._clips, guide.crop_grid)
        else:
            output = network(latents).to(wide)
            eps = level.noise(latents.to(wide), output)
            gradient = None
            if guide is not None:
                gradient = _detached(latents.to(wide), output, level, self._clips, guide.crop_grid)
        fresh = standard_normal(self._streams, (1, *latents.shape[1:])).to(latents.device, wide)
        moved = renoise(latents.to(wide), eps, fresh, level.b, self._config.gamma)
        if guide is not None and gradient is not None:
            score_norm = eps.flatten(1).norm(dim=1) / level.b
            push = guidance(gradient, score_norm, guide.kappa, guide.c_g)
            moved = moved + self._config.gamma * level.variance * push
        return moved.to(latents.dtype)


def renoise(
    latents: torch.Tensor, eps: torch.Tensor, fresh: torch.Tensor, b: torch.Tensor, gamma: float
) -> torch.Tensor:
    """z - gamma b eps + sqrt(gamma (2-gamma)) b n: the score and noise parts of Eq. 2."""
    return latents - gamma * b * eps + (gamma * (2 - gamma)) ** 0.5 * b * fresh


def guidance(gradient: torch.Tensor, score_norm: torch.Tensor, kappa: float, c_g: float | None) -> torch.Tensor:
    """c_g grad tau: raw, or scaled per clip to kappa times the score's norm [N]. A zero gradient stays zero."""
    if c_g is not None:
        return c_g * gradient
    norm = gradient.flatten(1).norm(dim=1)
    scale = torch.where(norm > 0, kappa * score_norm / torch.where(norm > 0, norm, 1), 0)
    return scale.view(-1, *[1] * (gradient.ndim - 1)) * gradient


def _detached(latents: torch.Tensor, output: torch.Tensor, level: Level, clips: list[Clip], grid: Grid) -> torch.Tensor:
    """Gradient of tau in the latents with the noise estimate held constant: dz0/dz = 1/a, and 1 where a is 0."""
    with torch.enable_grad():
        clean = level.clean(latents, output).detach().requires_grad_()
        return _gradient(_total(clean, clips, grid), clean) / torch.where(level.a == 0, 1, level.a)


def _exact(latents: torch.Tensor, network: Network, clips: list[Clip], grid: Grid) -> tuple[torch.Tensor, torch.Tensor]:
    """(eps, gradient of tau in the latents through the network), both at least float32."""
    wide = torch.promote_types(latents.dtype, torch.float32)
    with torch.enable_grad():
        source = latents.detach().to(wide).requires_grad_()
        output = network(source.to(latents.dtype)).to(wide)
        total = _total(network.level.clean(source, output), clips, grid)
        network.backward += total.requires_grad
        return network.level.noise(source, output).detach(), _gradient(total, source)


def _total(clean: torch.Tensor, clips: list[Clip], grid: Grid) -> torch.Tensor:
    # Clips do not see each other, so the gradient of the sum is each clip's own.
    return torch.stack([tau(one, clip.boxes, grid) for one, clip in zip(clean, clips, strict=True)]).sum()


def _gradient(total: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(total, source)[0] if total.requires_grad else torch.zeros_like(source)
