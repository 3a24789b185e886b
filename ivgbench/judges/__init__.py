"""Models that look at videos: detectors, CLIP, encoders of frames and of clips."""
