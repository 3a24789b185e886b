"""The named backbones, and what each is best run with. No torch: planning reads this alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ivgbench.errors import UserError
from ivgbench.generator.backbones.layout import FILES
from ivgbench.generator.sampling import PLAIN, Decided, Sampling
from ivgbench.texts import short

#: Configs of published models, for plans without their files; see `Preset`.
ARCHITECTURES = Path(__file__).parent / "architectures"
SHIPPED_ARCHITECTURE = ARCHITECTURES / "text-to-video-1.7b.json"
_POCKET = Path(__file__).parents[2] / "pocket" / "weights"
#: The pocket lab's backbones, of the two kinds, and how `ivgbench.pocket.train` calls them.
POCKETS = {"pocket": _POCKET / "text-to-video", "pocket-dit": _POCKET / "dit"}
POCKET_FOLDER = POCKETS["pocket"]


@dataclass(frozen=True)
class Preset:
    """What a backbone is best run with. Sizes in pixels; `height` and `width` None: the denoiser's own sample size.

    revision: the commit of the hub repository that is fetched and loaded; None: the one that "main" was when it was
        fetched, which is locked (`hub`).
    time_factor: clips have a multiple of it and one more frame: what a latent frame after the first stands for, and of
        CogVideoX, whose VAE takes two of them at a time, twice that.
    architecture: the file of its configs in `ARCHITECTURES`; ZeroScope and ModelScope share one.
    """

    frames: int = 24
    height: int | None = None
    width: int | None = None
    steps: int = 40
    guidance: float = 9.0
    hub_id: str | None = None
    revision: str | None = None
    family: str = "unet3d"
    time_factor: int = 1
    architecture: str = "text-to-video-1.7b.json"

    @property
    def sampling(self) -> Decided:
        """What a run is sampled with where it says nothing."""
        size = None if self.height is None or self.width is None else (self.height, self.width)
        own = Sampling(self.steps, self.guidance, FILES[self.family].scheduler, size=size)
        return Decided(**own.over(PLAIN).said())


#: Named backbones. Sizes as in the published demos (Peekaboo's app: 40 steps, guidance 9); the pocket's are tuned.
PRESETS = {
    "pocket": Preset(frames=8, height=48, width=80, steps=20, guidance=4.5),
    "pocket-dit": Preset(frames=8, height=48, width=80, steps=20, guidance=4.5, family="wan"),
    "zeroscope": Preset(
        frames=24,
        height=320,
        width=576,
        hub_id="cerspense/zeroscope_v2_576w",
        revision="6963642a64dbefa93663d1ecebb4ceda2d9ecb28",
    ),
    "modelscope": Preset(
        frames=16,
        height=256,
        width=256,
        hub_id="damo-vilab/text-to-video-ms-1.7b",
        revision="8227dddca75a8561bf858d604cc5dae52b954d01",
    ),
    "wan-1.3b": Preset(
        frames=81,
        height=480,
        width=832,
        steps=50,
        guidance=5.0,
        hub_id="Wan-AI/Wan2.1-T2V-1.3B-Diffusers",
        revision="0fad780a534b6463e45facd96134c9f345acfa5b",
        family="wan",
        time_factor=4,
        architecture="wan2.1-1.3b.json",
    ),
    **{
        f"cogvideox-{size}": Preset(
            frames=49,
            height=480,
            width=720,
            steps=50,
            guidance=6.0,
            hub_id=f"THUDM/CogVideoX-{size}",
            revision=revision,
            family="cogvideox",
            time_factor=8,
            architecture=f"cogvideox-{size}.json",
        )
        for size, revision in (
            ("2b", "1137dacfc2c9c012bed6a0793f4ecf2ca8e7ba01"),
            ("5b", "8d6ea3f817438460b25595a120f109b88d5fdfad"),
        )
    },
    "ltx-video": Preset(
        frames=161,
        height=512,
        width=704,
        steps=50,
        guidance=3.0,
        hub_id="Lightricks/LTX-Video",
        revision="8984fa25007f376c1a299016d0957a37a2f797bb",
        family="ltx",
        time_factor=8,
        architecture="ltx-video-2b.json",
    ),
}
#: The preset that a folder of weights of a family is run with.
USUAL = {"wan": "wan-1.3b", "cogvideox": "cogvideox-2b", "ltx": "ltx-video"}


def published_architecture(known: Preset) -> dict[str, dict[str, Any]] | None:
    """The configs of a named backbone of the hub, as they ship with this package; None for any other."""
    if known.hub_id is None or known not in PRESETS.values():
        return None
    return json.loads((ARCHITECTURES / known.architecture).read_text(encoding="utf-8"))


def frame_size(preset: Preset, denoiser: Mapping[str, Any], factor: int) -> tuple[int, int]:
    """(height, width) of a clip in pixels: the preset's, else the denoiser's sample size times the VAE's factor."""
    sample = denoiser.get("sample_size") or 32
    sides = [sample, sample] if isinstance(sample, int) else sample
    if not isinstance(sides, list | tuple) or [type(side) for side in sides] != [int, int] or min(sides) < 1:
        raise UserError(f"the denoiser's sample_size must be one or two whole numbers, got {short(sample)}")
    return preset.height or sides[0] * factor, preset.width or sides[1] * factor
