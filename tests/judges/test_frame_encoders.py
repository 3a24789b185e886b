import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ivgbench.errors import UserError
from ivgbench.judges import frame_encoders as frame_features
from ivgbench.judges.frame_encoders import Denoiser, denoiser, inception
from ivgbench.metrics import fid


@pytest.fixture
def file(tmp_path):
    torch.manual_seed(0)
    save_file(Denoiser().state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)


def test_every_frame_has_a_feature_of_its_own(file, video, monkeypatch):
    model = denoiser(file)
    features = model.embed_video(video)
    assert features.shape == (5, 88) and features.dtype == np.float32
    assert model.embed_video(video[2:3]) == pytest.approx(features[2:3], abs=1e-5)
    monkeypatch.setattr(frame_features, "BATCH", 2)
    assert model.embed_video(video) == pytest.approx(features, abs=1e-5)
    for wrong in (video / 255, video[0], video[:0]):
        with pytest.raises(UserError, match="uint8"):
            model.embed_video(wrong)


def test_the_autoencoder_gives_frames_of_the_same_size_back():
    assert Denoiser()(torch.zeros(2, 3, 48, 80)).shape == (2, 3, 48, 80)


def test_the_id_follows_the_weights(file):
    first = denoiser(file).id
    torch.manual_seed(1)
    save_file(Denoiser().state_dict(), file)
    assert denoiser(file).id != first and first.startswith("pocket-denoiser-")


def test_weights_that_do_not_fit_are_refused(file, tmp_path):
    with pytest.raises(UserError, match=r"gone.safetensors is missing"):
        denoiser(tmp_path / "gone.safetensors")
    save_file({"other": torch.zeros(1)}, file)
    with pytest.raises(UserError, match="not the frame encoder's weights"):
        denoiser(file)


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory):
    """Random weights in torch-fidelity's own file layout."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: {})
        patch.setattr(theirs.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        model = theirs.FeatureExtractorInceptionV3("random", ["2048"])
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    torch.save(model.state_dict(), path)
    return path


class Frames(torch.utils.data.Dataset):
    """torch-fidelity's input: uint8 [3,H,W] each."""

    def __init__(self, video):
        self.video = video

    def __len__(self):
        return len(self.video)

    def __getitem__(self, index):
        return torch.from_numpy(self.video[index]).permute(2, 0, 1)


@pytest.mark.slow
def test_fid_on_inception_is_torch_fidelitys_end_to_end(inception_file, video):
    from torch_fidelity import calculate_metrics

    model = inception(inception_file)
    other = (video // 2 + 40).astype(np.uint8)
    ours = fid(model.embed_video(video), model.embed_video(other))
    theirs = calculate_metrics(
        input1=Frames(video), input2=Frames(other), fid=True, cuda=False, cache=False, verbose=False, batch_size=2,
        save_cpu_ram=True, feature_extractor_weights_path=str(inception_file),
    )  # fmt: skip
    assert ours == pytest.approx(theirs["frechet_inception_distance"], rel=1e-5)
    assert model.embed_video(video).shape == (5, 2048) and model.id.startswith("inception-")


class Trap:
    def __reduce__(self):
        return print, ("code in a weights file was executed",)


def test_offline_and_wrong_files_are_one_clear_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    def offline(*_, **__):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(UserError, match=r"Network is unreachable; fetch https://.* and name the file: inception:FILE"):
        inception()
    (tmp_path / "text").write_text("not weights")
    torch.save({"conv": Trap()}, tmp_path / "trap")
    torch.save({"conv": torch.zeros(1)}, tmp_path / "other")
    for wrong in ("gone", "text", "trap", "other"):
        with pytest.raises(UserError, match=rf"FID's Inception weights: .*{wrong}: ") as refused:
            inception(tmp_path / wrong)
        assert "\n" not in str(refused.value)
    assert "executed" not in capsys.readouterr().out
