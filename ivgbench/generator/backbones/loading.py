"""Parts of a backbone from its folder, on the CPU, in eval mode and without gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers.utils import logging as transformers_logging

from ivgbench.errors import UserError
from ivgbench.generator.backbones import sources


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


def _load(cls: type, folder: Path, part: str, wanted: torch.dtype, **how: Any) -> Any:
    """From a .bin file both libraries read tensors and nothing else."""
    weights = sources.weights_file(folder, part)
    safe = weights.suffix == ".safetensors"
    try:
        model, info = cls.from_pretrained(
            folder / part, use_safetensors=safe, local_files_only=True, output_loading_info=True, **how
        )
    except ImportError:  # a package that is not installed
        raise
    except Exception as fault:  # damaged files and configs fail in any way
        line = (str(fault).splitlines() or [""])[0][:200]
        raise UserError(f"{weights}: cannot be loaded as {cls.__name__}: {type(fault).__name__}: {line}") from None
    if missing := info["missing_keys"]:
        raise UserError(
            f"{weights}: the weights lack {len(missing)} tensors, e.g. {sorted(missing)[0]}; wrong or damaged file"
        )
    if any(parameter.dtype != wanted for parameter in model.parameters()):
        raise UserError(f"{weights}: some weights cannot be cast to {wanted}")
    return model.eval().requires_grad_(False)
