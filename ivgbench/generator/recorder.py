"""Watches the denoiser while a clip is made: activation variance per step, and the outputs of two masked layers.

Figures 2 and 3 of the Test-Time Domain Adaptation paper. It works through hooks that exist only while `recording` is
open, and changes no value.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

from ivgbench.errors import UserError
from ivgbench.generator.attention import MaskedAttention, sites
from ivgbench.generator.backbone import Backbone

#: The attentions of a transformer block whose outputs are kept.
ROLES = ("attn1", "attn2")


def decoder_transformer(backbone: Backbone) -> str:
    """Name of the last spatial transformer of the second decoder block: where all the masks of the block have acted.

    The second block is the one that the paper looks at. Where it has no attention, the next one that has.

    Raises:
        UserError: no decoder block has spatial attention.
    """
    found: dict[int, str] = {}
    for site in sites(backbone.unet):
        if site.place == "up" and not site.temporal:
            found[int(site.name.split(".")[1])] = site.name.split(".transformer_blocks.")[0]
    if not found:
        raise UserError(f"backbone {backbone.name!r} has no attention in its decoder: there is nothing to record")
    return found[min(found, key=lambda number: (number < 1, number))]


class Recorder:
    """What was seen of one clip, made alone in its batch.

    variance: per sampler step, the population variance of the transformer's output activations over everything
        (both guidance halves, frames, cells, channels), in float64. Of the evaluations inside a step the last counts,
        which is the sampler's own.
    outputs: role ("attn1", self-attention, or "attn2", text attention) -> "masked", "unmasked" and "matched" output
        [2F,cells,C] of the transformer's attention before its output projection, at the last step with masks; empty
        unless Mask Normalization is on there.
    """

    def __init__(self) -> None:
        self.variance: list[float] = []
        self.outputs: dict[str, dict[str, torch.Tensor]] = {}
        self._latest = float("nan")

    def step_done(self, done: int, steps: int) -> None:
        """To be given to `generate` as its callback."""
        self.variance.append(self._latest)

    def _transformer(self, module: torch.nn.Module, args: tuple, output: Any) -> None:
        self._latest = float(output[0].detach().double().var(correction=0))

    def _attention(self, role: str, module: Any, args: tuple, kwargs: dict[str, Any], output: torch.Tensor) -> None:
        processor = module.processor
        if not isinstance(processor, MaskedAttention) or processor.match is None:
            return

        def note(masked: torch.Tensor, unmasked: torch.Tensor) -> torch.Tensor:
            seen = {"masked": masked, "unmasked": unmasked, "matched": processor.match(masked, unmasked)}
            self.outputs[role] = {name: value.detach().float().cpu() for name, value in seen.items()}
            return masked

        # A copy looks on: the layer's own processor and result stay as they are.
        watching = copy.copy(processor)
        watching.match = note
        with torch.no_grad():
            watching(module, *args, **kwargs)


@contextmanager
def recording(backbone: Backbone) -> Iterator[Recorder]:
    """While open, what the denoiser does is recorded: `generate(backbone, ..., callback=recorder.step_done)`."""
    recorder, name = Recorder(), decoder_transformer(backbone)
    transformer = backbone.unet.get_submodule(name)
    handles = [transformer.register_forward_hook(recorder._transformer)]
    for role in ROLES:
        attention = getattr(transformer.transformer_blocks[0], role)
        handles.append(attention.register_forward_hook(partial(recorder._attention, role), with_kwargs=True))
    try:
        yield recorder
    finally:
        for handle in handles:
            handle.remove()
