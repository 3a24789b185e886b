"""CLIP features of frames and captions, through open_clip.

Facts about open_clip 3.3 that this file and the pocket weights rely on (read in its source):

- `open_clip.model.CLIP(embed_dim, vision_cfg, text_cfg, quick_gelu=False)` takes both configs as plain dicts, and
  `image_size` as [height, width]. `model_cfg["custom_text"]` selects `CustomTextCLIP` instead (other key names).
- The number of vision heads is `width // head_width`, and `head_width` is 64 unless vision_cfg says otherwise: width
  96 alone means ONE head of 96. Give `"head_width": 32` for three.
- `SimpleTokenizer(bpe_path, context_length=...)` reads a gzip file, skips its first line, and makes a merge of every
  later line, a last empty one included: end the file without a newline. Its vocabulary is 512 byte symbols, the
  merges, and the two special tokens last, so `text_cfg["vocab_size"]` must be 514 + merges; the text is pooled at the
  largest token id, which is the end of text.
- Texts longer than the context are cut, keeping the end token. Padding is 0.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.model import CLIP, CustomTextCLIP
from open_clip.tokenizer import SimpleTokenizer
from open_clip.transform import PreprocessCfg, image_transform, merge_preprocess_dict
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file

from ivgbench.errors import UserError, named_line
from ivgbench.files import file_sha256, state_sha256
from ivgbench.judges import ids

POCKET_FOLDER = ids.POCKET_CLIP
#: How a frame becomes the model's input: "crop" keeps the middle (what published CLIP scores do; of a 320x576 frame a
#: square model sees 56 % of the width), "squash" stretches the whole frame (a subject at the edge is seen).
PREPROCESSING = {"crop": "shortest", "squash": "squash"}
BATCH = 64

log = logging.getLogger(__name__)


class ClipModel:
    """An open_clip model on a device, in eval mode and float32, with its tokenizer and preprocessing.

    Make one with `from_pretrained`. `id` names everything that changes a feature: model, weights and preprocessing.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: SimpleTokenizer,
        config: dict,
        name: str,
        weights: str,
        preprocessing: str,
        device: str,
        files: tuple[Path, ...] = (),
    ):
        """`model`: of open_clip; `config`: of its preprocessing. `name`: of model and weights; `weights`: a sha256."""
        self.model = model.eval().requires_grad_(False).to(device)
        self.tokenizer = tokenizer
        self.config = config
        self.transform = image_transform(
            tuple(model.visual.image_size),
            is_train=False,
            mean=tuple(config["mean"]),
            std=tuple(config["std"]),
            resize_mode=PREPROCESSING[preprocessing],
            interpolation=config["interpolation"],
        )
        self.name, self.weights = name, weights
        self.id = ids.clip(name, weights, preprocessing)
        #: What a library keeps of its weights, where that is known.
        self.files: tuple[Path, ...] = files
        self.device = device

    def squashed(self) -> ClipModel:
        """The same model, given whole frames."""
        named = self.name, self.weights, "squash"
        return ClipModel(self.model, self.tokenizer, self.config, *named, self.device, self.files)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path = "pocket",
        pretrained: str | None = None,
        preprocessing: str = "crop",
        device: str = "cpu",
    ) -> ClipModel:
        """Loads a model.

        Args:
            source: "pocket"; a folder with open_clip_config.json, model.safetensors and bpe_simple_vocab.txt.gz; or a
                model name of open_clip such as "ViT-B-16-quickgelu" (with OpenAI's weights take the -quickgelu name:
                the other one has another activation). "NAME/TAG" names model and weights in one.
            pretrained: with a name: the weights' tag ("openai") or a local file.
            preprocessing: "crop" or "squash".
        Raises:
            UserError: unknown names, files that are missing or do not fit each other.
        """
        if preprocessing not in PREPROCESSING:
            raise UserError(f"unknown CLIP preprocessing {preprocessing!r}; known: {', '.join(PREPROCESSING)}")
        if source == "pocket" or Path(source).is_dir():
            if pretrained is not None:
                raise UserError(f"the CLIP folder {source} has its own weights; leave out pretrained={pretrained!r}")
            folder = POCKET_FOLDER if source == "pocket" else Path(source)
            model, tokenizer, config, weights = _from_folder(folder)
            name = "pocket" if source == "pocket" else folder.name
            files: tuple[Path, ...] = ()
        else:
            name, slash, tag = str(source).partition("/")
            pretrained = tag if slash and pretrained is None else pretrained
            model, tokenizer, config, weights = _from_open_clip(name, pretrained, device)
            files = _kept(name, str(pretrained))
            name = f"{name}-{Path(str(pretrained)).stem}"
        return cls(model, tokenizer, config, name, weights, preprocessing, device, files)

    @torch.inference_mode()
    def embed_video(self, video: np.ndarray) -> np.ndarray:
        """Features of every frame of a video uint8 [F,H,W,3]: float32 [F,D], L2-normalised.

        Frames go through open_clip's own transform as PIL images, so that scores compare with published ones.
        """
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or not len(video):
            raise UserError(f"a video must be uint8 [F,H,W,3] with F >= 1, got {video.dtype} {list(video.shape)}")
        pixels = torch.stack([self.transform(Image.fromarray(frame)) for frame in video])
        return self._normalised(self.model.encode_image, pixels)

    @torch.inference_mode()
    def embed_text(self, texts: list[str]) -> np.ndarray:
        """Features of texts: float32 [N,D], L2-normalised. Warns where a text is cut to the model's context."""
        tokens = self.tokenizer(texts)
        for text in texts:
            if self.cuts(text):
                log.warning("CLIP reads only the first %d tokens of the prompt %r", tokens.shape[1], text)
        return self._normalised(self.model.encode_text, tokens)

    def cuts(self, text: str) -> bool:
        """Whether a text is longer than the model's context, so that its end plays no part in its features."""
        (read,) = self.tokenizer([text])
        (more,) = self.tokenizer([text], context_length=len(read) + 1)
        # With room for one token more, the last one that was read is no longer the end of the text.
        return not torch.equal(more[: len(read)], read)

    def _normalised(self, encode: Callable[..., torch.Tensor], inputs: torch.Tensor) -> np.ndarray:
        parts = [encode(part.to(self.device), normalize=True).float().cpu() for part in inputs.split(BATCH)]
        return torch.cat(parts).numpy()


def _from_folder(folder: Path) -> tuple[torch.nn.Module, SimpleTokenizer, dict, str]:
    """Model, tokenizer, preprocessing config and weights' sha256 of a folder in open_clip's layout."""
    files = [folder / name for name in ("open_clip_config.json", "model.safetensors", "bpe_simple_vocab.txt.gz")]
    for file in files:
        if not file.is_file():
            raise UserError(
                f"the CLIP weights are incomplete: {file} is missing; reinstall ivgbench, or name another model"
            )
    try:
        config = json.loads(files[0].read_text(encoding="utf-8-sig"))
        architecture, preprocess = (
            dict(config["model_cfg"]),
            merge_preprocess_dict(PreprocessCfg(), config["preprocess_cfg"]),
        )
        context, vocabulary = (architecture["text_cfg"][key] for key in ("context_length", "vocab_size"))
        kind = CustomTextCLIP if architecture.pop("custom_text", False) else CLIP
        with torch.random.fork_rng(devices=[]):  # the random weights that are overwritten next cost no one a draw
            model = kind(**architecture)
        model.load_state_dict(load_file(files[1]))
        tokenizer = SimpleTokenizer(str(files[2]), context_length=context)
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError, OSError, EOFError) as fault:
        raise UserError(f"{folder}: the CLIP config, weights and vocabulary do not fit: {named_line(fault)}") from None
    if tokenizer.vocab_size != vocabulary:
        raise UserError(
            f"{files[2]}: {tokenizer.vocab_size} tokens, but the config says {vocabulary}; restore the file"
        )
    return model, tokenizer, preprocess, file_sha256(files[1])


def _from_open_clip(
    name: str, pretrained: str | None, device: str
) -> tuple[torch.nn.Module, SimpleTokenizer, dict, str]:
    """The same for one of open_clip's own models; its weights come from open_clip's cache, or are downloaded."""
    tags = open_clip.list_pretrained_tags_by_model(name)
    if name not in open_clip.list_models():
        raise UserError(
            f"no CLIP folder and no open_clip model is called {name!r}; try 'pocket' or 'ViT-B-16-quickgelu'"
        )
    if pretrained is None or (pretrained not in tags and not Path(pretrained).is_file()):
        raise UserError(f"the CLIP model {name} needs weights: one of {', '.join(tags)}, or a file; got {pretrained!r}")
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)  # without the network, some forty lines of attempts
    try:
        if Path(pretrained).is_file() and Path(pretrained).suffix != ".safetensors":
            # open_clip tries again without care where a careful reading fails; what passes here is tensors.
            torch.load(pretrained, map_location="cpu", weights_only=True)
        model, _, _ = open_clip.create_model_and_transforms(name, pretrained=pretrained, device=device)
    except (OSError, ValueError, RuntimeError, UnpicklingError, TypeError, EOFError) as fault:
        raise UserError(
            f"cannot load the CLIP weights {name}/{pretrained}, which are downloaded on first use: be online once, or "
            f"name another CLIP ({named_line(fault)})"
        ) from None
    finally:
        logging.disable(before)
    sha256 = file_sha256(Path(pretrained)) if Path(pretrained).is_file() else state_sha256(model.state_dict())
    config = merge_preprocess_dict(PreprocessCfg(), model.visual.preprocess_cfg)
    return model, open_clip.get_tokenizer(name), config, sha256


def _kept(name: str, pretrained: str) -> tuple[Path, ...]:
    """The file of weights that have just been loaded; none where the library does not say."""
    if Path(pretrained).is_file():
        return (Path(pretrained),)
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        return (Path(open_clip.download_pretrained(open_clip.get_pretrained_cfg(name, pretrained))),)
    except Exception:  # a note that is not made costs a second loading, and nothing else
        return ()
    finally:
        logging.disable(before)
