"""The judges' exams, and the encoders', on held-out scenes: as drawn, and through the autoencoder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

FRAMES = 512
TRAPS = 500
DEGRADED = 256


def measure(weights: Path) -> dict[str, dict[str, float]]:
    """The judges on held-out frames: name -> how it does on frames as "rendered" and through the "autoencoder"."""
    from diffusers import AutoencoderKL

    from ivgbench.judges import video_encoders as video_features
    from ivgbench.judges.clip import ClipModel
    from ivgbench.judges.detectors import PocketYolo
    from ivgbench.pocket.exams import judging, quality
    from ivgbench.pocket.training.vae import round_trip
    from ivgbench.world import traps

    frames, clips, picks = quality.held_out(FRAMES)
    autoencoder = AutoencoderKL.from_pretrained(weights / "text-to-video" / "vae", torch_dtype=torch.float32).eval()
    yolo, judge = PocketYolo(weights / "detector"), ClipModel.from_pretrained(weights / "clip")
    seen = round_trip(autoencoder, frames)
    both = {"rendered": frames, "autoencoder": seen}
    facts = {
        "autoencoder PSNR, dB": {"autoencoder": quality.psnr(seen, frames)},
        "detector mAP50": {how: quality.map50(yolo, shown, clips, picks) for how, shown in both.items()},
        "CLIP, right caption among 64": {
            how: quality.caption_accuracy(judge, shown, clips) for how, shown in both.items()
        },
    }
    for subjects in (1, 2):
        drawn, shown = quality.scenes(FRAMES, subjects)
        seen_in = {
            "rendered": quality.subjects_seen(drawn, shown),
            "autoencoder": quality.subjects_seen(round_trip(autoencoder, drawn), shown),
        }
        for what in seen_in["rendered"]:
            facts[f"segmentation, every one of {subjects} subject(s) {what}"] = {
                how: shares[what] for how, shares in seen_in.items()
            }
    for swap in ("colour", "shape"):
        name = f"CLIP, right caption over swapped {swap}"
        facts[name] = {how: judging.prefers_right(judge, shown, clips, swap) for how, shown in both.items()}
    watched = video_features.pocket(weights / "video")
    whole = [round_trip(autoencoder, clip.video) for clip in clips]
    for what in ("motion", "shape"):
        facts[f"video encoder, {what} right"] = {
            "rendered": quality.probe_accuracy(watched, [clip.video for clip in clips], clips, what),
            "autoencoder": quality.probe_accuracy(watched, whole, clips, what),
        }
    for name in traps.TRAPS:
        trapped, phrases = zip(*traps.trap(name, TRAPS), strict=True)
        pictures = {"rendered": np.stack(trapped), "autoencoder": round_trip(autoencoder, np.stack(trapped))}
        facts[f"detector, false claims: {name}"] = {
            how: judging.false_alarms(yolo, frames, list(phrases)) for how, frames in pictures.items()
        }
    return facts


def measure_encoders(weights: Path) -> dict[str, dict[str, list[float]]]:
    """What the encoders behind FID, KID and JEDi make of clips that get worse: encoder -> metric -> by strength."""
    from ivgbench.judges import frame_encoders as frame_features
    from ivgbench.judges import video_encoders as video_features
    from ivgbench.judges.base import FrameEncoder
    from ivgbench.judges.clip import ClipModel
    from ivgbench.pocket.exams import degraded

    frames: dict[str, FrameEncoder] = {
        "CLIP tower": ClipModel.from_pretrained(weights / "clip"),
        "denoiser": frame_features.denoiser(weights / "denoiser" / "model.safetensors"),
    }
    facts = {name: degraded.of_frames(encoder.embed_video, DEGRADED) for name, encoder in frames.items()}
    return {**facts, "video": degraded.of_clips(video_features.pocket(weights / "video").embed_clip, DEGRADED)}
