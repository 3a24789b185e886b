"""The backbones that speed.py times: the pocket lab, narrow ones at published sizes, and published ones, all random."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import torch

from ivgbench.errors import UserError
from ivgbench.generator import Backbone
from ivgbench.generator.backbones import layout, presets
from ivgbench.generator.backbones.base import family

#: Of the narrow UNet: the published one's kinds of blocks, 32 to 64 wide.
NARROW_UNET = {
    "block_out_channels": [32, 32, 64, 64], "norm_num_groups": 8, "attention_head_dim": 16, "layers_per_block": 2,
    "cross_attention_dim": 64,
}  # fmt: skip
#: Of the narrow Wan: the published one's tokens, in two blocks.
NARROW_WAN = {
    "num_attention_heads": 1, "attention_head_dim": 24, "ffn_dim": 48, "num_layers": 2, "text_dim": 24, "freq_dim": 24,
    "in_channels": 4, "out_channels": 4,
}  # fmt: skip


class Model(NamedTuple):
    """What is timed. shape: (f,h,w) of the latents; architecture, preset: for counting its operations, where that is
    worth it (true sizes)."""

    name: str
    backbone: Backbone
    shape: tuple[int, int, int]
    architecture: Mapping[str, Mapping[str, Any]] | None = None
    preset: presets.Preset | None = None


def model(name: str, device: str, dtype: torch.dtype, frames: int = 8) -> Model:
    """A backbone by what the command line calls it.

    Args:
        name: "pocket" or "pocket-dit"; HEIGHTxWIDTH of latents: the narrow UNet; "wan-480p": the narrow Wan on
            480 x 832 pixels and 81 frames; or a preset of the hub: its architecture at true size.
        frames: of the pocket lab's and the narrow UNet.
    Raises:
        UserError: none of these.
    """
    if name in presets.POCKETS:
        bb = Backbone.from_pretrained(name, device, dtype)
        return Model(name, bb, (frames, bb.latent_height, bb.latent_width))
    if name == "wan-480p":
        parts = presets.published_architecture(presets.PRESETS["wan-1.3b"])
        parts = {**parts, "transformer": parts["transformer"] | NARROW_WAN}
        return Model("narrow Wan", random(parts, presets.PRESETS["wan-1.3b"], device, dtype), (21, 60, 104))
    known = presets.PRESETS.get(name)
    if known is not None:
        parts = presets.published_architecture(known)
        bb = random(parts, known, device, dtype)
        return Model(name, bb, (bb.latent_frames(known.frames), bb.latent_height, bb.latent_width), parts, known)
    sides = [int(side) if side.isdigit() else 0 for side in name.split("x")]
    if len(sides) != 2 or min(sides) < 1:
        raise UserError(f"--grid {name!r}: write pocket, pocket-dit, HEIGHTxWIDTH of latents such as 40x72, wan-480p, "
                        f"zeroscope, modelscope or wan-1.3b")  # fmt: skip
    parts = presets.published_architecture(presets.PRESETS["zeroscope"])
    parts = {**parts, "unet": parts["unet"] | NARROW_UNET}
    preset = replace(presets.PRESETS["zeroscope"], frames=frames, height=8 * sides[0], width=8 * sides[1])
    return Model("narrow UNet", random(parts, preset, device, dtype), (frames, *sides))


def random(
    architecture: Mapping[str, Mapping[str, Any]], preset: presets.Preset, device: str, dtype: torch.dtype
) -> Backbone:
    """A backbone of these configs with random weights, and text states that are random too: nothing reads a prompt."""
    cls = family(layout.family_of_parts(architecture))
    layers = "num_hidden_layers" if "num_hidden_layers" in architecture["text_encoder"] else "num_layers"
    small = {**architecture, "text_encoder": {**architecture["text_encoder"], layers: 1, "vocab_size": 16}}
    torch.manual_seed(0)
    with torch.device(device):
        bb = cls.hollow(small, preset, dtype, device)
    bb.scheduler_config = {"flow_shift": 3.0} if cls.flow else {"beta_schedule": "scaled_linear"}

    def encode_prompt(texts: list[str]) -> torch.Tensor:
        draw = torch.Generator().manual_seed(len(texts))
        return torch.randn(len(texts), bb.reader.length, bb.text_width, generator=draw).to(device, dtype)

    bb.encode_prompt = encode_prompt
    return bb
