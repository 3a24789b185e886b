"""YOLO-World's real loading code on a tiny model of the same class, on frames that are not square."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ivgbench.errors import UserError
from ivgbench.judges import yolo_world
from ivgbench.judges.detectors import quiet_ultralytics
from ivgbench.judges.yolo_world import YoloWorld, input_size
from ivgbench.registry import DETECTORS

YAML = {
    "nc": 3,
    "backbone": [[-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [8, 3, 2]], [-1, 1, "Conv", [16, 3, 2]]],
    "head": [[-1, 1, "C2fAttn", [16, 16, 1]], [[3], 1, "WorldDetect", ["nc", 512, True]]],
}
HEIGHT, WIDTH = 40, 72
SIZE = (352, 640)


@pytest.fixture(autouse=True)
def text(monkeypatch):
    """In place of CLIP's text side: a unit vector per phrase, and which model and phrases were asked for."""
    asked = []

    def embed(texts):
        asked.extend(texts)
        return np.stack([_unit(one) for one in texts])

    def load(name, device):
        asked.append(name)
        return SimpleNamespace(id="clip-x", embed_text=embed, files=())

    monkeypatch.setattr(yolo_world.ClipModel, "from_pretrained", load)
    return asked


def _unit(text):
    vector = np.random.default_rng(list(text.encode())).standard_normal(512).astype(np.float32)
    return vector / np.linalg.norm(vector)


@pytest.fixture(scope="module")
def model():
    quiet_ultralytics()
    from ultralytics.nn.tasks import WorldModel

    torch.manual_seed(0)
    return WorldModel(json.loads(json.dumps(YAML)), ch=3, nc=3, verbose=False)


@pytest.fixture
def checkpoint(model, tmp_path):
    """A file as ultralytics writes it: the model pickled as a whole, in half precision."""
    path = tmp_path / "tiny-world.pt"
    facts = {"epoch": -1, "ema": None, "optimizer": None, "train_args": {"imgsz": 640}, "version": "8.3.0"}
    torch.save({**facts, "model": model.half()}, path)
    model.float()
    return path


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)


def test_frames_are_brought_to_the_trained_size():
    assert (input_size(HEIGHT, WIDTH), input_size(320, 576), input_size(48, 80)) == (SIZE, (352, 640), (384, 640))


class Planted(torch.nn.Module):
    """In place of the text branch: a high score in one cell of the map, low elsewhere."""

    def __init__(self, row, column):
        super().__init__()
        self.row, self.column = row, column

    def forward(self, features, text):
        assert text.shape[1] == 1  # one class: the phrase
        scores = torch.full((len(features), 1, *features.shape[2:]), -6.0)
        scores[:, 0, self.row, self.column] = 3.0
        return scores


class Sides(torch.nn.Module):
    """In place of the box branch: every side so many strides from the anchor (a one-hot of ultralytics' 16 bins)."""

    def __init__(self, *bins):
        super().__init__()
        self.bins = bins

    def forward(self, features):
        logits = torch.full((len(features), 64, *features.shape[2:]), -50.0)
        for side, place in enumerate(self.bins):
            logits[:, 16 * side + place] = 50.0
        return logits


def test_a_planted_score_lands_at_its_pixels(checkpoint, video):
    detector = YoloWorld(checkpoint)
    head = detector.model.model[-1]
    # Stride 8 on 352 x 640: cell (row 10, column 70) has its middle at x = 564, y = 84.
    head.cv4[0], head.cv2[0] = Planted(10, 70), Sides(3, 5, 4, 2)
    found, scores = detector.detect(video, "red star")
    expected = np.array([564 - 24, 84 - 40, 564 + 32, 84 + 16]) / [640, 352, 640, 352]
    np.testing.assert_allclose(found, np.tile(expected, (3, 1)), atol=1e-6)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-3)), rtol=1e-6)


def test_the_bright_part_of_a_frame_is_where_its_box_is(checkpoint, monkeypatch):
    detector = YoloWorld(checkpoint)
    asked = [(0, 0, 18, 20), (54, 30, 72, 40)]
    video = np.zeros((2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    for frame, (x0, y0, x1, y1) in zip(video, asked, strict=True):
        frame[y0:y1, x0:x1] = 255

    def look(pixels):
        assert pixels.shape[2:] == SIZE and pixels.min() > -0.01 and pixels.max() < 1.01
        rows = []
        for picture in pixels.mean(1) > 0.5:
            y, x = (picture.any(axis).nonzero().flatten().float() for axis in (1, 0))
            rows.append([(x[0] + x[-1] + 1) / 2, (y[0] + y[-1] + 1) / 2, x[-1] + 1 - x[0], y[-1] + 1 - y[0], 0.9])
        return torch.tensor(rows)[:, :, None], None

    monkeypatch.setattr(detector.model, "forward", look)
    found = detector.detect(video, "star").boxes
    np.testing.assert_allclose(found, np.array(asked) / [WIDTH, HEIGHT, WIDTH, HEIGHT], atol=0.01)


def test_phrases_are_embedded_by_open_clip_and_matter(checkpoint, video, text):
    detector = YoloWorld(checkpoint)
    first, second = (detector.detect(video, phrase).scores for phrase in ("red star", "Blue ring"))
    assert text == ["ViT-B-32-quickgelu/openai", "red star", "Blue ring"]
    assert not np.allclose(first, second)
    np.testing.assert_array_equal(detector.detect(video, "red star").scores, first)


def test_a_folder_with_safetensors_is_the_same_model(checkpoint, model, tmp_path, video):
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"yaml": YAML}))
    weights = {name: value.half().float().contiguous() for name, value in model.state_dict().items()}
    weights = {name: value.long() if "num_batches" in name else value for name, value in weights.items()}
    save_file(weights, folder / "model.safetensors")
    ours, theirs = (YoloWorld(source, threshold=0.0).detect(video, "star") for source in (folder, checkpoint))
    np.testing.assert_allclose(ours.boxes, theirs.boxes, atol=1e-6)


class Trap:
    def __reduce__(self):
        return os.mkdir, (self.place,)

    def __init__(self, place):
        self.place = place


@pytest.mark.parametrize("key", ["model", "train_args"])
def test_a_checkpoint_that_would_run_code_is_refused(model, tmp_path, key):
    path, place = tmp_path / "evil.pt", tmp_path / "pwned"
    torch.save({"model": model, key: Trap(str(place))}, path)
    with pytest.raises(UserError, match=r"refused: it would run (posix|nt|os)\.mkdir"):
        YoloWorld(path)
    assert not place.exists()


def test_other_files_are_one_line(tmp_path, model):
    path = tmp_path / "other.pt"
    for content, words in (({"model": 1}, "no YOLO-World model"), ([1], "no YOLO-World model")):
        torch.save(content, path)
        with pytest.raises(UserError, match=words):
            YoloWorld(path)
    path.write_bytes(b"scribble")
    with pytest.raises(UserError) as fault:
        YoloWorld(path)
    assert "\n" not in str(fault.value)
    for source in ("", tmp_path / "none.pt"):
        with pytest.raises(UserError, match=r"write yolo-world:FILE\.pt"):
            YoloWorld(source)


def test_the_id_names_what_changes_a_box(checkpoint):
    assert YoloWorld(checkpoint).id == YoloWorld(checkpoint).id != YoloWorld(checkpoint, threshold=0.5).id
    assert DETECTORS.get("yolo-world") is YoloWorld
