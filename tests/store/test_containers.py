"""Files that end early are named as such, wherever they were cut; whole ones never are."""

import io

import pytest
from made_videos import KINDS, made, moving

from ivgbench.errors import UserError
from ivgbench.store import containers
from ivgbench.store.video import decode

#: Kinds that end where any packet ends: there a cut is seen by the decoder, or not at all.
PACKETS = {"h264.ts": 188, "mpeg1.mpg": 2048, "mpeg2.mpeg": 2048}
PARTS = (0.1, 0.3, 0.5, 0.7, 0.9, 0.99)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere_is_refused(kind):
    data = made(kind, moving(12))
    assert containers.fault(io.BytesIO(data)) is None
    for part in PARTS:
        end = int(len(data) * part)
        end += kind in PACKETS and end % PACKETS[kind] == 0
        with pytest.raises(UserError, match=r"the file ends early: "):
            decode(data[:end])
    with pytest.raises(UserError, match=r"the file ends early: "):
        decode(data[:-1])


def test_it_says_how_much_is_there():
    data = made("h264.mkv", moving(12))
    cut = data[: len(data) * 7 // 10]
    with pytest.raises(UserError) as refused:
        decode(cut)
    words = str(refused.value)
    assert f"and the file has {len(cut)}; " in words and "frames of it can be read" in words
    assert f"to byte {len(data)}," in words


def test_an_index_in_front_hides_nothing(tmp_path):
    """MP4 with the index first, whose frames are cut: the index alone promises all of them."""
    data = made("h264.mp4", moving(12))
    moov = data.index(b"moov") - 4
    front, index = data[:moov], data[moov:]
    # Frames move back by the length of the index.
    at = index.index(b"stco") + 12
    for place in range(at, at + 4 * int.from_bytes(index[at - 4 : at], "big"), 4):
        moved = int.from_bytes(index[place : place + 4], "big") + len(index)
        index = index[:place] + moved.to_bytes(4, "big") + index[place + 4 :]
    mdat = front.index(b"free") - 4 if b"free" in front else front.index(b"mdat") - 4
    first = front[:mdat] + index + front[mdat:]
    assert len(decode(first)) == 12
    with pytest.raises(UserError, match="its mdat box goes on to byte"):
        decode(first[: -len(front) // 3])
    # Frames up to the end of the file, as a stream writes them: what is missing is seen by the reader of the index.
    at = first.index(b"mdat") - 4
    streamed = first[:at] + bytes(4) + first[at + 4 :]
    assert containers.fault(io.BytesIO(streamed)) is None and len(decode(streamed)) == 12
    with pytest.raises(UserError, match=r"the video is damaged|cannot read the video"):
        decode(streamed[: len(streamed) - len(front) // 2])


def test_a_missing_index_is_an_early_end():
    data = made("h264.mp4")
    with pytest.raises(UserError, match=r"it has no index of its frames \(moov\)"):
        decode(data[: data.index(b"moov") - 4])


def test_what_stands_behind_the_end_is_no_fault():
    for kind in ("h264.mp4", "h264.mkv", "h264.avi", "gif.gif", "wmv2.wmv"):
        for more in (bytes(3), bytes(1000)):
            assert len(decode(made(kind) + more)) == 8


def test_a_cut_inside_the_head_of_a_part_is_seen():
    for kind, part in (("h264.mp4", b"moov"), ("wmv2.wmv", bytes.fromhex("90080033"))):
        data = made(kind)
        at = data.rindex(part) - (4 if kind == "h264.mp4" else 0)
        for length in (1, 5, 7):
            assert "the file ends early" in containers.fault(io.BytesIO(data[: at + length]))


def test_sizes_that_were_never_filled_in_say_nothing():
    data = made("h264.avi")
    for size in (b"\0\0\0\0", b"\xff\xff\xff\xff"):
        assert containers.fault(io.BytesIO(data[:4] + size + data[8:])) is None
    assert containers.fault(io.BytesIO(made("vp9.webm", mux={"live": "1"}))) is None
    assert containers.fault(io.BytesIO(b"")) == "the file is empty"
    for data in (b"no video at all", b"\0" * 2000):
        assert containers.fault(io.BytesIO(data)) is None


def test_a_cluster_whose_checksum_is_wrong_is_damage():
    data = bytearray(made("hevc.mkv"))
    at = data.rindex(bytes.fromhex("1f43b675"))
    data[at + 200] ^= 1
    assert "the checksum of the frames from byte" in containers.fault(io.BytesIO(bytes(data)))


def test_any_bytes_end_in_a_sentence_or_nothing():
    """Headers that lie: no walk goes on for ever, or beyond the file."""
    import random

    for kind in ("h264.mp4", "vp9.webm", "h264.avi", "gif.gif", "wmv2.wmv", "mpeg1.mpg", "h264.ts"):
        data = made(kind)
        for seed in range(40):
            draw, changed = random.Random(seed), bytearray(data)
            for _ in range(4):
                changed[draw.randrange(min(len(data), 600))] = draw.randrange(256)
            found = containers.fault(io.BytesIO(bytes(changed)))
            assert found is None or found.startswith(("the file ends early: ", "the file is damaged: "))


def test_boxes_of_a_cameras_maker_hide_no_index():
    data = made("h264.mp4")
    start = int.from_bytes(data[:4], "big")
    for kind in (b"AMBA", b"PICT", b"jP  "):
        own = (26).to_bytes(4, "big") + kind + bytes(18)
        other = data[:start] + own + data[start:]
        # Frames stand behind it by now, and the index says where they were.
        assert containers.fault(io.BytesIO(other)) is None
        assert containers.fault(io.BytesIO(data + own)) is None
        assert "its mdat box goes on to byte" in containers.fault(io.BytesIO(other[: data.index(b"mdat") + 40]))
        assert "no index of its frames" in containers.fault(io.BytesIO(data[: data.index(b"moov") - 4] + own))


@pytest.mark.parametrize("kind", ["h264.mp4", "h264.ts", "h264.mkv", "mpeg4.avi", "mpeg1.mpg", "gif.gif"])
@pytest.mark.parametrize("padding", [b"\n", b"\r\n", bytes(3), bytes(100)])
def test_line_ends_and_zeros_behind_a_file_are_no_fault(kind, padding):
    assert len(decode(made(kind) + padding)) == 8
