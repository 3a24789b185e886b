"""Clips, scores and video files on disk."""
