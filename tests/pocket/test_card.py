"""The card has a part for every base model that ships, and says of the others how to train them."""

import json
import math

import pytest

from ivgbench.files import write_json
from ivgbench.generator.backbones import presets
from ivgbench.pocket import WEIGHTS, card
from ivgbench.pocket.exams import bars, card_text, samples


def record():
    return json.loads((WEIGHTS / "card.json").read_text())


def test_every_model_has_its_part_and_its_column(dit_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", dit_folder)
    kept = record()
    told = json.loads(json.dumps(kept["models"]["pocket"]["exam"]))
    told[bars.PART].update({"clips": 256.0, "coverage": 0.5})
    write_json(samples.exam_folder(tmp_path, "pocket-dit") / "exam.json", told)
    known = card.models(tmp_path, tmp_path / "calibration.json", kept["models"])
    assert list(known) == ["pocket", "pocket-dit"]
    first = kept["models"]["pocket"]
    assert known["pocket"]["exam"] == first["exam"] and known["pocket"]["calibration"] == first["calibration"]
    assert known["pocket-dit"]["exam"] == told and known["pocket-dit"]["calibration"] is None
    assert known["pocket-dit"]["network"]["class"] == "WanTransformer3DModel"
    page = card_text.render({**kept, "models": known})
    part = page[page.index("### pocket-dit") : page.index("## The judges")]
    assert known["pocket-dit"]["examined"] in part and "Calibration" not in part
    assert "**50.0%**, missed" in page and "no weights yet" not in page


def test_a_model_without_weights_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", tmp_path / "dit")
    kept = record()
    known = card.models(tmp_path, tmp_path / "calibration.json", kept["models"])
    line = "pocket-dit has no weights yet; train them: python -m ivgbench.pocket.train dit"
    assert list(known) == ["pocket"] and line in capsys.readouterr().out
    assert card_text.render({**kept, "models": known}).count(f"\n{line}\n") == 1


def test_weights_that_have_not_sat_the_exam_are_told_how_to(dit_folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(presets.POCKETS, "pocket-dit", dit_folder)
    monkeypatch.setattr("sys.argv", ["card", "--work", str(tmp_path)])
    before = (WEIGHTS / "card.json").read_bytes()
    with pytest.raises(SystemExit) as stopped:
        card.main()
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.count("\n") == 1
    assert "run python -m ivgbench.pocket.exam --backbone pocket-dit" in said
    assert (WEIGHTS / "card.json").read_bytes() == before


def test_a_networks_parameters_are_those_of_its_files(dit_folder):
    network = samples.base_model("pocket-dit", dit_folder).denoiser
    assert card.network(dit_folder)["parameters"] == sum(math.prod(one.shape) for one in network.parameters())
