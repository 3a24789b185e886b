import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ivgbench.errors import UserError
from ivgbench.judges import detectors
from ivgbench.judges.detectors import PocketYolo, best_boxes, quiet_ultralytics, resize
from ivgbench.registry import DETECTORS

NAMES = ["red star", "blue ring", "green square"]
ARCHITECTURE = {
    "nc": len(NAMES),
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[[2], 1, "Detect", ["nc"]]],
}
SIZE = (96, 160)


@pytest.fixture
def folder(tmp_path):
    """A detector of the shipped one's class and layout, with random weights."""
    torch.manual_seed(0)
    model = quiet_ultralytics()(json.loads(json.dumps(ARCHITECTURE)), ch=3, verbose=False)
    return write(tmp_path, model)


def write(folder, model, **changes):
    config = {"yaml": ARCHITECTURE, "names": NAMES, "size": list(SIZE), "threshold": 0.25, **changes}
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, folder / "model.safetensors")
    return folder


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (8, 48, 80, 3), dtype=np.uint8)


class Planted(torch.nn.Module):
    """In place of a detector's class branch: a high score for one class in one cell of each frame, low elsewhere."""

    def __init__(self, cells, column):
        super().__init__()
        self.cells, self.column = cells, column

    def forward(self, features):
        scores = torch.full((len(features), len(NAMES), *features.shape[2:]), -6.0)
        for frame, cell in enumerate(self.cells[: len(features)]):
            if cell is not None:
                scores[frame, self.column, cell[0], cell[1]] = 3.0
        return scores


class Sides(torch.nn.Module):
    """In place of the box branch: every side `bins` strides from the anchor (a one-hot of ultralytics' 16 bins)."""

    def __init__(self, left, top, right, bottom):
        super().__init__()
        self.bins = (left, top, right, bottom)

    def forward(self, features):
        logits = torch.full((len(features), 64, *features.shape[2:]), -50.0)
        for side, place in enumerate(self.bins):
            logits[:, 16 * side + place] = 50.0
        return logits


def test_a_planted_score_lands_at_its_pixels_on_a_frame_that_is_not_square(folder, video):
    detector = PocketYolo(folder)
    head = detector.model.model[-1]
    # Stride 8: 12 rows and 20 columns of cells. Cell (row 5, column 17) has its middle at x = 140, y = 44.
    head.cv3[0] = Planted([(5, 17), (2, 3), None, (5, 17)], column=1)
    head.cv2[0] = Sides(2, 1, 1, 3)
    found = detector.detect(video[:4], "blue ring")
    wanted = [(140 - 16) / 160, (44 - 8) / 96, (140 + 8) / 160, (44 + 24) / 96]
    assert found.boxes.dtype == found.scores.dtype == np.float64
    assert found.boxes[0] == pytest.approx(wanted, abs=1e-6)
    assert found.boxes[3] == pytest.approx(wanted, abs=1e-6)
    assert found.boxes[1] == pytest.approx([12 / 160, 12 / 96, 36 / 160, 44 / 96], abs=1e-6)
    assert np.isnan(found.boxes[2]).all()
    assert found.scores == pytest.approx([1 / (1 + math.exp(-s)) for s in (3, 3, -6, 3)], abs=1e-6)
    # Another class sees nothing there.
    assert np.isnan(detector.detect(video[:4], "red star").boxes).all()


def test_best_boxes_takes_the_best_anchor_of_the_class_only():
    decoded = np.zeros((2, 4 + 2, 3))
    decoded[:, :4] = np.array([[80, 48, 32, 48], [20, 30, 20, 20], [150, 90, 60, 60]]).T
    decoded[0, 4] = [0.3, 0.9, 0.1]
    decoded[0, 5] = [0.8, 0.1, 0.2]
    decoded[1, 4] = [0.25, 0.1, 0.0]
    decoded[1, 5] = [0.0, 0.1, 0.6]
    first = best_boxes(decoded, 0, SIZE, 0.25)
    assert first.boxes[0] == pytest.approx([10 / 160, 20 / 96, 30 / 160, 40 / 96])
    assert np.isnan(first.boxes[1]).all()  # a score at the threshold is not above it
    assert first.scores.tolist() == [0.9, 0.25]
    second = best_boxes(decoded, 1, SIZE, 0.25)
    assert second.boxes[0] == pytest.approx([64 / 160, 24 / 96, 96 / 160, 72 / 96])
    assert second.boxes[1] == pytest.approx([120 / 160, 60 / 96, 1, 1])  # cut at the frame's edge


def test_detect_is_deterministic_and_does_not_depend_on_the_batch(folder, video, monkeypatch):
    detector = PocketYolo(folder)
    whole = detector.detect(video, "red star")
    assert whole.boxes.shape == (8, 4)
    assert np.array_equal(whole.scores, PocketYolo(folder).detect(video, "red star").scores)
    monkeypatch.setattr(detectors, "BATCH", 3)
    assert detector.detect(video, "red star").scores == pytest.approx(whole.scores, rel=1e-5)


def test_threshold_decides_what_counts(tmp_path, folder, video):
    never, always = tmp_path / "never", tmp_path / "always"
    model = PocketYolo(folder).model
    for place, threshold in ((never, 1.0), (always, -1.0)):
        place.mkdir()
        write(place, model, threshold=threshold)
    assert np.isnan(PocketYolo(never).detect(video, "red star").boxes).all()
    found = PocketYolo(always).detect(video, "red star").boxes
    assert ((found >= 0) & (found <= 1)).all()


def test_phrases_are_compared_without_case_and_extra_spaces(folder, video):
    detector = PocketYolo(folder)
    assert np.array_equal(detector.detect(video, "Red  Star ").scores, detector.detect(video, "red star").scores)
    with pytest.raises(UserError, match=r"does not know 'red comet'.*'red star'"):
        detector.detect(video, "red comet")


def test_id_follows_weights_and_config(tmp_path, folder):
    first = PocketYolo(folder)
    assert first.id == PocketYolo(folder).id
    ids = {first.id}
    for change in ({"threshold": 0.3}, {"names": NAMES[::-1]}, {"size": [96, 192]}):
        write(tmp_path, first.model, **change)
        ids.add(PocketYolo(tmp_path).id)
    with torch.no_grad():
        first.model.model[0].conv.weight[0, 0, 0, 0] += 1
    write(tmp_path, first.model)
    ids.add(PocketYolo(tmp_path).id)
    assert len(ids) == 5


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
def test_missing_files_are_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(UserError, match=file):
        PocketYolo(folder)


def test_config_and_weights_that_do_not_fit_are_refused(tmp_path, folder):
    model = PocketYolo(folder).model
    write(tmp_path, model, names=[*NAMES, "white ring"])
    with pytest.raises(UserError, match="do not fit"):
        PocketYolo(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="do not fit"):
        PocketYolo(tmp_path)
    write(tmp_path, model)
    (tmp_path / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="do not fit"):
        PocketYolo(tmp_path)


def test_read_only_and_reversed_videos_are_taken(folder, video):
    detector = PocketYolo(folder)
    expected = detector.detect(video, "red star").scores
    video.setflags(write=False)
    assert np.array_equal(detector.detect(video, "red star").scores, expected)
    assert detector.detect(video[::-1], "red star").scores == pytest.approx(expected[::-1], rel=1e-5)


def test_only_videos_are_taken(folder, video):
    detector = PocketYolo(folder)
    for wrong in (video.astype(np.float32), video[0], video.transpose(0, 3, 1, 2), video[:0]):
        with pytest.raises(UserError, match="uint8"):
            detector.detect(wrong, "red star")


def test_building_draws_nothing_from_the_global_generator(folder):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    PocketYolo(folder)
    assert torch.equal(torch.rand(3), expected)


def test_resize_enlarges_like_torch_and_smooths_when_it_shrinks():
    small = torch.rand(2, 3, 48, 80)
    plain = torch.nn.functional.interpolate(small, SIZE, mode="bilinear", align_corners=False)
    assert torch.equal(resize(small, SIZE), plain)
    stripes = torch.zeros(1, 1, 96 * 4, 160 * 4)
    stripes[..., ::4] = 1.0
    assert resize(stripes, SIZE).std() < 0.05


def test_registry_gives_the_detector():
    assert DETECTORS.get("pocket") is PocketYolo


QUIET = """
import os, socket, sys
import ivgbench  # says how torch's threads wait
import numpy as np, torch
def refuse(*args, **kwargs): raise AssertionError(f"network: {args}")
socket.getaddrinfo = socket.socket.connect = refuse
environment, save, numbers = dict(os.environ), torch.save, np.get_printoptions()
from ivgbench.judges.detectors import quiet_ultralytics
model = quiet_ultralytics()
assert model is quiet_ultralytics()
import ultralytics
assert ultralytics.settings["sync"] is False
changed = {k for k in environment.keys() | os.environ.keys() if environment.get(k) != os.environ.get(k)}
assert changed == {"YOLO_OFFLINE", "YOLO_AUTOINSTALL", "YOLO_VERBOSE"}, changed
assert torch.save is save and np.get_printoptions() == numbers
"""


def test_ultralytics_is_imported_without_network_files_or_side_effects(tmp_path):
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("YOLO_", "XDG_", "OMP_"))}
    environment |= {"HOME": str(home), "TMPDIR": str(temporary), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", QUIET], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert not [path for path in home.rglob("*") if "ltralytics" in path.name]
    assert not list(temporary.iterdir())
