"""Every judge that ships keeps to the interface of its kind. Nothing here is run: `make lint` reads it."""

from __future__ import annotations

from ivgbench.judges import base
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo
from ivgbench.judges.frame_encoders import FrameModel
from ivgbench.judges.owlvit import OwlVit
from ivgbench.judges.video_encoders import VideoModel
from ivgbench.judges.yolo_world import YoloWorld


def detectors(pocket: PocketYolo, owlvit: OwlVit, yolo_world: YoloWorld) -> list[base.Detector]:
    return [pocket, owlvit, yolo_world]


def clips(clip: ClipModel) -> base.Clip:
    return clip


def frame_encoders(frames: FrameModel, clip: ClipModel) -> list[base.FrameEncoder]:
    return [frames, clip]


def video_encoders(videos: VideoModel) -> base.VideoEncoder:
    return videos
