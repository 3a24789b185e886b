"""Watches text attention, and the clean picture behind one step, while a clip is made; it changes no value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from ivgbench.generator import levels
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.sites import Site


class Watcher:
    """What was seen of one clip, made alone in its batch, in the conditional half.

    mass: share of text attention that each token takes [L], mean over layers, steps, frames, heads and cells.
    maps: what the watched tokens take, summed over them [F,H,W]: each layer's map enlarged to pixels, mean over layers,
        steps and heads.
    clean: the guided estimate of the final latents [1,C,F,h,w] at the step that was asked for.
    """

    def __init__(self, backbone: Backbone, tokens: Sequence[int], guidance: float, step: int, shape: tuple[int, int]):
        self._backbone, self._tokens, self._guidance, self._step = backbone, list(tokens), guidance, step
        self._mass, self._maps = torch.zeros(()), torch.zeros(())
        self._seen = self._steps = 0
        self.clean: torch.Tensor | None = None

    @property
    def early(self) -> torch.Tensor:
        """`clean`, once the step has been made that was asked for. ValueError before."""
        if self.clean is None:
            raise ValueError(f"step {self._step} was not made")
        return self.clean

    @property
    def mass(self) -> torch.Tensor:
        return self._mass / self._seen

    @property
    def maps(self) -> torch.Tensor:
        return self._maps / self._seen

    @torch.no_grad()
    def _attention(self, site: Site, module: Any, args: tuple, kwargs: dict[str, Any], output: torch.Tensor) -> None:
        probs = self._backbone.text_maps(site, args, kwargs)
        if probs is None:
            return
        cells = probs[..., self._tokens].sum(-1).mean(1).unflatten(1, site.grid)
        size = (self._backbone.height, self._backbone.width)
        self._maps = self._maps + F.interpolate(cells[:, None], size, mode="bilinear")[:, 0].cpu()
        self._mass = self._mass + probs.mean((0, 1, 2)).cpu()
        self._seen += 1

    def _watched(self, evaluate: Callable[..., tuple[torch.Tensor, torch.Tensor]]) -> Callable[..., Any]:
        """The backbone's evaluation, which also keeps the clean estimate of the step that was asked for."""

        def evaluated(latents: torch.Tensor, timestep: torch.Tensor, *text: torch.Tensor) -> Any:
            unconditional, conditional = evaluate(latents, timestep, *text)
            self._steps += 1
            if self._steps == self._step:
                guided = unconditional + self._guidance * (conditional - unconditional)
                level = levels.at(self._backbone.scheduler(), timestep, latents.device, latents.dtype)
                self.clean = level.clean(latents, guided)
            return unconditional, conditional

        return evaluated


@contextmanager
def watching(
    backbone: Backbone, tokens: Sequence[int], guidance: float, step: int, shape: tuple[int, int]
) -> Iterator[Watcher]:
    """While open, what the denoiser does with an unguided method's clip is watched.

    Args:
        tokens: positions of the words whose maps are kept.
        guidance: the guidance scale of the clip. step: the step, from 1, whose clean estimate is kept.
        shape: height and width of the latents in cells.
    """
    watcher = Watcher(backbone, tokens, guidance, step, shape)
    handles = []
    for site in backbone.sites((1, *shape)):
        if site.reads == "text":
            handles.append(site.layer.register_forward_hook(partial(watcher._attention, site), with_kwargs=True))
    vars(backbone)["denoise"] = watcher._watched(backbone.denoise)  # of this one object
    try:
        yield watcher
    finally:
        del backbone.denoise
        for handle in handles:
            handle.remove()
