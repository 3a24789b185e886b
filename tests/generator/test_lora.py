"""Adapters: every layout lands on the right layer with the right factors; what fits nowhere is refused."""

import copy
import os

import pytest
import torch
from safetensors.torch import save_file

from ivgbench.errors import UserError
from ivgbench.generator import Backbone
from ivgbench.generator.backbones.lora import merge

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
OUT = "up_blocks.1.attentions.0.transformer_blocks.0.attn2.to_out.0"
RANK = 2


@pytest.fixture
def unet(tiny):
    return copy.deepcopy(tiny.unet)


def factors(unet, name, seed=0):
    weight = unet.get_submodule(name).weight
    noise = torch.Generator().manual_seed(seed)
    return (
        torch.randn(len(weight), RANK, *[1] * (weight.ndim - 2), generator=noise),
        torch.randn(RANK, *weight.shape[1:], generator=noise),
    )


@pytest.mark.parametrize(
    ("down", "up"),
    [
        ("unet.{}.lora_A.weight", "unet.{}.lora_B.weight"),
        ("base_model.model.{}.lora_A.default.weight", "base_model.model.{}.lora_B.default.weight"),
        ("{}.lora.down.weight", "{}.lora.up.weight"),
        ("{}.lora_down.weight", "{}.lora_up.weight"),
    ],
)
def test_named_layouts_add_the_product_to_their_layer(unet, tmp_path, down, up):
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    tensors = {}
    for seed, name in enumerate((LAYER, OUT)):
        tensors[up.format(name)], tensors[down.format(name)] = factors(unet, name, seed)
    save_file(tensors, tmp_path / "a.safetensors")
    merge(unet, tmp_path / "a.safetensors")
    for seed, name in enumerate((LAYER, OUT)):
        b, a = factors(unet, name, seed)
        torch.testing.assert_close(unet.get_submodule(name).weight, before[f"{name}.weight"] + b @ a)
    changed = {name for name, value in unet.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{LAYER}.weight", f"{OUT}.weight"}


def test_keys_of_attention_processors_and_alpha(unet, tmp_path):
    before = unet.get_submodule(OUT).weight.clone()
    b, a = factors(unet, OUT)
    attention = OUT.removesuffix(".to_out.0")
    tensors = {
        f"unet.{attention}.processor.to_out_lora.up.weight": b,
        f"unet.{attention}.processor.to_out_lora.down.weight": a,
        f"unet.{OUT}.alpha": torch.tensor(6.0),
    }
    torch.save(tensors, tmp_path / "a.bin")
    merge(unet, tmp_path / "a.bin")
    torch.testing.assert_close(unet.get_submodule(OUT).weight, before + 6 / RANK * b @ a)


def test_convolutions_take_adapters_too(unet, tmp_path):
    name = "down_blocks.0.resnets.0.conv1"
    weight = unet.get_submodule(name).weight.clone()
    b, a = factors(unet, name)
    save_file({f"{name}.lora.up.weight": b, f"{name}.lora.down.weight": a}, tmp_path / "a.safetensors")
    merge(unet, tmp_path / "a.safetensors")
    # Two convolutions after each other, the second one 1 x 1, are one with the product of their kernels.
    picture = torch.randn(1, weight.shape[1], 5, 6)
    both = torch.nn.functional.conv2d(torch.nn.functional.conv2d(picture, a, padding=1), b)
    merged = torch.nn.functional.conv2d(picture, unet.get_submodule(name).weight, padding=1)
    alone = torch.nn.functional.conv2d(picture, weight, padding=1)
    torch.testing.assert_close(merged - alone, both, atol=1e-4, rtol=1e-4)


def ordered(unet, kind, parts):
    """The layers that a list without names stands for: found by hand, over the modules of one class."""
    names = []
    for name, module in unet.named_modules():
        if type(module).__name__ == kind:
            for inner, layer in module.named_modules():
                if type(layer) is torch.nn.Linear and inner.split(".")[2:3] and inner.split(".")[2] in parts:
                    names.append(f"{name}.{inner}")
    return names


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("TransformerTemporalModel", ("attn1", "attn2", "ff")), ("Transformer2DModel", ("attn1", "ff"))],
)
def test_a_list_without_names_is_in_the_denoisers_order(unet, tmp_path, kind, parts):
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    names = ordered(unet, kind, parts)
    tensors = [tensor for seed, name in enumerate(names) for tensor in factors(unet, name, seed)]
    torch.save(tensors, tmp_path / "300_unet.pt")
    merge(unet, tmp_path / "300_unet.pt")
    for seed, name in enumerate(names):
        b, a = factors(unet, name, seed)
        torch.testing.assert_close(unet.get_submodule(name).weight, before[f"{name}.weight"] + b @ a)
    changed = {name for name, value in unet.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"{name}.weight" for name in names}


def test_an_adapter_changes_the_clip_and_stays_in_half_precision(tiny_folder, tiny, case, make, tmp_path):
    b, a = factors(tiny.unet, LAYER)
    save_file({f"{LAYER}.lora_A.weight": a, f"{LAYER}.lora_B.weight": b}, tmp_path / "a.safetensors")
    adapted = Backbone.from_pretrained(tiny_folder, lora=tmp_path / "a.safetensors")
    assert not torch.equal(make(case, bb=adapted).latents, make(case).latents)
    assert adapted.weights_hash == tiny.weights_hash  # of the backbone's own files; a job names its adapter beside it
    half = Backbone.from_pretrained(tiny_folder, dtype=torch.float16, lora=tmp_path / "a.safetensors")
    assert half.unet.get_submodule(LAYER).weight.dtype == torch.float16


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"up.to_q.lora_A.weight": 1, "up.to_q.lora_B.weight": 1}, "'up.to_q' is no layer"),
        ({f"{LAYER}.lora_A.weight": 1}, "one of two factors"),
        ({"text_encoder.layer.weight": 1}, "1 of its keys are not understood, e.g. 'text_encoder.layer.weight'"),
        ({f"{LAYER}.lora_A.weight": 1, f"{LAYER}.lora_B.weight": 1}, "do not make its weight"),
        ([1, 1, 1], "a list of 3 tensors without names fits neither"),
        ({"optimizer": {"lr": 1}}, "does not hold tensors only"),
        ([], "does not hold tensors only"),
    ],
)  # fmt: skip
def test_what_fits_nowhere_is_refused(unet, tmp_path, content, words):
    def tensors(value):
        if isinstance(value, dict):
            return {key: tensors(one) if isinstance(one, dict) else torch.ones(1, 1) for key, one in value.items()}
        return [torch.ones(1, 1) for _ in value]

    torch.save(tensors(content), tmp_path / "a.pt")
    before = unet.get_submodule(LAYER).weight.clone()
    with pytest.raises(UserError) as fault:
        merge(unet, tmp_path / "a.pt")
    assert words in str(fault.value) and "\n" not in str(fault.value)
    assert torch.equal(unet.get_submodule(LAYER).weight, before)


class Trap:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def test_a_missing_or_hostile_file_is_refused(unet, tmp_path):
    with pytest.raises(UserError, match="there is no such file"):
        merge(unet, tmp_path / "none.pt")
    (tmp_path / "a.safetensors").write_bytes(b"scribble")
    with pytest.raises(UserError, match="cannot be read as tensors"):
        merge(unet, tmp_path / "a.safetensors")
    torch.save({"x": Trap(tmp_path / "sprung")}, tmp_path / "a.pt")
    with pytest.raises(UserError, match="cannot be read as tensors"):
        merge(unet, tmp_path / "a.pt")
    assert not (tmp_path / "sprung").exists()
