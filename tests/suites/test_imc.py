"""The released IMC records as suites: axes, resampling, the 34 prompts, and files that are something else."""

import json
import urllib.error
import urllib.request

import numpy as np
import pytest

from ivgbench import hub, load_suite, suites
from ivgbench.errors import UserError
from ivgbench.suites import imc


def record(number, caption, subject, motion, boxes, aspect="Rectangle Horizontal", size="Medium"):
    metadata = {"motion": motion, "aspect_ratio": aspect, "bounding_box_size": size}
    return {"id": number, "caption": caption, "subject": subject, "bboxes": boxes, "metadata": metadata}


def moving_down(frame):
    """A box of the file's kind: rows first, 88 pixels wide and 66 high on a canvas of 224, going down."""
    top = 0.1 + 0.02 * frame
    return [top, 0.25, top + 66 / 224, 0.25 + 88 / 224]


RECORDS = [
    record(1, "A Red Fox naps under a pine.", "Red fox ", "Stationary", [[0.1, 0.2, 0.4, 0.6]] * 16),
    record(2, "A bucket sinks into a well.", "Bucket", "Up to down", [moving_down(k) for k in range(16)]),
    record(3, "A bucket sinks into a well.", "Bucket", "Up to down", [moving_down(k) for k in range(16)]),
    record(4, "A spider hides in a shoe.", "Spider", "Left to right", [[0.5, 0.5, 0.75, 0.8]] * 16, "Square", "Small"),
]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "imc_inputs.json"
    path.write_text(json.dumps(RECORDS))
    return path


def test_released_boxes_are_turned_to_x_first_and_resampled(file):
    by_name = {suite.name: suite for suite in imc.read(file)}
    (still,) = by_name["imc-json-static"].cases
    np.testing.assert_allclose(still.subjects[0].boxes, np.tile([0.2, 0.1, 0.6, 0.4], (24, 1)))
    down, _, across = by_name["imc-json-dynamic"].cases
    track = down.subjects[0].boxes
    assert (down.id, down.subjects[0].phrase, len(track)) == ("imc-2", "bucket", 24)
    sides = track[0, 2:] - track[0, :2]
    np.testing.assert_allclose(sides, [88 / 224, 66 / 224], atol=1e-6)  # a wide box is wide
    np.testing.assert_allclose(track[:, 0], 0.25)
    # Linear in time with both ends kept: frame k of 24 lies at k * 15/23 of the 16.
    np.testing.assert_allclose(track[:, 1], 0.1 + 0.02 * np.arange(24) * 15 / 23, atol=1e-6)
    assert across.subjects[0].phrase == "spider"


def test_the_papers_reading_draws_three_boxes_a_prompt_and_split(file):
    by_name = {suite.name: suite for suite in imc.read(file)}
    for split in ("static", "dynamic"):
        cases = by_name[f"imc-{split}"].cases
        # Two of the three prompts, each once however often it is in the file: the spider is among those left out.
        assert [case.id for case in cases] == [
            f"imc-{split}-{index:02d}{letter}" for index in (0, 1) for letter in "abc"
        ]
        assert {case.metadata["split"] for case in cases} == {split}
    travelled = [np.ptp(case.subjects[0].boxes, axis=0) for case in by_name["imc-dynamic"].cases[3:]]
    assert all(moved[1] > moved[0] for moved in travelled)
    assert [s.sha256 for s in imc.read(file)] == [s.sha256 for s in by_name.values()]


def test_the_pinned_file_gives_the_papers_numbers():
    """42 prompts, 17 that stand still and 25 that move; without seven subjects 12 and 22."""
    assert len(imc.LEFT_OUT) == 7 and len(imc.SHA256) == 64 and "/0aa5a86" in imc.URL


def test_imported_suites_are_found_by_name(file):
    assert "imc-static" not in suites.names()
    assert [path.stem for path in suites.import_imc(file)] == list(imc.NAMES)
    assert load_suite("static", backbone="zeroscope").name == "imc-static"
    assert len(load_suite("imc-json-dynamic").cases) == 3


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("not json", "cannot read the IMC records"),
        ("{}", "no list of IMC records"),
        (json.dumps([{"id": 1}]), "record 0: not an IMC record (KeyError"),
        (json.dumps([RECORDS[0], {**RECORDS[1], "id": "../x"}]), "record 1: not an IMC record"),
        (json.dumps([{**RECORDS[0], "subject": "wolf"}]), "'wolf' is not in the prompt"),
        (json.dumps([{**RECORDS[0], "bboxes": [[0, 0, 2, 1]]}]), "leaves the frame"),
    ],
)
def test_other_files_are_refused(tmp_path, content, words):
    path = tmp_path / "imc.json"
    path.write_text(content)
    with pytest.raises(UserError) as fault:
        imc.read(path)
    assert words in str(fault.value) and "imc.json" in str(fault.value)


def test_fetching_checks_the_hash_and_asks_once(tmp_path, monkeypatch):
    source = tmp_path / "served.json"
    source.write_text("[]")
    monkeypatch.setattr(imc, "URL", source.as_uri())
    with pytest.raises(UserError, match="is not the expected file: sha256 4f53cda18c2b instead of 6d584fcb61e6"):
        imc.fetch()
    assert not (hub.home() / "imc_inputs.json").exists()
    monkeypatch.setattr(imc, "SHA256", "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945")
    assert imc.fetch().read_text() == "[]"

    def unreachable(*_, **__):
        raise urllib.error.URLError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", unreachable)
    assert imc.fetch().read_text() == "[]"  # it is there: nothing is asked for
    (hub.home() / "imc_inputs.json").unlink()
    with pytest.raises(UserError, match=r"cannot fetch file:.*no network.*save it as .*imc_inputs\.json"):
        imc.fetch()
