"""Low-rank adapters of the denoiser, merged into its weights: W += up @ down (Hu et al. 2021, arXiv 2106.09685).

Merged once at loading: nothing is left to do per step, and no adapter library is needed.
"""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import nn

from ivgbench.errors import UserError, first_line

#: diffusers and PEFT: MODULE.lora_A.weight, MODULE.lora.down.weight, MODULE.lora_down.weight and their counterparts.
_MODULE_KEY = re.compile(r"(?P<module>.+)\.lora(?:_|\.)(?P<side>A|B|down|up)(?:\.default)?\.weight")
#: Older diffusers kept them in the attention processors: ATTENTION.processor.to_q_lora.down.weight.
_PROCESSOR_KEY = re.compile(
    r"(?P<module>.+)\.processor\.(?P<layer>to_q|to_k|to_v|to_out)_lora\.(?P<side>down|up)\.weight"
)
#: MotionDirector's files hold no names, only [up, down, up, down, ...] in the order of the denoiser's layers: those of
#: its temporal transformers, or of its spatial ones (without text attention). Class -> the parts that are adapted.
_ORDERED = {"TransformerTemporalModel": ("attn1", "attn2", "ff"), "Transformer2DModel": ("attn1", "ff")}


class Pair(NamedTuple):
    """The two factors of one layer's change and its scale (alpha / rank; 1 where the file gives no alpha)."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float = 1.0


@torch.no_grad()
def merge(unet: nn.Module, file: Path) -> None:
    """Adds the adapters of a file to a denoiser's weights, computed in float32 and kept in the weights' own dtype.

    Args:
        file: .safetensors, or a .pt/.bin that holds nothing but tensors, with diffusers' or PEFT's keys, or
            MotionDirector's list.
    Raises:
        UserError: unreadable, or something in it fits nowhere in the denoiser.
    """
    content = _read(file)
    pairs = _by_order(unet, content, file) if isinstance(content, list) else _by_name(content, file)
    layers = dict(unet.named_modules())
    for name, pair in pairs.items():
        weight = getattr(layers.get(name), "weight", None)
        if weight is None:
            raise UserError(f"{file}: {name!r} is no layer of the denoiser; the adapter is for another model")
        if not _fits(pair, weight):
            raise UserError(
                f"{file}: {name}: factors {list(pair.up.shape)} and {list(pair.down.shape)} do not make its weight "
                f"{list(weight.shape)}; the adapter is for another model"
            )
        product = pair.up.flatten(1).to(weight.device, torch.float32) @ pair.down.flatten(1).to(
            weight.device, torch.float32
        )
        weight.copy_(weight.float() + pair.scale * product.view_as(weight))


def _fits(pair: Pair, weight: torch.Tensor) -> bool:
    up, down = pair.up.flatten(1), pair.down.flatten(1)
    return up.shape[1] == down.shape[0] and (up.shape[0], down.shape[1]) == (len(weight), weight[0].numel())


def _read(file: Path) -> Any:
    if not Path(file).is_file():
        raise UserError(f"--lora {file}: there is no such file")
    try:
        if Path(file).suffix == ".safetensors":
            return load_file(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as fault:  # a file of any other kind fails in any other way
        raise UserError(f"--lora {file}: cannot be read as tensors: {first_line(fault)}") from None
    values = content.values() if isinstance(content, dict) else content if isinstance(content, list) else [None]
    if not values or not all(isinstance(value, torch.Tensor) for value in values):
        raise UserError(f"--lora {file}: it does not hold tensors only; export the adapter's state dict")
    return content


def _by_name(tensors: dict[str, torch.Tensor], file: Path) -> dict[str, Pair]:
    """Layer -> factors, from named tensors."""
    found: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)
    strange = []
    for key, tensor in tensors.items():
        bare = key.removeprefix("base_model.model.").removeprefix("unet.").removeprefix("transformer.")
        if match := _PROCESSOR_KEY.fullmatch(bare):
            layer = {"to_out": "to_out.0"}.get(match["layer"], match["layer"])
            found[f"{match['module']}.{layer}"][match["side"]] = tensor
        elif match := _MODULE_KEY.fullmatch(bare):
            found[match["module"]][{"A": "down", "B": "up"}.get(match["side"], match["side"])] = tensor
        elif bare.endswith(".alpha"):
            found[bare.removesuffix(".alpha")]["alpha"] = tensor
        else:
            strange.append(key)
    lonely = [name for name, sides in found.items() if not {"up", "down"} <= sides.keys()]
    if strange or lonely or not found:
        what = (strange or [f"{name} (one of two factors)" for name in lonely] or ["no key at all"])[0]
        raise UserError(
            f"--lora {file}: {len(strange) + len(lonely)} of its keys are not understood, e.g. {what!r}; "
            "diffusers' and PEFT's names of the denoiser's layers are"
        )
    return {
        name: Pair(sides["up"], sides["down"], float(sides["alpha"]) / len(sides["down"]) if "alpha" in sides else 1.0)
        for name, sides in found.items()
    }


def _by_order(unet: nn.Module, tensors: list[torch.Tensor], file: Path) -> dict[str, Pair]:
    """The same from a list without names: the kind of transformer whose layers all fit, in the denoiser's order."""
    pairs = [Pair(up, down) for up, down in zip(tensors[::2], tensors[1::2], strict=False)]
    counts = []
    for kind, parts in _ORDERED.items():
        layers = {
            f"{name}.{inner}": layer.weight
            for name, transformer in unet.named_modules()
            if type(transformer).__name__ == kind
            for inner, layer in transformer.named_modules()
            if isinstance(layer, nn.Linear) and any(part in inner for part in parts)
        }
        counts.append(2 * len(layers))
        if len(tensors) == counts[-1] and all(map(_fits, pairs, layers.values())):
            return dict(zip(layers, pairs, strict=True))
    raise UserError(
        f"--lora {file}: a list of {len(tensors)} tensors without names fits neither the denoiser's temporal layers "
        f"({counts[0]}) nor its spatial ones ({counts[1]}) in order; the adapter is for another model"
    )
