"""T5's pieces from a spiece.model, against the library's tokenizer of the same pieces, and what is told without."""

import io
import json
import sys

import pytest
import tiny_cogvideox
import tiny_ltx
import torch

from ivgbench.errors import UserError
from ivgbench.generator import Backbone
from ivgbench.generator.backbones import hashing, t5_pieces

LINES = ["a zebra and a dog on the green grass", "the zebra runs", "the café and the sea", "a dog runs on green grass"]
LENGTH = 24


@pytest.fixture(scope="module")
def model():
    """A spiece.model with T5's own ids of padding, end and unknown."""
    sentencepiece = pytest.importorskip("sentencepiece")
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(LINES * 3), model_writer=written, vocab_size=60, hard_vocab_limit=False, pad_id=0,
        eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    return written.getvalue()


@pytest.fixture
def folder(model, tmp_path):
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "spiece.model").write_bytes(model)
    return tmp_path


@pytest.fixture
def read(folder):
    return t5_pieces.reader(folder, LENGTH)


def the_librarys(model):
    from sentencepiece import SentencePieceProcessor
    from transformers import PreTrainedTokenizerFast

    tokenizers = pytest.importorskip("tokenizers")
    pieces = SentencePieceProcessor(model_proto=model)
    vocabulary = [(pieces.id_to_piece(at), pieces.get_score(at)) for at in range(pieces.get_piece_size())]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(vocabulary, unk_id=2))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [tokenizers.pre_tokenizers.WhitespaceSplit(), tokenizers.pre_tokenizers.Metaspace()]
    )
    made.post_processor = tokenizers.processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


@pytest.mark.parametrize("text", [*LINES, "", "a  zebra ", "sea " * 30, "dogs’ café"])
def test_ids_are_the_librarys(text, model, read):
    theirs = the_librarys(model)(text, padding="max_length", max_length=LENGTH, truncation=True)["input_ids"]
    assert read.token_ids(text) == theirs and len(theirs) == LENGTH


def test_a_phrase_is_found_where_it_stands(read):
    text = "the café and a dog: dog, zebra"
    ids = read.token_ids(text)
    places = read.places(text, "dog")
    alone = read.phrase_ids("dog")[1:-1]  # without the blank before it, which these few pieces have apart
    assert [ids[place.start : place.stop] for place in places] == [alone] * 2
    (accented,) = read.places("e\u0301 the cafe\u0301", "caf\u00e9")  # composed or not
    assert ids[read.places(text, "café")[0].start] == read.token_ids("e\u0301 the cafe\u0301")[accented.start]
    assert read.places(text, "sea") == [] and read.phrase_ids("") == [1]


def test_the_rest_of_a_long_prompt_is_not_read(read):
    long = "sea " * 30 + "zebra"
    (place,) = read.places(long, "zebra")
    assert place.start >= LENGTH and not read.read(place)


def test_a_backbone_with_pieces_reads_by_them(tmp_path, model):
    """Of the two files of a tokenizer the one that is there, which is part of the weights' identity."""
    made = tiny_cogvideox.write(tmp_path / "made")
    (made / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"missing in .*: tokenizer/tokenizer\.json or spiece\.model"):
        Backbone.from_pretrained(made)
    file = made / "tokenizer" / "spiece.model"
    file.write_bytes(model)
    bb = Backbone.from_pretrained(made)
    assert type(bb.reader) is t5_pieces.Pieces and bb.reader.length == tiny_cogvideox.LENGTH
    before = hashing.weights_hash(made)
    file.write_bytes(model + b" ")
    assert hashing.weights_hash(made) != before


def test_a_missing_package_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UserError, match="needs sentencepiece, which is not installed: pip install") as told:
        t5_pieces.reader(tmp_path, LENGTH)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_damaged_model_is_one_line(content, folder):
    (folder / "tokenizer" / "spiece.model").write_bytes(content)
    with pytest.raises(UserError, match=r"spiece\.model: it is no tokenizer of T5: ") as told:
        t5_pieces.reader(folder, LENGTH)
    assert "\n" not in str(told.value)


def test_a_text_is_not_cleaned(tmp_path):
    """As the pipelines of these families, and unlike Wan's; nor does the tokenizer's own limit count."""
    made = tiny_ltx.write(tmp_path / "made")
    config = made / "tokenizer" / "tokenizer_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_max_length": 8}))
    reader = t5_pieces.reader(made, 128)
    assert reader.length == 128 and reader.composed("a &amp;  dog") == "a &amp;  dog"
    assert torch.tensor(reader.token_ids("a dog")).shape == (128,)
