"""Tiny random-weight folders of every family, whole: with a VAE and all that a run asks for."""

import shutil
from pathlib import Path

import torch

TESTS = Path(__file__).parents[1]


def unet3d(folder: Path) -> Path:
    from diffusers import AutoencoderKL

    shutil.copytree(TESTS / "golden" / "tiny_t2v", folder)
    torch.manual_seed(0)
    AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=4, latent_channels=4,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    ).save_pretrained(folder / "vae")  # fmt: skip
    return folder


def wan(folder: Path) -> Path:
    import tiny_wan

    return tiny_wan.write(folder)


def cogvideox(folder: Path) -> Path:
    import tiny_cogvideox

    return tiny_cogvideox.write(folder)


def ltx(folder: Path) -> Path:
    import tiny_ltx

    return tiny_ltx.write(folder)


#: Family -> (its maker, height and width, frames) of a clip that takes no time.
ALL = {
    "unet3d": (unet3d, (8, 16), 4),
    "wan": (wan, (32, 48), 9),
    "cogvideox": (cogvideox, (64, 96), 9),
    "ltx": (ltx, (64, 96), 9),
}
