"""Videos as a player shows them; and files with something wrong in them, each refused in one line that says what."""

from pathlib import Path

import av
import numpy as np
import pytest
from made_videos import KINDS, made, moving, only_sound, turned
from PIL import Image

from ivgbench.errors import UserError
from ivgbench.store import decoding
from ivgbench.store.video import decode, decode_own, encode, is_video, pixel_sha256, save


def refusal(data):
    with pytest.raises(UserError) as refused:
        decode(data)
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_good_file_of_any_kind_is_read_whole(kind, tmp_path):
    path = tmp_path / kind
    path.write_bytes(made(kind))
    video = decode(path)
    assert is_video(path) and video.shape == (8, 64, 96, 3) and video.dtype == np.uint8
    assert np.abs(video.astype(int) - moving()).mean() < (40 if kind == "gif.gif" else 12)
    assert np.array_equal(decode(path.read_bytes()), video)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "mpeg1" not in kind and "mpeg2" not in kind])
def test_one_frame_and_odd_sizes_are_no_faults(kind):
    assert len(decode(made(kind, moving(1)))) == 1
    if KINDS[kind][1] not in ("libx264", "libx265", "wmv2"):  # which take even sizes only
        assert decode(made(kind, moving(3, 63, 95))).shape == (3, 63, 95, 3)


@pytest.mark.parametrize("kind", ["h264.mp4", "h264.mkv", "vp9.webm"])
def test_frames_of_unequal_length_are_frames(kind):
    assert len(decode(made(kind, times=[0, 1, 5, 6, 20, 21, 22, 50]))) == 8


@pytest.mark.parametrize(
    ("kind", "mux"),
    [
        ("h264.mp4", {"movflags": "frag_keyframe+empty_moov"}),
        ("vp9.webm", {"live": "1"}),
        ("h264.ts", {"mpegts_m2ts_mode": "1"}),
    ],
)
def test_streams_of_pieces_are_whole(kind, mux):
    assert len(decode(made(kind, mux=mux, gop=3))) == 8


def test_two_streams_behind_each_other_are_one():
    assert len(decode(2 * made("h264.ts"))) == 16


def test_what_is_stored_comes_back_bit_for_bit(tmp_path):
    video = np.random.default_rng(0).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)
    assert np.array_equal(decode(encode(video)), video)
    (tmp_path / "own.mkv").write_bytes(encode(video))
    assert np.array_equal(decode_own(tmp_path / "own.mkv"), video)
    (tmp_path / "own.mkv").write_bytes(b"no video")
    for path in (tmp_path / "own.mkv", tmp_path / "none.mkv"):
        with pytest.raises(UserError, match="cannot read the video"):
            decode_own(path)
    assert pixel_sha256(decode(encode(video))) == pixel_sha256(video)


# ---- turned


#: (a, b, c, d) of a display matrix -> what a player makes of a frame [H,W,3].
TURNS = {
    (1, 0, 0, 1): lambda frame: frame,
    (0, 1, -1, 0): lambda frame: np.rot90(frame, -1),
    (-1, 0, 0, -1): lambda frame: np.rot90(frame, 2),
    (0, -1, 1, 0): lambda frame: np.rot90(frame, 1),
    (-1, 0, 0, 1): lambda frame: frame[:, ::-1],
    (1, 0, 0, -1): lambda frame: frame[::-1],
    (0, 1, 1, 0): lambda frame: frame.swapaxes(0, 1),
    (0, -1, -1, 0): lambda frame: np.rot90(frame, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("matrix", TURNS, ids=str)
@pytest.mark.parametrize("kind", ["h264.mp4", "png.mov", "vp9.mp4", "hevc.mp4", "mjpeg.mov"])
def test_the_display_matrix_is_obeyed(kind, matrix):
    data = made(kind)
    upright, shown = decode(data), decode(turned(data, matrix))
    expected = np.stack([TURNS[matrix](frame) for frame in upright])
    assert np.array_equal(shown, expected)


@pytest.mark.parametrize("matrix", list(TURNS)[:4], ids=str)
def test_another_player_shows_the_same(matrix, tmp_path):
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / "turned.mp4"
    path.write_bytes(turned(made("h264.mp4"), matrix))
    reader, theirs = cv2.VideoCapture(str(path)), []
    while (read := reader.read())[0]:
        theirs.append(read[1][..., ::-1])
    ours = decode(path)
    assert ours.shape == np.shape(theirs) and np.abs(ours.astype(int) - np.array(theirs)).mean() < 1


def test_an_angle_that_is_no_quarter_is_refused():
    frame = np.zeros((4, 6, 3), np.uint8)
    for matrix in ((7, 7, 0, -7, 7, 0, 0, 0, 1), (0, 7, 0, 7, 7, 0, 0, 0, 1)):
        with pytest.raises(decoding.NotShown, match="no quarter turn"):
            decoding.turned(frame, matrix)
    assert decoding.turned(frame, (0,) * 9).shape == frame.shape
    assert decoding.turned(frame, (5, 65536, 0, -65536, 3, 0, 0, 0, 1)).shape == (6, 4, 3)


# ---- damaged


def hit(data, seed, hits=12):
    """The file with some bytes of its second half changed; never the last tenth, where an index may be."""
    rng, changed = np.random.default_rng(seed), bytearray(data)
    for at in rng.integers(len(data) * 4 // 10, len(data) * 8 // 10, hits):
        changed[at] ^= int(rng.integers(1, 256))
    return bytes(changed)


#: Kinds whose decoder, or container, sees nearly any such damage.
CHECKED = ["h264.mp4", "h264.mkv", "hevc.mkv", "mpeg4.m4v", "vp9.webm", "vp9.mp4", "ffv1.mkv", "ffv1.avi", "png.mov"]


@pytest.mark.parametrize("kind", CHECKED)
def test_damage_that_the_decoder_hides_is_found(kind):
    noise = np.random.default_rng(1).integers(0, 60, (8, 64, 96, 3), dtype=np.uint8)
    data = made(kind, moving() // 2 + noise)
    found = 0
    for seed in range(6):
        try:
            decode(hit(data, seed))  # an encoder's bytes differ from machine to machine: some damage may be legal
        except UserError as fault:
            assert "damaged" in (said := str(fault)) or "cannot read" in said, said
            found += 1
    assert found >= 4


@pytest.mark.parametrize("kind", KINDS)
def test_no_damage_ends_in_anything_but_a_line(kind):
    data = made(kind)
    for seed in range(6):
        changed = bytearray(data)
        rng = np.random.default_rng(seed)
        for at in rng.integers(0, len(data), 3):
            changed[at] ^= int(rng.integers(1, 256))
        try:
            assert decode(bytes(changed)).dtype == np.uint8
        except UserError as fault:
            assert "\n" not in str(fault)


def test_damage_is_found_again_at_the_second_reading():
    data = hit(made("h264.mp4", np.random.default_rng(0).integers(0, 256, (8, 64, 96, 3), dtype=np.uint8)), 0)
    first = refusal(data)
    assert "damaged" in first and refusal(data) == first


def test_what_is_no_fault_of_the_video_is_not_held_against_it(monkeypatch):
    data, shown = made("h264.mov", sound=True), decoding._shown

    def saying(name, text):
        def speak(frame):
            av.logging.log(av.logging.ERROR, name, f"{text}\n")
            return shown(frame)

        monkeypatch.setattr(decoding, "_shown", speak)

    for name, text in (("pcm_s16le", "invalid PCM packet"), ("mpeg4", "low_delay flag set incorrectly, clearing it")):
        saying(name, text)
        assert len(decode(data)) == 8
    saying("h264", "error while decoding MB 0 9")
    assert refusal(data) == "clip: the video is damaged: h264: error while decoding MB 0 9"


def test_listening_leaves_the_log_as_it_was():
    before = av.logging.get_level(), av.logging.get_skip_repeated()
    decode(made("h264.mp4"))
    refusal(b"no video")
    assert (av.logging.get_level(), av.logging.get_skip_repeated()) == before


def test_a_lost_packet_is_damage():
    data = made("h264.ts", moving(24, 96, 160))
    packets = [data[at : at + 188] for at in range(0, len(data), 188)]
    video = [number for number, packet in enumerate(packets) if packet[1] & 31 == 1 and packet[2] == 0]
    gone = video[len(video) // 2]
    assert "damaged" in refusal(b"".join(packets[:gone] + packets[gone + 1 :]))
    # One that the decoder does not miss.
    packets[gone] = packets[gone][:3] + bytes([packets[gone][3] ^ 7]) + packets[gone][4:]
    assert refusal(b"".join(packets)) == "clip: the video is damaged: mpegts: a part of the stream is missing"


# ---- nothing to show


def test_a_size_that_changes_is_named():
    joined = made("h264.ts") + made("h264.ts", moving(4, 32, 48))
    assert refusal(joined) == "clip: the frame size changes inside the file: 8 frames of 96x64, then 48x32"


def test_sound_alone_is_said():
    assert refusal(only_sound()) == "clip: there is only sound in it, no video"
    assert len(decode(made("h264.mov", sound=True))) == 8


def test_what_is_no_video_is_said(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("no video")
    for name in ("text.mp4", "nowhere.mp4"):
        assert f"{name}: cannot read the video: " in refusal(tmp_path / name)
    assert refusal(tmp_path / "empty.mp4").endswith("empty.mp4: the file is empty")
    assert "No such file" in refusal(tmp_path / "nowhere.mp4")


def test_a_picture_and_a_list_of_files_are_no_videos(tmp_path):
    for kind in ("png", "jpeg", "bmp"):
        Image.fromarray(moving()[0]).save(tmp_path / "picture.mp4", kind)
        assert f"it is no video but a picture ({kind})" in refusal(tmp_path / "picture.mp4")
    (tmp_path / "clip.mp4").write_bytes(made("h264.mp4"))
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    assert "it is no video but a list of other files" in refusal(tmp_path / "list.mp4")


@pytest.mark.parametrize(
    "name", ["wolf:running.mp4", "http:wolf.mp4", "concat:a|b.mp4", "%03d.gif", "-x.mp4", "a\nb.mp4"]
)
def test_a_file_may_be_called_anything(name, tmp_path, monkeypatch):
    """Names of prompts are often read from the folder that holds them: nothing stands before the colon then."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(made("gif.gif"))
    assert len(decode(Path(name))) == 8
    Path(name).write_bytes(made("ffv1.mkv"))
    assert len(decode_own(Path(name))) == 8


def test_metadata_in_any_encoding_is_no_fault():
    data = made("h264.mp4", mux={"brand": "isom"})
    at = data.index(b"Lavf")
    assert len(decode(data[:at] + b"\xe9\xff\xe8\xfc" + data[at + 4 :])) == 8


def test_hidden_files_are_no_videos(tmp_path):
    for name in ("a.mp4", "._a.mp4", ".b.mkv", "c.MOV", "d.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "folder.mp4").mkdir()
    assert sorted(path.name for path in tmp_path.iterdir() if is_video(path)) == ["a.mp4", "c.MOV"]


def test_saved_clips_are_readable(tmp_path):
    save(tmp_path / "clip.mkv", moving())
    save(tmp_path / "clip.mp4", moving())
    assert np.array_equal(decode(tmp_path / "clip.mkv"), moving())
    assert min(decode(tmp_path / "clip.mp4").shape[1:3]) >= 320
