"""A CLIPTokenizer whose vocabulary knows the pocket world's words as single tokens, and can still spell any text."""

from __future__ import annotations

import json
from pathlib import Path

from ivgbench import world

#: Words beyond the captions, so that a prompt suffix or a short negative prompt is not spelled letter by letter.
EXTRA_WORDS = (
    "a",
    "an",
    "on",
    "and",
    "the",
    "background",
    "high",
    "quality",
    "moving",
    "still",
    "left",
    "right",
    "up",
    "down",
)
BOS, EOS = "<|startoftext|>", "<|endoftext|>"


def byte_alphabet() -> list[str]:
    """The 256 printable stand-ins of CLIP's byte-level BPE, in its order."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + k) for k in range(len(rest))]


def merges() -> list[tuple[str, str]]:
    """BPE merges under which each known word is one token.

    Words come in turn: the rules so far are applied to a word, and what they leave in pieces is joined by new rules.
    New rules rank last, so they cannot break a word that is whole already.
    """
    rules: list[tuple[str, str]] = []
    for word in dict.fromkeys([*EXTRA_WORDS, *world.COLOURS, *world.SHAPES, *world.BACKGROUNDS]):
        pieces = [*word[:-1], word[-1] + "</w>"]
        for left, right in rules:
            at = 0
            while at < len(pieces) - 1:
                if (pieces[at], pieces[at + 1]) == (left, right):
                    pieces[at : at + 2] = [left + right]
                at += 1
        while len(pieces) > 1:
            rules.append((pieces[0], pieces[1]))
            pieces[:2] = [pieces[0] + pieces[1]]
    return rules


def vocabulary() -> dict[str, int]:
    """Token to id, in CLIP's order: bytes, bytes that end a word, merges, BOS, EOS."""
    alphabet = byte_alphabet()
    tokens = [*alphabet, *(c + "</w>" for c in alphabet), *(a + b for a, b in merges()), BOS, EOS]
    return {token: index for index, token in enumerate(dict.fromkeys(tokens))}


def save_tokenizer(folder: Path) -> None:
    """Writes the files that `CLIPTokenizer.from_pretrained(folder)` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary(), ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(f"{a} {b}" for a, b in merges())]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    special = {"bos_token": BOS, "eos_token": EOS, "pad_token": EOS, "unk_token": EOS}
    config = {**special, "model_max_length": 77, "tokenizer_class": "CLIPTokenizer", "errors": "replace"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1) + "\n")
