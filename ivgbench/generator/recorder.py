"""Watches the denoiser while a clip is made: activation variances per step, and the outputs of two masked layers.

Figures 2 and 3 of the Test-Time Domain Adaptation paper. It works through hooks that exist only while `recording` is
open, and changes no value.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from ivgbench.errors import UserError
from ivgbench.generator.backbones.base import Backbone
from ivgbench.generator.backbones.sites import Site

#: The attentions of a transformer block whose outputs are kept.
ROLES = ("attn1", "attn2")
#: What the variance is taken of: the transformer's output, and what its two attentions give to their projections.
TENSORS = ("output", *ROLES)


def decoder_transformer(backbone: Backbone, block: int | None = None) -> str:
    """Name of the last spatial transformer of a decoder block: where all the masks of the block have acted. The decoder
    of a video DiT is the second half of its blocks.

    Args:
        block: its number, from 0 at the coarsest (of a DiT, from 0 at its first block); None: the first of the decoder
            that has attention. ZeroScope's is its second, which is the one that the paper looks at.
    Raises:
        UserError: no decoder block has spatial attention and text attention (CogVideoX's is joint), or not this one.
    """
    return _transformer(backbone, block)[0]


def _transformer(backbone: Backbone, block: int | None) -> tuple[str, dict[str, Site]]:
    """(its name, its attentions by role)."""
    found: dict[int, dict[str, dict[str, Site]]] = {}
    for site in backbone.sites((1, backbone.latent_height, backbone.latent_width)):
        name, inside, role = site.name.removesuffix(".processor").rpartition(".")
        if site.over == "frame":  # of several blocks in a transformer of a UNet the first one's
            name, inside, _ = name.partition(".transformer_blocks.")
        if site.band == "late" and site.over != "cell" and inside:
            found.setdefault(int(name.split(".")[1]), {}).setdefault(name, {}).setdefault(role, site)
    found = {number: named for number, named in found.items() if any({*ROLES} <= {*roles} for roles in named.values())}
    if not found:
        raise UserError(
            f"backbone {backbone.name!r} has no decoder block in which self-attention and text attention are two "
            "layers: there is nothing to record"
        )
    if block is not None and block not in found:
        has = ", ".join(map(str, sorted(found)))
        raise UserError(f"backbone {backbone.name!r}: decoder block {block} has no attention; those that have: {has}")
    of_block = found[min(found) if block is None else block]
    return list(of_block.items())[-1]


class Recorder:
    """What was seen of one clip, made alone in its batch.

    variance: tensor of `TENSORS` -> per sampler step, the population variance of its activations over everything (both
        guidance halves, frames, cells, channels), in float64. Of the evaluations inside a step the last counts, which
        is the sampler's own.
    layer: the transformer's name in the denoiser.
    half: says which guidance half is evaluated; where both are at once, always the same.
    """

    def __init__(self, layer: str, half: Callable[[], bool] = lambda: True) -> None:
        self.layer = layer
        self.variance: dict[str, list[float]] = {name: [] for name in TENSORS}
        self._half, self._looking_on = half, False
        self._latest: dict[str, dict[bool, tuple[float, float]]] = {}
        self._outputs: dict[str, dict[bool, dict[str, torch.Tensor]]] = {}

    @property
    def outputs(self) -> dict[str, dict[str, torch.Tensor]]:
        """Role ("attn1", self-attention, or "attn2", text attention) -> "masked", "unmasked" and "matched" output of
        the transformer's attention before its output projection, at the last step with masks; empty unless Mask
        Normalization is on there. [2F,cells,C] where attention is within frames, [2,F*cells,C] over the clip."""
        return {
            role: {name: torch.cat([one[name] for one in halves.values()]) for name in next(iter(halves.values()))}
            for role, halves in self._outputs.items()
        }

    def step_done(self, done: int, steps: int) -> None:
        """To be given to `generate` as its callback."""
        for name, values in self.variance.items():
            values.append(_pooled(*self._latest[name].values()))

    def _see(self, name: str, tensor: torch.Tensor) -> None:
        if not self._looking_on:
            wide = tensor.detach().double()
            seen = float(wide.mean()), float(wide.var(correction=0))
            self._latest.setdefault(name, {})[self._half()] = seen

    def _of_transformer(self, module: torch.nn.Module, args: tuple, output: Any) -> None:
        self._see("output", output if isinstance(output, torch.Tensor) else output[0])

    def _projection(self, role: str, module: torch.nn.Module, args: tuple) -> None:
        self._see(role, args[0])

    def _attention(self, role: str, module: Any, args: tuple, kwargs: dict[str, Any], output: torch.Tensor) -> None:
        processor = module.processor
        if getattr(processor, "match", None) is None:
            return

        def note(masked: torch.Tensor, unmasked: torch.Tensor, *frames: int) -> torch.Tensor:
            seen = {"masked": masked, "unmasked": unmasked, "matched": processor.match(masked, unmasked, *frames)}
            kept = {name: value.detach().float().cpu() for name, value in seen.items()}
            self._outputs.setdefault(role, {})[self._half()] = kept
            return masked

        # A copy looks on: the layer's own processor and result stay as they are.
        watching = copy.copy(processor)
        watching.match = note
        self._looking_on = True
        try:
            with torch.no_grad():
                watching(module, *args, **kwargs)
        finally:
            self._looking_on = False


def _pooled(*halves: tuple[float, float]) -> float:
    """The population variance of parts of one size together, from each one's (mean, variance)."""
    means = [mean for mean, _ in halves]
    middle = sum(means) / len(means)
    return sum(variance + (mean - middle) ** 2 for mean, variance in halves) / len(halves)


@contextmanager
def recording(backbone: Backbone, block: int | None = None) -> Iterator[Recorder]:
    """While open, what the denoiser does is recorded: `generate(backbone, ..., callback=recorder.step_done)`.

    block: see `decoder_transformer`.
    """
    name, attentions = _transformer(backbone, block)
    halves = getattr(backbone, "half", None)  # of a family that evaluates them one after the other
    recorder = Recorder(name) if halves is None else Recorder(name, lambda: halves.conditional)
    handles = [backbone.denoiser.get_submodule(name).register_forward_hook(recorder._of_transformer)]
    for role in ROLES:
        layer = attentions[role].layer
        handles.append(layer.register_forward_hook(partial(recorder._attention, role), with_kwargs=True))
        handles.append(layer.to_out[0].register_forward_pre_hook(partial(recorder._projection, role)))
    try:
        yield recorder
    finally:
        for handle in handles:
            handle.remove()
