"""Parts of a backbone from its folder, on the CPU, in eval mode and without gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers.utils import logging as transformers_logging

from ivgbench.errors import UserError, named_line
from ivgbench.generator.backbones import layout


def diffusion_part(cls: type, folder: Path, part: str, dtype: torch.dtype) -> torch.nn.Module:
    """A part that is a class of diffusers."""
    return _load(cls, folder, part, dtype, torch_dtype=dtype, low_cpu_mem_usage=False)


def text_encoder(cls: type, folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """The text encoder, a class of transformers."""
    # Its progress bar for a second's work would land in the middle of the run's own.
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        return _load(cls, folder, "text_encoder", dtype, dtype=dtype)
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def sharded(cls: Any, folder: Path, part: str, dtype: torch.dtype) -> Any:
    """A part that is a class of diffusers, from one .safetensors file or several, without a helper library.

    What the class keeps in float32 stays there. Configs and files are held against each other before any memory is
    taken: a config that says less than it should is one of the class's largest model.
    """
    file, settings = layout.weights_file(folder, part), folder / part / "config.json"
    config, shards = layout.read_config(settings), layout.shards(file)
    try:
        with torch.device("meta"):
            wanted = {name: list(one.shape) for name, one in cls.from_config(config).state_dict().items()}
    except Exception as fault:  # damaged configs fail in any way
        raise UserError(f"{settings}: it is no config of {cls.__name__}: {named_line(fault)}") from None
    for shard in shards:
        try:
            with safe_open(shard, "pt") as tensors:
                held = set(tensors.keys())
                there = {name: tensors.get_slice(name).get_shape() for name in wanted if name in held}
        except Exception as fault:  # and so do damaged files
            raise UserError(f"{shard}: cannot be loaded as {cls.__name__}: {named_line(fault)}") from None
        for name, shape in there.items():
            if (asked := wanted.pop(name, shape)) != shape:
                raise UserError(f"{shard}: {name} has the shape {shape}, and by {settings} it must have {asked}")
    if wanted:
        raise UserError(
            f"{file}: the weights lack {len(wanted)} tensors, e.g. {sorted(wanted)[0]}; wrong or damaged file"
        )
    model = cls.from_config(config)
    for shard in shards:
        model.load_state_dict(load_file(shard), strict=False)
    return cast(model, dtype).eval().requires_grad_(False)


def cast(model: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The model's weights in a dtype, but for those that its class keeps in float32; in float64 all of them."""
    kept = () if dtype == torch.float64 else getattr(model, "_keep_in_fp32_modules", None) or ()
    for name, weight in (*model.named_parameters(), *model.named_buffers()):
        if weight.is_floating_point() and not any(part in name.split(".") for part in kept):
            weight.data = weight.data.to(dtype)
    return model


def _load(cls: Any, folder: Path, part: str, wanted: torch.dtype, **how: Any) -> Any:
    """From a .bin file both libraries read tensors and nothing else."""
    weights = layout.weights_file(folder, part)
    safe = ".safetensors" in weights.name
    try:
        model, info = cls.from_pretrained(
            folder / part, use_safetensors=safe, local_files_only=True, output_loading_info=True, **how
        )
    except ImportError:  # a package that is not installed
        raise
    except Exception as fault:  # damaged files and configs fail in any way
        raise UserError(f"{weights}: cannot be loaded as {cls.__name__}: {named_line(fault)}") from None
    if missing := info["missing_keys"]:
        raise UserError(
            f"{weights}: the weights lack {len(missing)} tensors, e.g. {sorted(missing)[0]}; wrong or damaged file"
        )
    # Some classes keep a part in float32 where half precision is not enough for it.
    fine = {wanted, torch.float32} if getattr(cls, "_keep_in_fp32_modules", None) else {wanted}
    if any(parameter.dtype not in fine for parameter in model.parameters()):
        raise UserError(f"{weights}: some weights cannot be cast to {wanted}")
    return model.eval().requires_grad_(False)
