"""The network behind JEDi against a reference in numpy, the published files' layout, and its loader."""

import math

import numpy as np
import pytest
import torch

from ivgbench.errors import UserError
from ivgbench.judges.video_encoders import MEAN, STD, to_pixels, vjepa, vjepa2
from ivgbench.judges.vjepa import VIT_H, Config, VideoTransformer, positions

TINY = Config(dim=12, depth=2, heads=3, size=(4, 32, 48), patch=(2, 16, 16), classes=5)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    model = VideoTransformer(TINY).eval()
    for name, parameter in model.named_parameters():
        if name != "encoder.pos_embed":  # norms and the query too: at their first values they would hide mistakes
            torch.nn.init.normal_(parameter, std=0.5)
    return model


# ---- the reference: numpy in float64, loops and einsum, from the paper's text


def normed(x, weights, name, eps):
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + eps)
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def linear(x, weights, name):
    return np.einsum("...i,oi->...o", x, weights[f"{name}.weight"]) + weights[f"{name}.bias"]


def mlp(x, weights, name):
    hidden = linear(x, weights, f"{name}.fc1")
    hidden = 0.5 * hidden * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    return linear(hidden, weights, f"{name}.fc2")


def attention(q, k, v, heads):
    width = q.shape[-1] // heads
    out = np.zeros_like(q)
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        scores = np.einsum("nc,mc->nm", q[:, part], k[:, part]) / math.sqrt(width)
        scores = np.exp(scores - scores.max(1, keepdims=True))
        out[:, part] = (scores / scores.sum(1, keepdims=True)) @ v[:, part]
    return out


def reference(state, pixels, config):
    """The feature of one clip [3,T,H,W] of the size that the positions are for."""
    w = {name: tensor.double().numpy() for name, tensor in state.items()}
    tokens = []
    for t, y, x in np.ndindex(*config.grid):
        a, b, c = config.patch
        patch = pixels[:, t * a : (t + 1) * a, y * b : (y + 1) * b, x * c : (x + 1) * c]
        tokens.append(np.einsum("oithw,ithw->o", w["encoder.patch_embed.proj.weight"], patch))
    x = np.stack(tokens) + w["encoder.patch_embed.proj.bias"] + w["encoder.pos_embed"][0]
    d = config.dim
    for n in range(config.depth):
        block = f"encoder.blocks.{n}"
        qkv = linear(normed(x, w, f"{block}.norm1", 1e-6), w, f"{block}.attn.qkv")
        x = x + linear(attention(qkv[:, :d], qkv[:, d : 2 * d], qkv[:, 2 * d :], config.heads), w, f"{block}.attn.proj")
        x = x + mlp(normed(x, w, f"{block}.norm2", 1e-6), w, f"{block}.mlp")
    x = normed(x, w, "encoder.norm", 1e-6)
    cross = "probe.pooler.cross_attention_block"
    query = w["probe.pooler.query_tokens"][0]
    kv = linear(normed(x, w, f"{cross}.norm1", 1e-5), w, f"{cross}.xattn.kv")
    seen = attention(linear(query, w, f"{cross}.xattn.q"), kv[:, :d], kv[:, d:], config.heads)
    query = query + linear(seen, w, f"{cross}.xattn.proj")
    return (query + mlp(normed(query, w, f"{cross}.norm2", 1e-5), w, f"{cross}.mlp"))[0]


@torch.inference_mode()
def test_the_network_is_the_reference(tiny):
    pixels = torch.randn(2, 3, *TINY.size, generator=torch.Generator().manual_seed(1))
    features = tiny(pixels).numpy()
    assert features.shape == (2, 12)
    for row, clip in zip(features, pixels.double().numpy(), strict=True):
        expected = reference(tiny.state_dict(), clip, TINY)
        assert np.abs(expected).max() > 0.5
        assert row == pytest.approx(expected, abs=1e-4 * np.abs(expected).max())


def test_positions_are_sines_of_frame_row_and_column():
    table = positions(12, (2, 3, 4))[0].double().numpy()
    for token, (t, y, x) in enumerate(np.ndindex(2, 3, 4)):
        rates = [1.0, 10000**-0.5]
        expected = [wave(place * rate) for place in (t, y, x) for wave in (math.sin, math.cos) for rate in rates]
        assert table[token] == pytest.approx(expected, abs=1e-6)
    # 1280 is no multiple of six: the published table is cut.
    assert positions(1280, (8, 14, 14)).shape == (1, 1568, 1280)
    assert positions(1280, (1, 1, 2))[0, 1, 2 * 428 :][:1].item() == pytest.approx(math.sin(1))


@torch.inference_mode()
def test_other_sizes_interpolate_the_positions(tiny):
    longer = torch.randn(1, 3, 8, 32, 48)
    seen = []
    tiny.encoder.blocks[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    tiny(longer)
    assert seen[0].shape == (1, 4 * 2 * 3, 12)
    place = tiny.encoder.pos_embed.unflatten(1, TINY.grid)[0]
    stretched = (seen[0] - tiny.encoder.patch_embed["proj"](longer).flatten(2).transpose(1, 2)).unflatten(1, (4, 2, 3))
    assert torch.allclose(stretched[0, 0], place[0], atol=1e-5)
    assert torch.allclose(stretched[0, 1], 0.75 * place[0] + 0.25 * place[1], atol=1e-5)


# ---- the published files


def published_layout() -> dict[str, tuple[int, ...]]:
    """Names and shapes in the two files of V-JEPA ViT-H/16, written down without looking at the code."""
    d = 1280

    def layer(name, outside, inside):
        return {f"{name}.weight": (outside, inside), f"{name}.bias": (outside,)}

    def norm(name):
        return {f"{name}.weight": (d,), f"{name}.bias": (d,)}

    layout = {"encoder.pos_embed": (1, 1568, d), "encoder.patch_embed.proj.weight": (d, 3, 2, 16, 16)}
    layout |= {"encoder.patch_embed.proj.bias": (d,), **norm("encoder.norm")}
    for n in range(32):
        block = f"encoder.blocks.{n}"
        layout |= {**norm(f"{block}.norm1"), **norm(f"{block}.norm2"), **layer(f"{block}.attn.qkv", 3 * d, d)}
        layout |= layer(f"{block}.attn.proj", d, d)
        layout |= {**layer(f"{block}.mlp.fc1", 4 * d, d), **layer(f"{block}.mlp.fc2", d, 4 * d)}
    cross = "probe.pooler.cross_attention_block"
    layout |= {"probe.pooler.query_tokens": (1, 1, d), **layer("probe.linear", 174, d)}
    layout |= {**norm(f"{cross}.norm1"), **norm(f"{cross}.norm2"), **layer(f"{cross}.xattn.q", d, d)}
    layout |= {**layer(f"{cross}.xattn.kv", 2 * d, d), **layer(f"{cross}.xattn.proj", d, d)}
    return layout | layer(f"{cross}.mlp.fc1", 4 * d, d) | layer(f"{cross}.mlp.fc2", d, 4 * d)


def test_at_full_size_names_and_shapes_are_the_published_ones():
    with torch.device("meta"):
        model = VideoTransformer(VIT_H)
        features = model(torch.empty(1, 3, 16, 224, 224))
    assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == published_layout()
    assert features.shape == (1, 1280)


@pytest.fixture
def files(tmp_path, tiny):
    """The two checkpoints in the published layout, with what else is in them."""
    parts = {"encoder": "module.backbone.", "probe": "module."}
    saved = {
        part: {f"{prefix}{name}": tensor for name, tensor in getattr(tiny, part).state_dict().items()}
        for part, prefix in parts.items()
    }
    torch.save({"target_encoder": saved["encoder"], "encoder": {}, "epoch": 300, "lr": 1e-3}, tmp_path / "e.pth.tar")
    torch.save({"classifier": saved["probe"], "opt": {"step": 3}, "epoch": 20}, tmp_path / "p.pth.tar")
    return tmp_path / "e.pth.tar", tmp_path / "p.pth.tar"


@pytest.fixture
def video():
    return np.random.default_rng(0).integers(0, 256, (7, 40, 60, 3), dtype=np.uint8)


def test_the_published_files_load(files, tiny, video):
    model = vjepa(*files, config=TINY)
    with torch.inference_mode():
        expected = tiny(to_pixels(video, TINY.size))[0].numpy()
    assert np.array_equal(model.embed_clip(video), expected)
    assert model.id.startswith("vjepa-") and model.id.endswith("-4x32x48")
    state = torch.load(files[1], weights_only=True)
    state["classifier"]["module.linear.bias"] += 1
    torch.save(state, files[1])
    assert vjepa(*files, config=TINY).id != model.id


def test_files_that_are_not_exactly_these_weights_are_refused(files, tmp_path):
    encoder, probe = files
    with pytest.raises(UserError, match=r"no file .*gone.pth.tar; fetch it"):
        vjepa(tmp_path / "gone.pth.tar", probe, config=TINY)
    with pytest.raises(UserError, match="'target_encoder'"):
        vjepa(probe, probe, config=TINY)
    (tmp_path / "text").write_text("not weights")
    with pytest.raises(UserError, match="not V-JEPA's probe weights"):
        vjepa(encoder, tmp_path / "text", config=TINY)
    state = torch.load(probe, weights_only=True)
    del state["classifier"]["module.pooler.query_tokens"]
    state["classifier"]["module.surplus"] = torch.zeros(1)
    torch.save(state, tmp_path / "other")
    with pytest.raises(UserError, match=r"Missing.*query_tokens.*surplus"):
        vjepa(encoder, tmp_path / "other", config=TINY)
    with pytest.raises(UserError, match="not the weights of this network"):
        vjepa(encoder, probe, config=TINY._replace(depth=1))


class Trap:
    def __reduce__(self):
        return print, ("code in a weights file was executed",)


def test_a_checkpoint_that_would_run_code_is_refused(files, tmp_path, capsys):
    torch.save({"classifier": Trap()}, tmp_path / "trap")
    with pytest.raises(UserError, match="not V-JEPA's probe weights"):
        vjepa(files[0], tmp_path / "trap", config=TINY)
    assert "executed" not in capsys.readouterr().out


def test_v_jepa_2_goes_through_transformers_under_its_own_name(tmp_path, video):
    from transformers import VJEPA2Config, VJEPA2ForVideoClassification

    torch.manual_seed(0)
    config = VJEPA2Config(
        patch_size=16, crop_size=32, frames_per_clip=4, tubelet_size=2, hidden_size=24, num_attention_heads=2,
        num_hidden_layers=1, pred_hidden_size=12, pred_num_attention_heads=2, pred_num_hidden_layers=1,
        pred_num_mask_tokens=1, num_pooler_layers=1, num_labels=3,
    )  # fmt: skip
    theirs = VJEPA2ForVideoClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    model = vjepa2(tmp_path)
    seen = []
    theirs.classifier.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.inference_mode():
        theirs(pixel_values_videos=to_pixels(video, (4, 32, 32)).transpose(1, 2))
    assert model.embed_clip(video) == pytest.approx(seen[0][0].numpy(), abs=1e-6)
    assert model.id.startswith("vjepa2-") and model.id.endswith("-4x32x32")
    with pytest.raises(UserError, match=r"cannot load V-JEPA 2 from .*nothing"):
        vjepa2(tmp_path / "nothing")


# ---- frames to pixels


def test_frames_are_picked_evenly_and_seen_whole(video):
    pixels = to_pixels(video, (4, 40, 60))
    assert pixels.shape == (1, 3, 4, 40, 60)
    back = pixels[0] * torch.tensor(STD)[:, None, None, None] + torch.tensor(MEAN)[:, None, None, None]
    assert np.array_equal((255 * back).round().permute(1, 2, 3, 0).numpy(), video[[0, 2, 4, 6]])
    ends = np.zeros((1, 40, 60, 3), np.uint8)
    ends[:, :, -3:] = 255  # at the right edge, which a centre crop would not see
    assert to_pixels(ends, (16, 32, 32)).shape == (1, 3, 16, 32, 32)
    assert to_pixels(ends, (16, 32, 32))[0, :, :, :, -1].min() > 1.5
    for wrong in (video / 255, video[0], video[:0]):
        with pytest.raises(UserError, match="uint8"):
            to_pixels(wrong, (4, 32, 32))
