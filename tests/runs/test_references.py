"""References: what of a folder counts, and the names that tell blocks apart; no fault in one costs the others."""

import os
from pathlib import Path

import pytest
from fake_lab import Encoder, FakeLab, InlineEngine
from reference_runs import SPEC, clip, fill, rows, run

from ivgbench.errors import UserError
from ivgbench.report import render, tables
from ivgbench.runs import references, runner
from ivgbench.runs.planning import make_plan
from ivgbench.runs.reference_folders import files
from ivgbench.runs.spec import RunSpec, load_spec
from ivgbench.store.runs import Store

# ---- folders


def test_what_is_hidden_or_left_by_a_system_is_no_video(tmp_path):
    folder = fill(tmp_path / "real", 0, 1)
    for hidden in ("__MACOSX", ".ipynb_checkpoints", "deep/.git", "@eaDir"):
        fill(folder / hidden, 2)
    for name in ("._0.mkv", ".2.mkv", "Thumbs.db"):
        (folder / name).write_bytes(clip(2))
    fill(folder / "deep", 3)
    assert [path.name for path in files(folder)] == ["0.mkv", "1.mkv", "3.mkv"]
    # A folder that is itself hidden is one that was asked for.
    assert len(files(folder.rename(tmp_path / ".hidden"))) == 3


def test_linked_folders_count_once_and_loops_end(tmp_path):
    folder, beside, _ = fill(tmp_path / "real", 0), fill(tmp_path / "beside", 1, 2), fill(tmp_path / "above", 3)
    for name, target in {"there": beside, "again": beside, "loop": folder, "a": folder, "up": tmp_path}.items():
        (folder / name).symlink_to(target)
    (folder / "linked.mkv").symlink_to(beside / "1.mkv")
    found = files(folder)
    assert sorted(path.resolve().name for path in found) == ["0.mkv", "1.mkv", "2.mkv"]
    linked = tmp_path / "whole"
    linked.symlink_to(folder)
    assert [path.resolve() for path in files(linked)] == [path.resolve() for path in found]


def test_copies_count_once_with_a_note(tmp_path, capsys):
    folder = fill(tmp_path / "real", 0, 1, 2)
    (folder / "copy.mkv").write_bytes((folder / "0.mkv").read_bytes())
    (folder / "other-bytes.mkv").write_bytes((folder / "1.mkv").read_bytes() + b"\xec\x80")
    run(tmp_path, folder)
    row = rows(tmp_path)["real", "plain"]
    assert row["reference_videos"] == 3 and len(row["reference_copies"]) == 2
    pairs = [{copy, first} for copy, first in row["reference_copies"].items()]
    assert sorted(pairs, key=min) == [{"0.mkv", "copy.mkv"}, {"1.mkv", "other-bytes.mkv"}]
    assert "2 copies" in capsys.readouterr().err
    # Few are asked for: another one takes the place of a copy.
    assert run(tmp_path, folder, reference_videos=3).failed == 0
    assert rows(tmp_path)["real", "plain"]["reference_videos"] == 3


def spoil(folder):
    """Three files that cannot be read."""
    whole = (folder / "0.mkv").read_bytes()
    (folder / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    (folder / "text.mp4").write_text("no video")
    (folder / "gone.mp4").symlink_to(folder / "nowhere.mp4")
    return {"cut.mkv", "text.mp4", "gone.mp4"}


def test_unreadable_files_are_left_out_named_and_counted(tmp_path, capsys):
    folder = fill(tmp_path / "real", 0, 1, 2)
    bad = spoil(folder)
    run(tmp_path, folder)
    said, row = capsys.readouterr().err, rows(tmp_path)["real", "plain"]
    assert row["reference_videos"] == 3 and set(row["reference_unreadable"]) == bad
    assert "the file ends early" in row["reference_unreadable"]["cut.mkv"]
    assert str(folder) not in row["reference_unreadable"]["text.mp4"]
    for name in bad:
        assert f"reference real: left out: {name}: " in said
    assert "left out: 3 not read, 0 copies" in said
    clean = fill(tmp_path / "clean", 0, 1, 2)
    run(tmp_path, clean)
    assert rows(tmp_path)["clean", "plain"]["metrics"] == row["metrics"]


def test_names_that_are_no_text_stay_on_their_line(tmp_path, capsys):
    folder, name = fill(tmp_path / "real", 0, 1), "a\nb\udce9.mkv"
    (folder / name).write_bytes(b"")
    run(tmp_path, folder)
    assert rows(tmp_path)["real", "plain"]["reference_unreadable"] == {"a\\nb\\udce9.mkv": "the file is empty"}
    assert "left out: a\\nb\\udce9.mkv: the file is empty\n" in capsys.readouterr().err
    built = tables.build(2, tmp_path, "r")
    for path in render.write(built, tmp_path / "tables"):
        assert path.suffix == ".csv" or "b\\udce9.mkv" in path.read_text().replace("textbackslash{}", "")


def test_a_pipe_is_not_waited_for(tmp_path):
    folder = fill(tmp_path / "real", 0, 1)
    os.mkfifo(folder / "pipe.mkv")
    run(tmp_path, folder)
    assert rows(tmp_path)["real", "plain"]["reference_unreadable"] == {"pipe.mkv": "it is no file that could be read"}


def test_strict_refuses_after_everything_else_is_done(tmp_path):
    folder, good = fill(tmp_path / "real", 0, 1, 2), fill(tmp_path / "good", 3, 4)
    spoil(folder)
    with pytest.raises(
        runner.NotCompared, match=r"real: (cut.mkv|text.mp4|gone.mp4): .*3 such files; --strict"
    ) as said:
        run(tmp_path, folder, good, strict=True)
    assert said.value.outcome.failed == 0 and "\n" not in str(said.value)
    assert {reference for reference, _ in rows(tmp_path)} == {"good"}
    run(tmp_path, good, strict=True)


def test_a_reference_that_cannot_be_used_costs_no_score_and_no_other_block(tmp_path):
    folder, good = fill(tmp_path / "real", 0), fill(tmp_path / "good", 3, 4)
    spoil(folder)
    with pytest.raises(runner.NotCompared, match=r"at least 2 videos are needed, and it has 1 .*not read: 3"):
        run(tmp_path, folder, good, "world")
    assert {reference for reference, _ in rows(tmp_path)} == {"good", "world"}
    status = {row["status"] for row in Store(tmp_path).load_rows("r")[0]}
    assert status <= {"ok", "undefined"}


class FaultyEncoder(Encoder):
    """Fails on short videos."""

    def embed_video(self, video):
        if len(video) < 8:
            raise UserError("too short")
        return super().embed_video(video)


def test_a_video_that_cannot_be_embedded_costs_its_block_only(tmp_path, monkeypatch):
    short, good = tmp_path / "short", fill(tmp_path / "good", 3, 4)
    fill(short, 0, 1)
    (short / "2.mkv").write_bytes(clip(2, frames=5))
    monkeypatch.setattr(FakeLab, "frame_encoder", lambda self, name, clip: FaultyEncoder(self.log.with_name("e"), name))
    monkeypatch.setattr(FakeLab, "frame_encoder_id", lambda self, name, clip: name)
    with pytest.raises(runner.NotCompared, match=r"^c\w+: too short(; c\w+: too short)?$"):
        run(tmp_path, short, good)
    assert {reference for reference, _ in rows(tmp_path)} == {"good"}


def test_a_file_that_changes_meanwhile_is_noticed(tmp_path):
    folder = fill(tmp_path / "real", 0, 1)
    lab = FakeLab(tmp_path / "log")
    plan = make_plan(RunSpec(**{**SPEC.__dict__, "references": (str(folder),)}), lab)
    chosen = references.gather(str(folder), "real", 2, plan, Store(tmp_path), lab, InlineEngine())
    chosen.videos[0].path.write_bytes(clip(5))
    with pytest.raises(UserError, match="was changed while"):
        chosen.videos[0].load()


def test_turned_references_are_looked_at_anew(tmp_path):
    """Features are cached by the pixels that a player shows, not by the file."""
    folder = fill(tmp_path / "real", 0, 1)
    run(tmp_path, folder)
    before = (tmp_path / "embedded").read_text()
    moved = folder.rename(tmp_path / "moved")
    for path in moved.iterdir():
        path.write_bytes(path.read_bytes() + b"\xec\x80")
    run(tmp_path, moved)
    assert (tmp_path / "embedded").read_text() == before


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the superuser reads everything")
def test_a_closed_folder_is_named(tmp_path):
    folder = fill(tmp_path / "real", 0, 1)
    closed = fill(folder / "closed", 2)
    closed.chmod(0)
    try:
        run(tmp_path, folder)
    finally:
        closed.chmod(0o700)
    assert "cannot be opened" in rows(tmp_path)["real", "plain"]["reference_unreadable"]["closed"]


# ---- names


def test_names_tell_sources_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("a/videos", "b/videos", "x/b/videos", "world", "other/suite"):
        (tmp_path / place).mkdir(parents=True)
    named = references.named(
        ["a/videos", "b/videos", "x/b/videos", "world", "./world", "other/suite", "a/../a/videos/"]
    )
    top = tmp_path.name
    assert list(named.values()) == ["a/videos", f"{top}/b/videos", "x/b/videos", "world", f"{top}/world", "other/suite"]
    assert references.named([str(tmp_path / "a" / "videos")]) == {str(tmp_path / "a" / "videos"): "videos"}


def test_two_folders_of_one_name_are_two_blocks(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(tmp_path / "a" / "videos", 0, 1), fill(tmp_path / "b" / "videos", 2, 3), fill(tmp_path / "world", 4, 5)
    run(tmp_path, "a/videos", "b/videos", "world", "./world")
    found = rows(tmp_path)
    assert {reference for reference, _ in found} == {"a/videos", "b/videos", "world", f"{tmp_path.name}/world"}
    assert found["world", "plain"]["reference_videos"] == 10
    assert found[f"{tmp_path.name}/world", "plain"]["reference_videos"] == 2


def test_a_folder_in_a_spec_stays_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r.toml").write_text('name = "r"\nmethods = ["plain"]\nreferences = ["world", "./world", "real"]\n')
    for spec in (Path("r.toml"), tmp_path / "r.toml"):
        assert load_spec(spec).references == ("world", str(tmp_path / "world"), str(tmp_path / "real"))
