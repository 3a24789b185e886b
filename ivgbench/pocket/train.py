"""Trains the pocket lab: `python -m ivgbench.pocket.train {vae,text-to-video,dit,clip,detector,video,denoiser,all}`.

Every part resumes from its checkpoint in the work folder; finished parts are written to the package's weights folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ivgbench.pocket import WEIGHTS
from ivgbench.pocket.training.loop import default_work_dir

PARTS = ("vae", "text-to-video", "dit", "clip", "detector", "video", "denoiser")


def train_part(part: str, work: Path, weights: Path, device: str, steps: int | None, onward: bool = False) -> None:
    """Trains one part to its end and writes its weights. All parts but the autoencoder need the autoencoder.

    onward: vae (its decoder), text-to-video (its denoiser), detector and video go on from their finished weights
        instead of starting anew.
    """
    from diffusers import AutoencoderKL

    from ivgbench.pocket.training import clip, denoiser, detector, dit, text_to_video, vae, video

    shipped = weights / "text-to-video" / "vae"
    if part == "vae" and not onward:
        vae.train(work, steps=steps).save_pretrained(work / "vae")
        return
    if part == "vae":
        vae.save(vae.train(work, steps=steps, start=shipped), shipped)
        return
    # The one trained here, else the one that ships: then a part can be trained alone.
    folder = work / "vae" if (work / "vae").is_dir() else shipped
    autoencoder = AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32)
    start = weights / part if onward else None
    if part == "text-to-video":
        model = text_to_video.train(work, autoencoder, device=device, steps=steps, start=start)
        text_to_video.save(model, autoencoder, weights / part)
    elif part == "dit":
        dit.save(*dit.train(work, autoencoder, device=device, steps=steps), autoencoder, weights / part)
    elif part == "clip":
        clip.save(clip.train(work, autoencoder, device=device, steps=steps), weights / part)
    elif part == "denoiser":
        denoiser.save(denoiser.train(work, autoencoder, device=device, steps=steps), weights / part)
    elif part == "video":
        video.save(video.train(work, autoencoder, device=device, steps=steps, start=start), weights / part)
    else:
        detector.save(detector.train(work, autoencoder, device=device, steps=steps, start=start), weights / part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=[*PARTS, "all"])
    parser.add_argument(
        "--work", type=Path, default=default_work_dir(), help="checkpoints and logs (default: %(default)s)"
    )
    parser.add_argument(
        "--weights", type=Path, default=WEIGHTS, help="where finished weights go (default: the package)"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=None, help="other than the recipe's (for a quick trial)")
    parser.add_argument(
        "--continue",
        dest="onward",
        action="store_true",
        help="vae (its decoder), text-to-video (its denoiser), detector, video: from the finished weights",
    )
    parser.add_argument("--threads", type=int, default=None, help="CPU threads (default: all cores)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    for part in PARTS if arguments.part == "all" else [arguments.part]:
        train_part(part, arguments.work, arguments.weights, arguments.device, arguments.steps, arguments.onward)


if __name__ == "__main__":
    main()
