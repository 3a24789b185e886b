"""Which frames a network can make, by the configs of its parts. No torch: it is asked before any weights are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ivgbench.errors import UserError
from ivgbench.texts import short


class Limits(NamedTuple):
    """unit: pixels that height and width are multiples of. side: most pixels of a side, and frames: most frames, that
    the network has positions for; None: it has no such bound."""

    unit: int
    side: int | None = None
    frames: int | None = None

    def check(self, size: tuple[int, int], frames: int | None = None) -> None:
        """Refuses frames of `size` (height, width), or a number of them, that cannot be made.

        Raises:
            UserError: with what to use.
        """
        height, width = size
        if height % self.unit or width % self.unit:
            near = [max(side // self.unit, 1) * self.unit for side in size]
            raise UserError(
                f"frames of {height}x{width} pixels do not make whole tokens: use multiples of {self.unit}, e.g. "
                f"{near[0]}x{near[1]}"
            )
        if self.side is not None and max(size) > self.side:
            raise UserError(
                f"frames of {height}x{width} pixels are larger than the network has positions for: use at most "
                f"{self.side} (--size HEIGHTxWIDTH)"
            )
        if self.frames is not None and frames is not None and frames > self.frames:
            raise UserError(f"{frames} frames are more than the network has positions for: use at most {self.frames}")


def of_parts(configs: Mapping[str, Mapping[str, Any]]) -> Limits:
    """The limits of a backbone.

    Args:
        configs: of its denoiser, under its part's name, and of its "vae", which may be missing.
    """
    space, time = factors(configs)
    if "transformer" not in configs:
        return Limits(space)
    denoiser = configs["transformer"]
    patch, reach = denoiser.get("patch_size", (1, 2, 2)), denoiser.get("rope_max_seq_len")
    for name, value in (("patch_size", patch), ("rope_max_seq_len", 1 if reach is None else reach)):
        numbers = list(value) if isinstance(value, list | tuple) else [value]
        if len(numbers) not in (1, 3) or not all(type(one) is int and one > 0 for one in numbers):
            raise UserError(f"the denoiser's {name} must be a whole number, or three of them, got {short(value)}")
    if reach is None and denoiser.get("_class_name", "WanTransformer3DModel") == "WanTransformer3DModel":
        reach = 1024  # the class's own
    patch = (1, patch, patch) if isinstance(patch, int) else patch
    if reach is None:
        return Limits(space * patch[-1])
    return Limits(space * patch[-1], reach * patch[-1] * space, (reach * patch[0] - 1) * time + 1)


def factors(configs: Mapping[str, Mapping[str, Any]]) -> tuple[int, int]:
    """Pixels of a side of a latent cell, and frames of a latent frame after the first; without a VAE, its family's.

    Args:
        configs: as of `of_parts`.
    """
    vae = configs.get("vae", {})
    kind, halvings = vae.get("_class_name"), len(vae.get("block_out_channels", [0] * 4)) - 1
    if "transformer" not in configs or kind == "AutoencoderKL":
        return 2**halvings, 1
    kind = kind or configs["transformer"].get("_class_name") or ""
    if "CogVideoX" in kind:
        return 2**halvings, int(vae.get("temporal_compression_ratio", 4))
    if "LTX" in kind:
        times, patches = sum(vae.get("spatio_temporal_scaling", [True] * 3)), vae.get("patch_size", 4)
        space = vae.get("spatial_compression_ratio") or patches * 2**times
        return space, vae.get("temporal_compression_ratio") or vae.get("patch_size_t", 1) * 2**times
    return vae.get("scale_factor_spatial", 8), vae.get("scale_factor_temporal", 4)
