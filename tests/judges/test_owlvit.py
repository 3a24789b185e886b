"""OWL-ViT's real loading code on a tiny model of the same class, on frames that are not square."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer, OwlViTConfig, OwlViTForObjectDetection, OwlViTImageProcessor, OwlViTProcessor

from ivgbench.errors import UserError
from ivgbench.judges import owlvit
from ivgbench.judges.owlvit import OwlVit
from ivgbench.registry import DETECTORS
from ivgbench.runs.lab import Lab

TOKENIZER = Path(__file__).parent.parent / "golden" / "tiny_t2v" / "tokenizer"
HEIGHT, WIDTH = 40, 72


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Random weights. Its image processor is told to crop, which would lose the sides of a wide frame."""
    path = tmp_path_factory.mktemp("owlvit")
    tokenizer = CLIPTokenizer.from_pretrained(TOKENIZER, model_max_length=16)
    common = dict(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("bos", "eos", "pad")}
    text = dict(**common, **special, vocab_size=len(tokenizer), max_position_embeddings=16)
    vision = dict(**common, image_size=64, patch_size=16)
    torch.manual_seed(0)
    OwlViTForObjectDetection(OwlViTConfig(text_config=text, vision_config=vision, projection_dim=16)).save_pretrained(
        path
    )
    images = OwlViTImageProcessor(size={"height": 64, "width": 115}, do_center_crop=True, crop_size=48)
    OwlViTProcessor(images, tokenizer).save_pretrained(path)
    return path


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (10, HEIGHT, WIDTH, 3), dtype=np.uint8)


def answer(detector, monkeypatch, reply):
    """Puts a function pixels [B,3,64,64] -> (boxes [B,N,4], logits [B,N]) in place of the network."""

    def forward(pixel_values, **_):
        boxes, logits = reply(pixel_values)
        return SimpleNamespace(pred_boxes=boxes, logits=logits[..., None])

    monkeypatch.setattr(detector.model, "forward", forward)


def test_a_box_of_the_model_lands_on_its_pixels(folder, video, monkeypatch):
    detector = OwlVit(folder)
    # Centre, width, height as fractions of the model's square: x .25 to .5, y .125 to .875; and a weaker one elsewhere.
    strong, weak = [0.375, 0.5, 0.25, 0.75], [0.8, 0.8, 0.1, 0.1]
    boxes, logits = torch.tensor([[weak, strong]]), torch.tensor([[1.0, 2.0]])
    answer(detector, monkeypatch, lambda x: (boxes.repeat(len(x), 1, 1), logits.repeat(len(x), 1)))
    found, scores = detector.detect(video, "red star")
    pixels = found * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    np.testing.assert_allclose(pixels, np.tile([18, 5, 36, 35], (10, 1)), atol=1e-5)
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(-2)))


def test_the_whole_frame_is_seen_without_a_crop(folder, monkeypatch):
    """The network is replaced by one that boxes what is bright in its input: that must be the frame's bright part."""
    detector = OwlVit(folder)
    video = np.zeros((3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    asked = [(0, 0, 18, 20), (54, 30, 72, 40), (27, 5, 45, 35)]  # two of them at the very edges
    for frame, (x0, y0, x1, y1) in zip(video, asked, strict=True):
        frame[y0:y1, x0:x1] = 255

    def reply(pixels):
        boxes = []
        for picture in pixels.mean(1) > 0.5:
            rows, columns = (picture.any(axis).nonzero().flatten() for axis in (1, 0))
            x0, y0, x1, y1 = columns[0] / 64, rows[0] / 64, (columns[-1] + 1) / 64, (rows[-1] + 1) / 64
            boxes.append([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])
        return torch.tensor(boxes)[:, None], torch.full((len(pixels), 1), 9.0)

    answer(detector, monkeypatch, reply)
    found = detector.detect(video, "star").boxes
    np.testing.assert_allclose(found, np.array(asked) / [WIDTH, HEIGHT, WIDTH, HEIGHT], atol=1.5 / 64)


def test_it_agrees_with_the_librarys_own_post_processing(folder, video):
    detector = OwlVit(folder, threshold=0.0)
    found, scores = detector.detect(video, "a red star")
    inputs = detector.processor(
        text=[["a red star"]] * len(video), images=list(video), size=detector.size, do_center_crop=False,
        return_tensors="pt",
    )  # fmt: skip
    with torch.no_grad():
        output = detector.model(**inputs)
    expected = detector.processor.post_process_grounded_object_detection(
        output, threshold=0.0, target_sizes=[(HEIGHT, WIDTH)] * len(video)
    )
    for frame, theirs in enumerate(expected):
        best = theirs["scores"].argmax()
        box = np.clip(theirs["boxes"][best].numpy() / [WIDTH, HEIGHT, WIDTH, HEIGHT], 0, 1)
        np.testing.assert_allclose(found[frame], box, atol=1e-5)
        assert scores[frame] == pytest.approx(float(theirs["scores"][best]), abs=1e-6)


def test_nothing_above_the_threshold_is_no_detection(folder, video, monkeypatch):
    detector = OwlVit(folder)
    low = float(np.log(0.1 / 0.9))  # a score of exactly 0.1
    answer(detector, monkeypatch, lambda x: (torch.full((len(x), 1, 4), 0.5), torch.full((len(x), 1), low - 1e-3)))
    found, scores = detector.detect(video, "star")
    assert np.isnan(found).all() and np.all(scores < 0.1) and np.all(scores > 0.09)


def test_boxes_that_leave_the_frame_are_cut(folder, video, monkeypatch):
    detector = OwlVit(folder)
    answer(detector, monkeypatch, lambda x: (torch.tensor([[[0.1, 0.9, 0.6, 0.6]]] * len(x)), torch.ones(len(x), 1)))
    np.testing.assert_allclose(detector.detect(video, "star").boxes, np.tile([0, 0.6, 0.4, 1], (10, 1)), atol=1e-6)


def test_the_id_names_what_changes_a_box(folder, tmp_path):
    one, same = OwlVit(folder), OwlVit(folder)
    assert one.id == same.id != OwlVit(folder, threshold=0.2).id
    other = tmp_path / folder.name
    other.mkdir()
    for path in folder.iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    detector = OwlViTForObjectDetection.from_pretrained(folder)
    detector.class_head.dense0.weight.data += 1
    detector.save_pretrained(other)
    assert OwlVit(other).id != one.id


def test_long_phrases_are_cut_not_refused(folder, video):
    assert len(OwlVit(folder).detect(video[:1], "a star " * 40).scores) == 1


def test_what_is_missing_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        UserError, match=r"google/owlvit-large-patch14 is not on this machine.*`ivgbench fetch owlvit:google"
    ):
        OwlVit()
    with pytest.raises(UserError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        OwlVit(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="cannot be loaded") as fault:
        OwlVit(tmp_path)
    assert "\n" not in str(fault.value)


def test_it_is_registered_and_takes_a_source(folder):
    assert DETECTORS.get("owlvit") is OwlVit
    assert Lab("cpu").detector(f"owlvit:{folder}").id == OwlVit(folder).id


def test_what_is_fetched_is_what_is_read(folder):
    files = [path.name for path in folder.iterdir()]
    assert set(owlvit.to_fetch([*files, "pytorch_model.bin", "README.md"])) == set(files)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "owlvit"
    with pytest.raises(UserError, match="no OWL-ViT"):
        owlvit.to_fetch(["config.json"])
