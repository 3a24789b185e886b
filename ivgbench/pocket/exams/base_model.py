"""What plain samples of a base model are worth, seen by judges that were trained and by one that was not."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from ivgbench import world
from ivgbench.boxes import iou
from ivgbench.generator import Backbone
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo
from ivgbench.metrics import clip_sim
from ivgbench.metrics.fid import fid
from ivgbench.metrics.kid import kid
from ivgbench.pocket.exams.samples import truth
from ivgbench.world import segmentation

#: Frames that a thing must be seen in to count for the clip: more than this share.
MOST = 0.5


def most(frames: list[bool]) -> bool:
    return float(np.mean(frames)) > MOST


def follow(video: np.ndarray, colour: str) -> list[segmentation.Found | None]:
    """The largest sprite of a colour in each frame, by segmentation; None where there is none."""
    seen = [[found for found in segmentation.find(frame) if found.colour == colour] for frame in video]
    return [found[0] if found else None for found in seen]


def words_right(videos: np.ndarray, clips: list[world.Clip]) -> dict[str, float]:
    """Share of clips whose colour, shape and background are the caption's in most frames, by segmentation."""
    right = {"colour": 0, "shape": 0, "background": 0, "one sprite": 0}
    for video, clip in zip(videos, clips, strict=True):
        seen = [segmentation.find(frame) for frame in video]
        first = [found[0] if found else None for found in seen]
        right["colour"] += most([f is not None and f.colour == clip.sprites[0].colour for f in first])
        right["shape"] += most([f is not None and f.shape == clip.sprites[0].shape for f in first])
        right["background"] += most([segmentation.background_of(frame) == clip.background for frame in video])
        right["one sprite"] += most([len(found) == 1 for found in seen])
    return {name: count / len(clips) for name, count in right.items()}


def covered(detector: PocketYolo, video: np.ndarray, phrase: str) -> tuple[bool, np.ndarray]:
    """Whether the detector sees a phrase in most frames, and its boxes [F,4] with NaN rows where it does not."""
    boxes = detector.detect(video, phrase).boxes
    return most(list(np.isfinite(boxes).all(1))), boxes


def agreement(boxes: np.ndarray, seen: list[segmentation.Found | None]) -> list[float]:
    """IoU of the detector's and the segmentation's box in every frame where both found something."""
    both = [(box, one.box) for box, one in zip(boxes, seen, strict=True) if one and np.isfinite(box).all()]
    return list(iou(*map(np.array, zip(*both, strict=True)))) if both else []


def motion(tracks: list[np.ndarray]) -> tuple[float, float]:
    """Mean speed, and mean size of acceleration, of box centres [F,4] in pixels per frame; gaps are left out."""
    size = np.array([world.WIDTH, world.HEIGHT])
    centres = [(track[:, :2] + track[:, 2:]) / 2 * size for track in tracks]
    speed = np.concatenate([np.linalg.norm(np.diff(c, axis=0), axis=1) for c in centres])
    turn = np.concatenate([np.linalg.norm(np.diff(c, n=2, axis=0), axis=1) for c in centres])
    return float(np.nanmean(speed)), float(np.nanmean(turn))


def look(judge: ClipModel, videos: np.ndarray, clips: list[world.Clip]) -> dict[str, float]:
    """CLIP-SIM of videos, its shuffled-caption floor, and that of the same scenes rendered."""
    captions = [clip.caption for clip in clips]
    texts = judge.embed_text(captions)
    seen, floor, ceiling = [], [], []
    for video, clip, text in zip(videos, clips, texts, strict=True):
        frames = judge.embed_video(video)
        seen.append(clip_sim.clip_sim(frames, text))
        floor.append(clip_sim.shuffled(frames, clip.caption, captions, texts))
        ceiling.append(clip_sim.clip_sim(judge.embed_video(clip.video), text))
    value, low, high = map(float, (np.mean(seen), np.mean(floor), np.mean(ceiling)))
    return {
        "CLIP-SIM": value,
        "CLIP-SIM, captions shuffled": low,
        "CLIP-SIM, rendered": high,
        "CLIP-SIM, share of the attainable": clip_sim.attained(value, low, high),
    }


def one_subject(videos: np.ndarray, detector: PocketYolo, judge: ClipModel) -> dict[str, float]:
    """What plain one-subject samples [N,F,H,W,3] are worth."""
    clips = [truth(index, 1) for index in range(len(videos))]
    found = [covered(detector, video, clip.sprites[0].phrase) for video, clip in zip(videos, clips, strict=True)]
    overlap = [
        value
        for (_, boxes), video, clip in zip(found, videos, clips, strict=True)
        for value in agreement(boxes, follow(video, clip.sprites[0].colour))
    ]
    speed, turn = motion([boxes for _, boxes in found])
    true_speed, true_turn = motion([clip.sprites[0].boxes for clip in clips])
    return {
        "coverage": float(np.mean([seen for seen, _ in found])),
        **{f"{word} right": share for word, share in words_right(videos, clips).items()},
        **look(judge, videos, clips),
        "detector and segmentation, mean IoU": float(np.mean(overlap)),
        "speed, px/frame": speed,
        "speed in the world, px/frame": true_speed,
        "acceleration, px/frame^2": turn,
        "acceleration in the world, px/frame^2": true_turn,
        "clips": float(len(videos)),
    }


def two_subjects(videos: np.ndarray, detector: PocketYolo) -> dict[str, float]:
    """How often both subjects of a caption are drawn: by the detector, and each in its colour by segmentation."""
    clips = [truth(index, 2) for index in range(len(videos))]
    named = [
        all(covered(detector, video, sprite.phrase)[0] for sprite in clip.sprites)
        for video, clip in zip(videos, clips, strict=True)
    ]
    coloured = [
        all(most([one is not None for one in follow(video, sprite.colour)]) for sprite in clip.sprites)
        for video, clip in zip(videos, clips, strict=True)
    ]
    return {
        "both covered": float(np.mean(named)),
        "both colours drawn": float(np.mean(coloured)),
        "clips": float(len(videos)),
    }


def distance(videos: np.ndarray, embed: Callable[[np.ndarray], np.ndarray], seed: int = 0) -> dict[str, float]:
    """FID and KID of one random frame of each video against rendered clips, beside a second rendered set's.

    embed: uint8 [N,H,W,3] -> features [N,D].
    """
    count = len(videos)
    rng = np.random.default_rng([world.SPLIT_SEEDS["reference"], seed])
    frames = videos[np.arange(count), rng.integers(world.FRAMES, size=count)]
    first, second = (
        np.concatenate(
            [world.sample_clip("reference", start + i, int(rng.integers(world.FRAMES))).video for i in range(count)]
        )
        for start in (0, 10**6)
    )
    drawn, here, there = (np.asarray(embed(one), np.float64) for one in (frames, first, second))
    return {
        "FID": fid(drawn, here),
        "FID of a second rendered set": fid(there, here),
        "KID": kid(drawn, here, subsets=1, subset_size=count)[0],
        "KID of a second rendered set": kid(there, here, subsets=1, subset_size=count)[0],
        "frames": float(count),
    }


@torch.inference_mode()
def speed(backbone: Backbone, batch: int = 4, repeats: int = 15) -> dict[str, float]:
    """Milliseconds of one guided network evaluation (both branches) of one clip, in a batch: the median of repeats."""
    shape = (batch, backbone.latent_channels, backbone.frames, backbone.latent_height, backbone.latent_width)
    latents = torch.randn(shape, device=backbone.device, dtype=backbone.dtype)
    negative, positive = torch.randn(
        2, batch, backbone.reader.length, backbone.text_width, device=backbone.device, dtype=backbone.dtype
    )
    taken = []
    for _ in range(repeats):
        started = time.perf_counter()
        backbone.denoise(latents, torch.tensor(500, device=backbone.device), negative, positive)
        if backbone.device.type == "cuda":
            torch.cuda.synchronize()
        taken.append(time.perf_counter() - started)
    return {"ms a clip": 1000 * float(np.median(taken)) / batch, "batch": batch, "threads": torch.get_num_threads()}
