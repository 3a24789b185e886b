"""Clips of a request: kept where `compare` keeps them, scored at once, stopped within a step."""

import shlex
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from ivgbench.engines.here import HereEngine
from ivgbench.errors import UserError
from ivgbench.runs import lab
from ivgbench.studio import commands, previews
from ivgbench.studio.making import Warm
from ivgbench.studio.tickets import Stopped, Take, Ticket


def ticket_of(asked):
    return Ticket("t", "s", asked, [Take(method, seed) for seed in asked.seeds for method in asked.methods])


def test_each_clip_is_scored_and_nothing_is_made_twice(maker, asked):
    ticket = ticket_of(asked(seeds="4, 5"))
    maker.work(ticket)
    assert [(one.state, one.done, one.steps) for one in ticket.takes] == [("done", 3, 3)] * 4
    told = ticket.takes[0].result
    scores = {one["name"]: one["value"] for one in told["scores"]}
    assert list(scores) == ["CLIP-SIM", "covered", "mIoU all %", "NFE", "seconds"] and scores["NFE"] == "3"
    assert np.shape(told["asked"]) == np.shape(told["detected"]) == (2, 8, 4) and np.shape(told["iou"]) == (2, 8)
    assert told["iou"][0][0] > 0.8 and told["unscored"] == ""  # the lab draws the first subject's box
    assert maker.store.intact(told["job"]) and len(maker.fake.made()) == 4
    again = ticket_of(asked(seeds="4, 5"))
    maker.work(again)
    assert len(maker.fake.made()) == 4 and again.takes[0].result == told


def test_compare_finds_what_the_studio_made(maker, asked, command_line, monkeypatch, tmp_path):
    maker.work(ticket_of(asked()))
    made = len(maker.fake.made())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "Lab", lambda *_: maker.fake)
    monkeypatch.setattr("ivgbench.engines.local.LocalEngine", lambda workers: HereEngine())
    line = commands.lines(asked(), maker.store.root)[0]
    code, out, err = command_line(*shlex.split(line)[1:])
    assert code == 0 and len(maker.fake.made()) == made, err
    assert (tmp_path / "compare.gif").is_file() and "Mask Norm + TID" in out


def test_a_cancel_stops_within_the_step_and_leaves_no_clip(maker, asked):
    ticket, steps = ticket_of(asked()), []

    def gate(step):
        steps.append(step)
        if step == 2:
            ticket.stop.set()

    maker.fake.gate = gate
    with pytest.raises(Stopped):
        maker.work(ticket)
    assert steps == [1, 2] and maker.fake.made() == [] and ticket.takes[0].state == "making"
    assert list(maker.store.root.rglob("video.mkv")) == [] and list(maker.store.root.rglob("failed.json")) == []


def test_the_network_is_watched_from_within_a_step():
    """Between two steps a method may ask the network many times."""
    torch = pytest.importorskip("torch")

    class Backbone:
        denoiser = torch.nn.Identity()

    class Lab:
        def backbone(self, *key):
            return Backbone()

    warm = Warm(Lab())
    loaded = warm.backbone("a", "float32")
    assert warm.backbone("a", "float32") is loaded and warm.backbone("b", "float32") is not loaded
    assert loaded.denoiser(3) == 3

    def stop():
        raise Stopped

    warm.look = stop
    with pytest.raises(Stopped):
        loaded.denoiser(3)


def test_a_method_that_fails_costs_its_own_clip(maker, asked):
    def gate(step):
        if len(maker.fake.made()) == 0:
            raise MemoryError("no room for\nmasks")

    maker.fake.gate = gate
    ticket = ticket_of(asked(methods=[{"name": "plain", "options": {}}]))
    maker.work(ticket)
    assert ticket.takes[0].state == "failed" and ticket.takes[0].failed == "MemoryError: no room for masks"


def test_without_judges_there_are_clips_and_the_reason(maker, asked, monkeypatch):
    def absent(name):
        raise UserError("its weights are not here")

    monkeypatch.setattr(maker.fake, "detector", absent)
    ticket = ticket_of(asked())
    maker.work(ticket)
    told = ticket.takes[0].result
    assert ticket.takes[0].state == "done" and told["detected"] is None and "not here" in told["unscored"]


@pytest.mark.parametrize(("shape", "kind"), [((8, 48, 80, 3), "image/png"), ((12, 300, 450, 3), "image/webp")])
def test_all_frames_stand_in_one_picture(shape, kind):
    clip = np.zeros(shape, np.uint8)
    clip[5] = 200
    data, told = previews.picture(clip)
    sheet, across = np.asarray(Image.open(BytesIO(data)).convert("RGB")), previews.columns(shape[0])
    high, wide = sheet.shape[0] // -(-shape[0] // across), sheet.shape[1] // across
    row, column = divmod(5, across)
    assert told == kind and min(high, wide) <= 288
    assert sheet[row * high : (row + 1) * high, column * wide : (column + 1) * wide].mean() > 190
    assert sheet.mean() < 200 * 2 / shape[0]
