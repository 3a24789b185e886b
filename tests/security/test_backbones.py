"""A backbone's folder from elsewhere: what its files name is loaded from diffusers and transformers, never from it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from traps import program

from ivgbench.errors import UserError
from ivgbench.generator import Backbone

TINY = Path(__file__).parents[1] / "golden" / "tiny_t2v"
PLANTED = "planted_pipeline"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A whole backbone with Python files in it, which every config asks for."""
    place = tmp_path / "sprung"
    folder = shutil.copytree(TINY, tmp_path / "backbone")
    for where in (folder, *(one for one in folder.iterdir() if one.is_dir())):
        for name in (PLANTED, "modeling", "pipeline", "tokenization"):
            (where / f"{name}.py").write_text(program(place))
    named = {"auto_map": {key: f"{PLANTED}.Evil" for key in ("AutoConfig", "AutoModel", "AutoTokenizer")}}
    for file in folder.rglob("*.json"):
        content = json.loads(file.read_text())
        if isinstance(content, dict) and "vocab" not in file.name and "index" not in file.name:
            file.write_text(json.dumps({**content, **named, "trust_remote_code": True, "custom_pipeline": PLANTED}))
    monkeypatch.chdir(folder)  # where a planted module would be found by its name
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    yield folder
    assert not place.exists() and PLANTED not in sys.modules


def test_code_beside_the_weights_is_not_run(folder):
    Backbone.from_pretrained(folder)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "tokenizer", "scheduler"])
@pytest.mark.parametrize("library", [PLANTED, "os", "subprocess", "../x"])
def test_an_index_of_other_libraries_loads_none_of_them(folder, part, library):
    index = {"_class_name": f"{library}.Evil", part: [library, "system"], "unet": ["diffusers", "UNet3DConditionModel"]}
    (folder / "model_index.json").write_text(json.dumps({**index, part: [library, "Evil"]}))
    if part == "unet":  # what a folder is said to denoise with decides how it is read
        with pytest.raises(UserError, match="its network is a 'Evil'; one of a UNet3DConditionModel can be loaded"):
            Backbone.from_pretrained(folder)
    else:
        Backbone.from_pretrained(folder)


@pytest.mark.parametrize("part", ["unet", "text_encoder", "scheduler"])
def test_a_config_of_another_class_is_read_as_ours(folder, part):
    name = "scheduler_config.json" if part == "scheduler" else "config.json"
    file = folder / part / name
    wrong = {"_class_name": f"{PLANTED}.Evil", "architectures": [f"{PLANTED}.Evil"]}
    file.write_text(json.dumps({**json.loads(file.read_text()), **wrong}))
    try:
        Backbone.from_pretrained(folder)
    except UserError as fault:
        assert "\n" not in str(fault)


@pytest.mark.parametrize(
    "source",
    ["../../x", "http://example.org/x", "https://example.org/a/b", "file:///etc", "a/../b", "/etc", "owner/../x"],
)
def test_a_source_that_is_neither_folder_nor_name_is_refused(source):
    with pytest.raises(UserError):
        Backbone.from_pretrained(source)
