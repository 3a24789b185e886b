"""Weights and layouts from elsewhere: what loads them runs nothing of theirs."""

import copy
import json
import shutil

import numpy as np
import open_clip
import pytest
import torch
from traps import Called, Trap, words

from ivgbench.errors import UserError
from ivgbench.judges import detectors, ids, layouts
from ivgbench.judges.clip import ClipModel
from ivgbench.judges.detectors import PocketYolo, quiet_ultralytics
from ivgbench.judges.yolo_world import YoloWorld
from ivgbench.runs import reference_statistics

LAYOUT = json.loads((detectors.POCKET_FOLDER / "config.json").read_text())["yaml"]


@pytest.fixture
def place(tmp_path):
    """What is made when an attack succeeds."""
    place = tmp_path / "sprung"
    yield place
    assert not place.exists()


def changed(**parts):
    return {**copy.deepcopy(LAYOUT), **parts}


def evil_layouts(place):
    """Layouts that ultralytics alone would run something of."""
    nested = changed(activation=words(place))
    return {
        "an activation": changed(activation=words(place)),
        "an activation's argument": changed(activation=f"nn.SiLU({words(place)})"),
        "an activation's list": changed(activation=f"nn.SiLU([{words(place)} for _ in [1]][0])"),
        "a function": changed(backbone=[[-1, 1, "torch_safe_load", [str(place)]]]),
        "a model of another file": changed(backbone=[[-1, 1, "DetectionModel", [str(place)]]]),
        "a model of another layout": changed(backbone=[[-1, 1, "DetectionModel", [nested]]]),
        "a download": changed(backbone=[[-1, 1, "TorchVision", [64, "resnet18", "DEFAULT"]]]),
        "a function of torch": changed(backbone=[[-1, 1, "nn.parallel.data_parallel", []]]),
        "no class": changed(backbone=[[-1, 1, "nn.functional", []]]),
        "no name": changed(backbone=[[-1, 1, ["nn.SiLU"], []]]),
        "another file": str(place),
    }


@pytest.mark.parametrize("attack", evil_layouts(""))
def test_a_detectors_layout_names_layers_only(tmp_path, place, attack):
    folder = shutil.copytree(detectors.POCKET_FOLDER, tmp_path / "detector")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "yaml": evil_layouts(place)[attack]}))
    with pytest.raises(UserError, match=r"refused|must be a dict"):
        PocketYolo.from_pretrained(folder)
    with pytest.raises(UserError, match=r"refused|must be a dict"):
        YoloWorld(folder)


@pytest.mark.parametrize(
    "activation", ["nn.SiLU()", "torch.nn.LeakyReLU(0.1)", "nn.ReLU(inplace=True)", "nn.Hardtanh(-1.0, 1e0)"]
)
def test_the_activations_of_ultralytics_are_read(activation):
    quiet_ultralytics()
    assert layouts.check(changed(activation=activation))["activation"] == activation


def test_a_checkpoint_cannot_call_the_layers_it_names(tmp_path, place):
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel, WorldModel

    for number, cls in enumerate((DetectionModel, WorldModel)):
        file = tmp_path / f"{number}.pt"
        torch.save({"model": Called(cls, changed(activation=words(place)))}, file)
        with pytest.raises(UserError):
            YoloWorld(file)


def test_a_checkpoints_layout_names_layers_only(tmp_path, place):
    quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel

    model = DetectionModel(changed(), ch=3, nc=3, verbose=False)
    model.yaml = changed(activation=words(place))
    torch.save({"model": model}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="refused"):
        YoloWorld(tmp_path / "a.pt")


@pytest.mark.parametrize("fault", [None, TypeError])
def test_weights_of_open_clip_are_tensors(tmp_path, place, monkeypatch, fault):
    """Also where open_clip tries again without care, as it does after a TypeError."""
    file, real = tmp_path / "clip.pt", torch.load
    torch.save({"state_dict": Trap(place)}, file)

    def load(*arguments, **how):
        if how.get("weights_only") is None:
            return real(*arguments, **{**how, "weights_only": False})
        if fault is not None:
            raise fault("crafted")
        return real(*arguments, **how)

    monkeypatch.setattr(torch, "load", load)
    with pytest.raises(UserError, match="cannot load the CLIP weights"):
        ClipModel.from_pretrained(open_clip.list_models()[0], str(file))


def test_statistics_hold_numbers_only(tmp_path, place):
    np.savez(tmp_path / "a.npz", mean=np.array([Trap(place)], dtype=object), covariance=np.eye(2), count=3, encoder="e")
    with pytest.raises(UserError, match="not statistics"):
        reference_statistics.load(tmp_path / "a.npz")


def test_statistics_that_unpack_to_gigabytes_are_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", mean=np.zeros(4), covariance=np.zeros((500, 500)), count=3, encoder="e")
    monkeypatch.setattr(reference_statistics, "MOST_BYTES", 1_000_000)
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("was unpacked"))
    with pytest.raises(UserError, match=r"its arrays are 0\.0 GB"):
        reference_statistics.load(tmp_path / "a.npz")


def test_the_pocket_lab_passes():
    assert PocketYolo.from_pretrained().id == ids.pocket_yolo(ids.POCKET_DETECTOR)
