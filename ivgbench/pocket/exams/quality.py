"""How good the pocket lab's parts are, measured on held-out data of the world. `card` writes what this returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from ivgbench import world
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo, resize
from ivgbench.judges.video_encoders import VideoModel, to_pixels
from ivgbench.pocket.training import video
from ivgbench.world import segmentation

DISTRACTORS = 63


def held_out(count: int) -> tuple[np.ndarray, list[world.Clip], list[int]]:
    """One frame of each of `count` held-out clips: uint8 [N,H,W,3], the clips, and which frame was taken."""
    clips = [world.sample_clip("held-out", index) for index in range(count)]
    picks = [index % world.FRAMES for index in range(count)]
    return np.stack([clip.video[pick] for clip, pick in zip(clips, picks, strict=True)]), clips, picks


def psnr(seen: np.ndarray, frames: np.ndarray) -> float:
    """Peak signal-to-noise ratio of uint8 frames `seen` through the autoencoder, in dB, over all pixels."""
    error = seen.astype(float) - frames
    return float(10 * np.log10(255**2 / np.square(error).mean()))


def scenes(count: int, subjects: int) -> tuple[np.ndarray, list[world.Clip]]:
    """One frame of each of `count` held-out scenes of one or two subjects, uint8 [N,H,W,3], and what they show."""
    shown = [
        world.sample_scene("held-out", index, second=float(subjects > 1), only=index % world.FRAMES)
        for index in range(count)
    ]
    return np.concatenate([scene.video for scene in shown]), shown


def subjects_seen(frames: np.ndarray, shown: list[world.Clip]) -> dict[str, float]:
    """The shares of frames in which the segmentation finds every sprite "in its colour", and "in its colour and shape":
    0..1."""
    coloured = shaped = 0
    for frame, scene in zip(frames, shown, strict=True):
        found = {(one.colour, one.shape) for one in segmentation.find(frame)}
        coloured += {sprite.colour for sprite in scene.sprites} <= {colour for colour, _ in found}
        shaped += {(sprite.colour, sprite.shape) for sprite in scene.sprites} <= found
    return {"in its colour": coloured / len(shown), "in its colour and shape": shaped / len(shown)}


@torch.inference_mode()
def map50(detector: PocketYolo, frames: np.ndarray, clips: list[world.Clip], picks: list[int]) -> float:
    """Mean average precision at IoU 0.5 over all classes, 0..1: ultralytics' own suppression and precision curves."""
    from ultralytics.utils.metrics import ap_per_class, box_iou
    from ultralytics.utils.nms import non_max_suppression

    height, width = detector.size
    hits, scores, classes, truth = [], [], [], []
    for start in range(0, len(frames), 64):
        pixels = torch.from_numpy(frames[start : start + 64].copy()).permute(0, 3, 1, 2).float() / 255
        decoded = detector.model(resize(pixels, detector.size))[0]
        # The time limit is for services; here every frame counts.
        found = non_max_suppression(decoded, conf_thres=0.001, iou_thres=0.6, multi_label=True, max_time_img=60)
        for offset, rows in enumerate(found):
            clip, pick = clips[start + offset], picks[start + offset]
            wanted = detector.names.index(clip.sprites[0].phrase)
            box = torch.tensor(clip.sprites[0].boxes[pick] * [width, height, width, height])[None].float()
            right = (box_iou(box, rows[:, :4])[0] >= 0.5) & (rows[:, 5] == wanted)
            # One object, one hit: only the most confident match counts, the rest are false alarms.
            right &= torch.cumsum(right, 0) == 1
            hits.append(right.numpy())
            scores.append(rows[:, 4].numpy())
            classes.append(rows[:, 5].numpy())
            truth.append(wanted)
    true = np.concatenate(hits)[:, None]
    return float(ap_per_class(true, np.concatenate(scores), np.concatenate(classes), np.array(truth))[5][:, 0].mean())


def caption_accuracy(clip_model: ClipModel, frames: np.ndarray, clips: list[world.Clip], seed: int = 0) -> float:
    """How often the right caption wins among 64: the frame's own and 63 others, drawn per frame without repeats."""
    captions = world.all_captions()
    similarity = clip_model.embed_video(frames) @ clip_model.embed_text(captions).T
    rng, right = np.random.default_rng(seed), 0
    for row, clip in zip(similarity, clips, strict=True):
        own = captions.index(clip.caption)
        others = rng.choice([k for k in range(len(captions)) if k != own], DISTRACTORS, replace=False)
        right += bool(row[own] > row[others].max())
    return right / len(clips)


@torch.inference_mode()
def probe_accuracy(encoder: VideoModel, videos: list[np.ndarray], clips: list[world.Clip], what: str) -> float:
    """How often the video encoder's probe names the "motion" or the "shape" of a one-subject clip, 0..1."""
    network: Any = encoder.encode  # of the pocket lab's, which has a probe
    told = torch.cat([network.probe.linear(network(to_pixels(one, encoder.size))) for one in videos])
    motions, shapes, _ = video.lesson(clips)
    scores = told.split([len(video.MOTIONS), len(world.SHAPES)], 1)
    seen, true = (scores[0], motions) if what == "motion" else (scores[1], shapes)
    return float((seen.argmax(1) == true).float().mean())
