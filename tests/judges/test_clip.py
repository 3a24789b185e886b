import gzip
import json
import logging

import numpy as np
import open_clip
import pytest
import torch
from open_clip.model import CLIP
from safetensors.torch import save_file

from ivgbench.errors import UserError
from ivgbench.judges.clip import ClipModel

MERGES = ["r e", "re d</w>", "s t", "st a", "sta r</w>"]
MODEL = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": [16, 24], "layers": 1, "width": 16, "head_width": 8, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 514 + len(MERGES), "width": 16, "heads": 2, "layers": 1},
}
PREPROCESS = {"mean": [0.5, 0.4, 0.3], "std": [0.25, 0.5, 0.5], "interpolation": "bilinear"}


@pytest.fixture
def folder(tmp_path):
    """A CLIP of the shipped one's class and layout, with random weights."""
    place = tmp_path / "tiny"
    place.mkdir()
    torch.manual_seed(0)
    save_file(CLIP(**MODEL).state_dict(), place / "model.safetensors")
    (place / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": PREPROCESS}))
    (place / "bpe_simple_vocab.txt.gz").write_bytes(gzip.compress("\n".join(["#version", *MERGES]).encode()))
    return place


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)


def test_features_are_unit_vectors_and_repeat(folder, video):
    model = ClipModel.from_pretrained(folder)
    frames, texts = model.embed_video(video), model.embed_text(["red star", "star"])
    assert (frames.shape, texts.shape) == ((3, 8), (2, 8))
    assert frames.dtype == texts.dtype == np.float32
    assert np.linalg.norm(frames, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert np.linalg.norm(texts, axis=1) == pytest.approx([1, 1], abs=1e-5)
    assert np.abs(texts[0] - texts[1]).max() > 1e-3
    again = ClipModel.from_pretrained(folder)
    assert np.array_equal(again.embed_video(video), frames)
    assert np.array_equal(again.embed_text(["red star", "star"]), texts)


def test_frames_of_the_models_own_size_reach_it_untouched(folder, video):
    model = ClipModel.from_pretrained(folder)
    pixels = torch.from_numpy(video).permute(0, 3, 1, 2).float() / 255
    pixels = (pixels - torch.tensor(PREPROCESS["mean"])[:, None, None]) / torch.tensor(PREPROCESS["std"])[:, None, None]
    expected = model.model.encode_image(pixels, normalize=True).numpy()
    assert model.embed_video(video) == pytest.approx(expected, abs=1e-5)
    assert ClipModel.from_pretrained(folder, preprocessing="squash").embed_video(video) == pytest.approx(
        expected, abs=1e-5
    )


def test_crop_is_blind_at_the_sides_and_squash_is_not(folder):
    wide = np.full((1, 16, 48, 3), 100, np.uint8)
    marked = wide.copy()
    marked[:, :, :6] = 255
    crop, squash = (ClipModel.from_pretrained(folder, preprocessing=kind) for kind in ("crop", "squash"))
    assert crop.squashed().id == squash.id
    assert np.array_equal(crop.squashed().embed_video(marked), squash.embed_video(marked))
    assert np.array_equal(crop.embed_video(wide), crop.embed_video(marked))
    assert np.abs(squash.embed_video(wide) - squash.embed_video(marked)).max() > 1e-3
    assert crop.id != squash.id


def test_height_and_width_are_not_swapped(folder):
    top, left = np.zeros((1, 16, 24, 3), np.uint8), np.zeros((1, 16, 24, 3), np.uint8)
    top[:, :8], left[:, :, :8] = 255, 255
    seen = []
    model = ClipModel.from_pretrained(folder)
    model.model.visual.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.embed_video(np.concatenate([top, left]))
    assert seen[0].shape == (2, 3, 16, 24)
    assert (seen[0][0, 0, :8] > 0).all()
    assert (seen[0][0, 0, 8:] < 0).all()
    assert (seen[0][1, 0, :, :8] > 0).all()
    assert (seen[0][1, 0, :, 8:] < 0).all()


def test_id_follows_the_weights(folder):
    first = ClipModel.from_pretrained(folder)
    assert first.id == ClipModel.from_pretrained(folder).id
    assert first.id.startswith("clip-tiny-")
    torch.manual_seed(1)
    save_file(CLIP(**MODEL).state_dict(), folder / "model.safetensors")
    assert ClipModel.from_pretrained(folder).id != first.id


def test_half_precision_weights_are_computed_in_float32(folder, video):
    torch.manual_seed(0)
    state = {name: value.half() for name, value in CLIP(**MODEL).state_dict().items()}
    exact = ClipModel.from_pretrained(folder).embed_video(video)
    save_file(state, folder / "model.safetensors")
    model = ClipModel.from_pretrained(folder)
    assert {parameter.dtype for parameter in model.model.parameters()} == {torch.float32}
    assert model.embed_video(video) == pytest.approx(exact, abs=5e-3)


def test_a_prompt_longer_than_the_context_is_reported(folder, caplog):
    model = ClipModel.from_pretrained(folder)
    with caplog.at_level(logging.WARNING):
        model.embed_text(["red star", "red red red star star star"])  # 2 and 6 tokens, and two around them
        assert not caplog.records
        long = "red " * 7
        model.embed_text([long])
    assert "first 8 tokens" in caplog.text
    assert [model.cuts(text) for text in ("", "red star", "red red red star star star", long)] == [False] * 3 + [True]
    assert model.squashed().cuts(long)


@pytest.mark.parametrize("file", ["open_clip_config.json", "model.safetensors", "bpe_simple_vocab.txt.gz"])
def test_missing_files_are_named(folder, file):
    (folder / file).unlink()
    with pytest.raises(UserError, match=file):
        ClipModel.from_pretrained(folder)


def test_files_that_do_not_fit_each_other_are_refused(folder):
    vocabulary = (folder / "bpe_simple_vocab.txt.gz").read_bytes()
    (folder / "bpe_simple_vocab.txt.gz").write_bytes(gzip.compress("\n".join(["#version", *MERGES, ""]).encode()))
    with pytest.raises(UserError, match="520 tokens, but the config says 519"):
        ClipModel.from_pretrained(folder)
    (folder / "bpe_simple_vocab.txt.gz").write_bytes(b"not gzip")
    with pytest.raises(UserError, match="do not fit"):
        ClipModel.from_pretrained(folder)
    (folder / "bpe_simple_vocab.txt.gz").write_bytes(vocabulary)
    for weights in (CLIP(**{**MODEL, "embed_dim": 4}).state_dict(), {"other": torch.zeros(1)}):
        save_file(weights, folder / "model.safetensors")
        with pytest.raises(UserError, match="do not fit"):
            ClipModel.from_pretrained(folder)
    (folder / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="do not fit"):
        ClipModel.from_pretrained(folder)
    (folder / "open_clip_config.json").write_text("{}")
    with pytest.raises(UserError, match="do not fit"):
        ClipModel.from_pretrained(folder)


@pytest.mark.parametrize(
    ("source", "pretrained", "word"),
    [
        ("ViT-Z-99", "openai", "no open_clip model is called 'ViT-Z-99'"),
        ("ViT-B-16-quickgelu", None, "needs weights: one of openai"),
        ("ViT-B-16-quickgelu/nonsense", None, "got 'nonsense'"),
    ],
)
def test_unknown_open_clip_names_are_refused_before_anything_is_downloaded(source, pretrained, word):
    with pytest.raises(UserError, match=word):
        ClipModel.from_pretrained(source, pretrained)


def test_clip_weights_that_cannot_be_downloaded_are_one_line(monkeypatch, capfd):
    def offline(*_, **__):
        logging.getLogger("huggingface_hub").warning("Retrying in 1s [Retry 1/5].")
        raise RuntimeError("no network\nand more")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", offline)
    with pytest.raises(UserError, match="which are downloaded on first use: be online once") as told:
        ClipModel.from_pretrained("ViT-B-16-quickgelu/openai")
    assert "\n" not in str(told.value) and "no network" in str(told.value) and "Retry" not in capfd.readouterr().err
    assert not logging.root.manager.disable


def test_a_model_of_open_clip_loads_from_a_local_file(tmp_path, monkeypatch, folder, video):
    # A tiny model registered under a name of its own stands for the large ones, which need a download.

    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "tiny-named.json").write_text(
        json.dumps({**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": 49408}})
    )
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIGS", dict(open_clip.factory._MODEL_CONFIGS))
    monkeypatch.setattr(open_clip.factory, "_MODEL_CONFIG_PATHS", list(open_clip.factory._MODEL_CONFIG_PATHS))
    open_clip.add_model_config(configs)
    torch.manual_seed(0)
    model = CLIP(**{**MODEL, "text_cfg": {**MODEL["text_cfg"], "vocab_size": 49408}})
    file = tmp_path / "weights.safetensors"
    save_file(model.state_dict(), file)
    named = ClipModel.from_pretrained("tiny-named", str(file))
    assert named.id.startswith("clip-tiny-named-weights-")
    assert named.embed_video(video).shape == (3, 8)
    assert named.embed_text(["a red star"]).shape == (1, 8)


def test_other_preprocessings_and_other_inputs_are_refused(folder, video):
    with pytest.raises(UserError, match="unknown CLIP preprocessing"):
        ClipModel.from_pretrained(folder, preprocessing="stretch")
    with pytest.raises(UserError, match="has its own weights"):
        ClipModel.from_pretrained(folder, "openai")
    model = ClipModel.from_pretrained(folder)
    for wrong in (video / 255, video[0], video.transpose(0, 3, 1, 2), video[:0]):
        with pytest.raises(UserError, match="uint8"):
            model.embed_video(wrong)
