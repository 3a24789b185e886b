"""A tiny Wan with random weights, written as diffusers does, its denoiser in two shards."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

WORDS = ["a", "the", "and", "on", "zebra", "dog", "green", "grass", "runs", "sea"]


def tokenizer() -> PreTrainedTokenizerFast:
    """A token for each word, `</s>` at the end."""
    vocabulary = {word: at for at, word in enumerate(["<pad>", "</s>", "<unk>", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


def parts() -> dict[str, Any]:
    """The same weights each time."""
    torch.manual_seed(0)
    transformer = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4, text_dim=16,
        freq_dim=16, ffn_dim=32, num_layers=4, rope_max_seq_len=32,
    )  # fmt: skip
    enlarged(transformer, 0.3)
    vae = AutoencoderKLWan(
        base_dim=4, z_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        latents_mean=[0.1, -0.2, 0.3, 0.0], latents_std=[1.5, 2.0, 0.5, 1.0],
    )  # fmt: skip
    config = UMT5Config(vocab_size=16, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    return {
        "transformer": transformer,
        "vae": vae.eval(),
        "text_encoder": UMT5EncoderModel(config).eval(),
        "tokenizer": tokenizer(),
        "scheduler": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0),
    }


def write(folder: Path) -> Path:
    return written(folder, parts(), "WanPipeline", "40KB")


def written(folder: Path, made: dict[str, Any], pipeline: str, shard: str) -> Path:
    """A folder as a pipeline of diffusers writes it, its denoiser in shards of that size."""
    for name, part in made.items():
        part.save_pretrained(folder / name, **({"max_shard_size": shard} if name == "transformer" else {}))
    index = {
        name: ["transformers" if name in ("text_encoder", "tokenizer") else "diffusers", type(part).__name__]
        for name, part in made.items()
    }
    (folder / "model_index.json").write_text(json.dumps({"_class_name": pipeline, **index}))
    return folder


def enlarged(transformer: torch.nn.Module, by: float = 0.2) -> torch.nn.Module:
    """In eval mode, its random weights as large as they need to be for masks to tell."""
    for parameter in transformer.parameters():
        parameter.data = torch.randn_like(parameter) * (by if parameter.ndim > 1 else 0.1) + (parameter.data == 1)
    return transformer.eval()
