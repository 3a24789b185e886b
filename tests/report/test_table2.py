import io
import re

import numpy as np
import pytest
from rich.console import Console

from ivgbench.errors import UserError
from ivgbench.report import layout, paper, ranking, render, table, table2, tables
from ivgbench.runs.identity import clips_digest
from ivgbench.store.runs import Store

METHODS = ["mask-norm-tid", "plain", "peekaboo", paper.GROUND_TRUTH, paper.FLOOR]


def set_rows(methods=METHODS, videos=24, expected=24, jobs=("a", "b")):
    """Rows as `runs.sets` stores them, with values that depend on the place of the method only."""
    rows = []
    for reference in ("world", "animals"):
        for place, method in enumerate(methods):

            def frames(scale, place=place):
                fid, across = 10.0 * scale + place, 0.01 * scale + 0.001 * place
                return {
                    "fid": fid, "fid_low": fid - 1, "fid_high": fid + 1, "kid": 0.02 * scale + 0.001 * place,
                    "kid_std": 0.0007, "kid_subset_size": 96, "kid_xvideo": across, "kid_xvideo_low": across - 0.001,
                    "kid_xvideo_high": across + 0.001, "dimension": 64 * scale,
                }  # fmt: skip

            jedi = {"jedi": 2.0 - place / 10, "jedi_unbiased": 1.0, "dimension": 96}
            ends = {"jedi_unbiased_low": None, "jedi_unbiased_high": None}
            rows.append({
                "reference": reference, "label": method, "method": method, "n_videos": videos, "n_frames": 8 * videos,
                "n_expected": expected, "reference_videos": 400, "reference_frames": 3200,
                "clips": clips_digest(dict.fromkeys(jobs)),
                "encoders": {"frames clip": "clip-1", "frames denoiser": "den-1", "video pocket": "vid-1"},
                "content": f"{reference}{method}",
                "metrics": {"frames": {"clip": frames(1), "denoiser": frames(2)}, "video": {**jedi, **ends}},
            })  # fmt: skip
    return rows


@pytest.fixture
def put(tmp_path):
    """Stores a run with set metrics; returns the folder of runs."""

    def into(rows, jobs=("a", "b")):
        store = Store(tmp_path)
        store.save_manifest("table2", {"jobs": [{"job": job} for job in jobs], "backbone": "pocket", "detector": "d"})
        store.save_set_rows("table2", rows)
        return tmp_path

    return into


def test_rows_stand_in_the_papers_order_with_the_references_last(put):
    frame = table(2, runs=put(set_rows()))
    assert frame["method"].tolist() == ["plain", "peekaboo", "mask-norm-tid", "ground-truth", "floor"] * 4
    assert frame["label"].tolist()[:5] == ["Plain", "Peekaboo", "Mask Norm + TID", "Ground truth", "Reference again"]
    assert frame["reference"].tolist() == ["world"] * 10 + ["animals"] * 10
    assert frame["encoder"].tolist() == (["clip"] * 5 + ["denoiser"] * 5) * 2


def test_units_and_the_papers_numbers(put):
    frame = table(2, runs=put(set_rows()))
    line = frame[(frame["method"] == "peekaboo") & (frame["encoder"] == "denoiser")].iloc[0]
    assert (line["fid"], line["fid_low"], line["fid_high"], line["dimension"]) == (22, 21, 23, 128)
    assert (line["kid"], line["kid_std"], line["kid_xvideo"]) == pytest.approx((4.2, 0.07, 2.2))
    assert (line["jedi"], line["jedi_unbiased"], line["n_videos"], line["n_frames"]) == (1.8, 1, 24, 192)
    assert np.isnan(line["jedi_unbiased_low"])
    assert (line["paper_fid"], line["paper_kid"], line["paper_kid_std"], line["paper_jedi"]) == (134.3, 2.03, 0.07, 1.4)
    assert frame[frame["method"] == "plain"]["paper_fid"].isna().all()


def test_methods_are_ranked_within_reference_and_encoder_and_references_never(put):
    frame = table(2, runs=put(set_rows()))
    marks = np.array(ranking.ranks(frame.to_dict("records"), "fid", -1, 2, ("reference", "encoder")))
    for _, group in frame.groupby(["reference", "encoder"]):
        assert marks[group.index].tolist() == [2, 0, 1, 0, 0]


def test_a_partial_run_is_refused_or_says_so(put):
    runs = put(set_rows(videos=20))
    with pytest.raises(UserError, match=r"20 of 24 cases have a clip of every method.*--allow-partial"):
        table(2, runs=runs)
    assert tables.build(2, runs, allow_partial=True).partial.startswith("20 of 24")


def test_runs_without_such_metrics_or_with_older_ones_are_refused(put, tmp_path):
    with pytest.raises(UserError, match="has no FID, KID and JEDi: run it again with --reference"):
        table(2, runs=put([]))
    with pytest.raises(UserError, match="are of other clips than it has now"):
        table(2, runs=put(set_rows(), jobs=("a", "c")))


def printed(built, width):
    console = Console(width=width, file=io.StringIO())
    render.show(built, console)
    return console.file.getvalue()


def test_every_output_has_both_references_both_encoders_and_the_paper(put, tmp_path):
    built = tables.build(2, put(set_rows()))
    files = render.write(built, tmp_path / "out")
    assert [path.name for path in files] == ["table2.csv", "table2.md", "table2.tex"]
    assert files[0].read_text(encoding="utf-8").count("\n") == 21
    markdown = files[1].read_text(encoding="utf-8")
    for text in (markdown, files[2].read_text(encoding="utf-8"), printed(built, 120)):
        assert "Against world" in text and "Against animals" in text and "pocket lab" in text
        assert text.index("Reference again") < text.index("not comparable in absolute value")
        assert "131.19" in text.split("not comparable")[1] and "1.34" in text.split("not comparable")[1]
        assert "24 videos per method, fewer than 100" in " ".join(text.split())
    for block in re.findall(r"(?:^\|.*\n?)+", markdown, re.MULTILINE):
        assert len({line.count("|") for line in block.strip().split("\n")}) == 1
    plain = next(line for line in markdown.splitlines() if line.startswith("| Plain"))
    cells = [cell.strip() for cell in plain.split("|")[2:-1]]
    assert cells[1:5] == ["11.00 [10.00, 12.00]", "2.100 ± 0.070", "1.100 [1.000, 1.200]", "21.00 [20.00, 22.00]"]
    assert cells[-3:] == ["1.90", "1.00", "24/24"]


def test_enough_videos_need_no_warning(put):
    rows = set_rows(videos=120, expected=120)
    assert "WARNING" not in " ".join(tables.build(2, put(rows)).notes)
    few = [{**row, "reference_videos": 99} for row in rows]
    assert "WARNING: 99 videos per reference, fewer than 100" in " ".join(tables.build(2, put(few)).notes)


@pytest.mark.parametrize(
    ("methods", "reference", "few"),
    [(24, 400, "24 videos per method"), (99, 400, "99 videos per method"), (400, 99, "99 videos per reference"),
     (100, 100, None), (400, None, None), (24, None, "24 videos per method")],
)  # fmt: skip
def test_few_videos_mark_no_best_and_say_so(put, tmp_path, methods, reference, few):
    rows = [{**row, "reference_videos": reference} for row in set_rows(videos=methods, expected=methods)]
    for row in rows if reference is None else ():
        known = row["metrics"]["frames"]["clip"]
        row["metrics"] = {"frames": {"clip": {key: value for key, value in known.items() if "kid" not in key}}}
    built = tables.build(2, put(rows))
    _, markdown, tex = (path.read_text(encoding="utf-8") for path in render.write(built, tmp_path / "out"))
    ranked = [cell.rank for block in layout.blocks(built)[:-1] for row in block.rows for cell in row if cell.rank]
    assert bool(ranked) == (few is None)
    for text, mark in ((markdown, "**"), (markdown, "<u>"), (tex, "\\textbf"), (tex, "\\underline")):
        ours = text.split("not comparable")[0]  # the paper's own numbers keep its marks
        assert (mark in ours) == (few is None), mark
    notes = " ".join(built.notes)
    assert (f"WARNING: {few}, fewer than 100" in notes and "none is marked as best" in notes) == (few is not None)
    assert (ranking.RULE in notes) == (few is None)


def test_the_papers_best_are_marked():
    rows = {row[0].text: row for row in layout.paper_table2().rows}
    assert [cell.rank for cell in rows["Mask Norm + TID"][1:]] == [1, 2, 0]
    assert [cell.rank for cell in rows["Mask Norm + ID"][1:]] == [2, 1, 1]


def test_values_of_v_jepa_2_do_not_go_by_the_published_name(put, tmp_path):
    rows = set_rows()
    for row in rows:
        row["metrics"]["video"] = {key.replace("jedi", "jedi_v2"): v for key, v in row["metrics"]["video"].items()}
        row["encoders"] = {"frames clip": "clip-1", "frames denoiser": "den-1", "video vjepa2:folder": "vid-1"}
    built = tables.build(2, put(rows))
    assert "jedi" not in built.frame and built.frame["jedi_v2"].notna().all()
    ours, papers = printed(built, 120).split("not comparable")
    assert "JEDi v2" in ours and "JEDi v2" not in papers and "1.34" in papers


def cells(built):
    """Block title -> its rows as texts, header first; every row has as many cells as the header."""
    made = {}
    for block in layout.blocks(built):
        assert {len(row) for row in block.rows} == {len(block.header)}
        made[block.title] = [block.header, *([cell.text for cell in row] for row in block.rows)]
    return made


def test_without_an_encoder_of_videos_there_is_no_jedi(put):
    rows = set_rows()
    for row in rows:
        del row["metrics"]["video"], row["encoders"]["video pocket"]
    built = tables.build(2, put(rows))
    assert not [column for column in built.frame if column.startswith("jedi")]
    header, *_ = cells(built)["Against world"]
    assert len(header) == 2 + 2 * 3 + 1 and not [name for name in header if "JEDi" in name]
    assert "JEDi: not measured, the run names no encoder of videos" in " ".join(built.notes)


def test_what_is_undefined_is_a_dash_with_its_reason(put, tmp_path):
    rows = set_rows(["plain", "peekaboo"])
    for row in rows:
        row |= {"n_frames": 3, "reference_frames": 5}
        for values in row["metrics"]["frames"].values():
            values |= {"kid": None, "kid_std": None, "kid_subset_size": None}
    built = tables.build(2, put(rows))
    header, first, _ = cells(built)["Against world"]
    assert [cell for name, cell in zip(header, first, strict=True) if name.startswith("KID %")] == ["–", "–"]
    assert [cell for name, cell in zip(header, first, strict=True) if name.startswith("FID")] == ["10.00", "20.00"]
    notes = " ".join(built.notes)
    assert "KID is – where a side has fewer than 4 frames" in notes and "random subsets" not in notes
    for path in render.write(built, tmp_path / "out"):
        assert "nan" not in path.read_text().lower()
    assert "nan" not in printed(built, 200).lower()


def test_a_reference_of_statistics_has_fid_alone_and_for_its_encoder(put, tmp_path):
    rows = [row for row in set_rows(["plain", "peekaboo", paper.FLOOR])
            if (row["reference"], row["label"]) != ("animals", paper.FLOOR)]  # fmt: skip
    for row in rows:
        if row["reference"] == "animals":
            known = {key: value for key, value in row["metrics"]["frames"]["denoiser"].items() if "kid" not in key}
            row |= {"metrics": {"frames": {"denoiser": known}}, "reference_videos": None, "reference_frames": 900}
    built = tables.build(2, put(rows))
    header, plain, peekaboo = cells(built)["Against animals"]
    defined = [name for name, cell in zip(header, plain, strict=True) if cell != "–"]
    assert defined == ["Method", "FID denoiser ↓", "videos"] and peekaboo[5] == "21.00"
    assert len(cells(built)["Against world"]) == 4
    notes = " ".join(built.notes)
    assert "animals: statistics of 900 frames" in notes and "has FID alone" in notes
    csv = render.write(built, tmp_path / "out")[0].read_text()
    assert ",400," in csv and "400.0" not in csv and ",96," in csv


def test_files_that_do_not_count_stand_in_the_notes(put):
    rows = set_rows(["plain"])
    for row in rows:
        row["reference_unreadable"] = (
            {f"{number}.mp4": "why" for number in range(7)} if row["reference"] == "world" else {}
        )
        row["reference_copies"] = {"b_.mp4": "a.mp4"} if row["reference"] == "animals" else {}
    notes = " ".join(tables.build(2, put(rows)).notes)
    assert "frames, not read and left out: 7 (0.mp4, 1.mp4, 2.mp4, 3.mp4, 4.mp4, ...);" in notes
    assert "frames, copies and left out: 1 (b_.mp4)." in notes


def test_a_lone_method_has_no_marks_and_equal_labels_stay_two_rows(put):
    built = tables.build(2, put(set_rows(["plain"])))
    assert not any(cell.rank for block in layout.blocks(built)[:-1] for row in block.rows for cell in row)
    rows = set_rows(["plain", "peekaboo"])
    for row in rows:
        row["label"] = {"plain": "Peekaboo"}.get(row["label"], row["label"])
    assert [row[0] for row in cells(tables.build(2, put(rows)))["Against world"]] == ["Method", "Peekaboo", "Peekaboo"]


def test_encoders_are_told_by_their_files_names(put):
    """A table that is sent around holds no path of a machine, unless nothing else tells two encoders apart."""
    rows = set_rows()
    for row in rows:
        frames = row["metrics"]["frames"]
        row["metrics"]["frames"] = {"inception:/home/me/w/a.pth": frames["clip"], "cells": frames["denoiser"]}
        row["encoders"] = {"frames inception:/home/me/w/a.pth": "1", "frames cells": "2", "video vjepa:/x/b,/x/c": "3"}
    built = tables.build(2, put(rows))
    assert set(built.frame["encoder"]) == {"inception:a.pth", "cells"}
    assert "/home" not in " ".join(built.notes) and "video vjepa:b,c: 3" in built.notes[1]
    told = table2._told(["e:/a/w.pth", "e:/b/w.pth"])
    assert told == {"e:/a/w.pth": "e:/a/w.pth", "e:/b/w.pth": "e:/b/w.pth"}
