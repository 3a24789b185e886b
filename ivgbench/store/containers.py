"""What a video's container says of its own length and content, against what is there.

A decoder reads a file that ends early up to its end and says nothing. Containers mostly state how long they are: boxes
(MP4, MOV), elements (Matroska, WebM), chunks (AVI), objects (WMV), blocks up to a trailer (GIF), packets (MPEG-PS and
-TS). Matroska files often carry checksums as well. Streams without any such statement (a live WebM, a bare elementary
stream, an MPEG-TS cut between two packets) cannot be told from shorter ones.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from typing import BinaryIO, Literal

#: Types of boxes that MP4 and MOV files begin with, or have at the top. Makers of cameras add their own.
BOXES = frozenset(
    b"ftyp styp moov mdat moof mfra free skip wide uuid meta sidx ssix prft emsg pnot pdin udta imda".split()
)
EBML, SEGMENT, CLUSTER, CRC_32, VOID = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0xBF, 0xEC
#: Elements between the clusters of a Matroska segment.
SEGMENT_PARTS = frozenset((CLUSTER, VOID, CRC_32, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469,
                           0x1043A770, 0x1254C367))  # fmt: skip
#: The first bytes of WMV's header and of its data object.
ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
#: Lengths of MPEG-TS packets, and where in them the first sync byte stands (plain, with a time stamp, with parity).
TS_PACKETS = ((188, 0), (192, 4), (204, 0))


def fault(file: BinaryIO) -> str | None:
    """What is wrong with an open video file as a container, in words; None when nothing is, or nothing can be known.

    Leaves the file at its beginning.
    """
    total = file.seek(0, os.SEEK_END)
    if not total:
        return "the file is empty"
    file.seek(0)
    head = file.read(1024)
    walk = _walker(head)
    found = None if walk is None else walk(file, total)
    file.seek(0)
    return found


def _walker(head: bytes) -> Callable[[BinaryIO, int], str | None] | None:
    if head[4:8] in BOXES:
        return _boxes
    for magic, walk in (
        (EBML.to_bytes(4, "big"), _elements), (b"RIFF", _chunks), (b"GIF8", _blocks), (ASF_HEADER, _objects),
        (b"\0\0\1\xba", _packs),
    ):  # fmt: skip
        if head.startswith(magic):
            return walk
    return _packets if any(_in_step(head, *kind) for kind in TS_PACKETS) else None


def _short(part: str, end: int, total: int) -> str:
    return f"the file ends early: {part} goes on to byte {end}, and the file has {total}"


def _number(file: BinaryIO, count: int, order: Literal["little", "big"] = "big") -> int:
    return int.from_bytes(file.read(count), order)


def _boxes(file: BinaryIO, total: int) -> str | None:
    """MP4, MOV: a size and a type, one box after another; frames and their index are boxes of their own."""
    at, seen = 0, set()
    while at < total:
        file.seek(at)
        size, kind, head = _number(file, 4), file.read(4), 8
        if at + 8 > total:
            if _is_padding(file, at):
                break
            return _short("a box", at + 8, total)
        if size == 1:
            size, head = _number(file, 8), 16
        if kind not in BOXES and not (_is_type(kind) and head <= size <= total - at):
            if b"moov" in seen:
                break
            return None  # what it is cannot be known, nor whether the index stands behind it
        seen.add(kind)
        if size < head:  # 0: to the end of the file, wherever that is
            break
        if at + size > total:
            return _short(f"its {kind.decode()} box", at + size, total)
        at += size
    return None if b"moov" in seen else "the file ends early: it has no index of its frames (moov)"


def _is_type(kind: bytes) -> bool:
    """Whether it can be the type of a box: four printable characters."""
    return all(32 <= one < 127 for one in kind)


def _is_padding(file: BinaryIO, at: int) -> bool:
    """Whether nothing but zeros and line ends follow."""
    file.seek(at)
    return not file.read(1024).strip(b"\0\r\n")


def _elements(file: BinaryIO, total: int) -> str | None:
    """Matroska, WebM: elements in elements; of clusters of frames the checksum as well, where they carry one."""
    at = 0
    while at < total:
        kind, size, start = _element(file, at)
        if kind not in (EBML, SEGMENT, VOID, CRC_32):
            return None
        if size is not None and start + size > total:
            return _short("its segment", start + size, total)
        wrong = _clusters(file, start, total if size is None else start + size, total) if kind == SEGMENT else None
        if wrong or size is None:
            return wrong
        at = start + size
    return None


def _clusters(file: BinaryIO, at: int, end: int, total: int) -> str | None:
    while at < end:
        kind, size, start = _element(file, at)
        if kind not in SEGMENT_PARTS or size is None:
            return None
        if start + size > total:
            return _short("a cluster of frames" if kind == CLUSTER else "an element", start + size, total)
        if kind == CLUSTER:
            inner, length, content = _element(file, start)
            if inner == CRC_32 and length == 4:
                file.seek(content)
                stated, covered = _number(file, 4, "little"), file.read(start + size - content - 4)
                if zlib.crc32(covered) != stated:
                    return f"the file is damaged: the checksum of the frames from byte {at} on is wrong"
        at = start + size
    return None


def _element(file: BinaryIO, at: int) -> tuple[int, int | None, int]:
    """(id, size, where the content starts) of an EBML element; size None where it is open."""
    file.seek(at)
    first = _number(file, 1)
    kind = first
    for _ in range(8 - first.bit_length() if first else 8):
        kind = kind << 8 | _number(file, 1)
    first = _number(file, 1)
    more = 8 - first.bit_length() if first else 8
    size = first & (0x7F >> more)
    for _ in range(more):
        size = size << 8 | _number(file, 1)
    return kind, None if size == (1 << 7 * (more + 1)) - 1 else size, file.tell()


def _chunks(file: BinaryIO, total: int) -> str | None:
    """AVI: one RIFF chunk, or several of up to a gigabyte."""
    at = 0
    while at + 8 <= total:
        file.seek(at)
        if file.read(4) != b"RIFF":
            break
        size = _number(file, 4, "little")
        if size in (0, 0xFFFFFFFF):  # never filled in
            break
        if at + 8 + size > total:
            return _short("its RIFF chunk", at + 8 + size, total)
        at += 8 + size + size % 2
    return None


def _objects(file: BinaryIO, total: int) -> str | None:
    """WMV (ASF): a name of 16 bytes and a size; header, frames, index."""
    at = 0
    while at < total:
        file.seek(at)
        name, size = file.read(16), _number(file, 8, "little")
        if at + 24 > total and any(name):
            return _short("a part of it", at + 24, total)
        if size < 24 or (name == ASF_DATA and size <= 50):  # padding, or frames as they came: a broadcast
            break
        if at + size > total:
            return _short("a part of it", at + size, total)
        at += size
    return None


def _blocks(file: BinaryIO, total: int) -> str | None:
    """GIF: blocks up to a trailer."""
    file.seek(10)
    _skip_table(file, _number(file, 1))
    file.seek(2, os.SEEK_CUR)
    while file.tell() < total:
        kind = file.read(1)
        if kind == b";":
            return None
        if kind == b"!":
            file.seek(1, os.SEEK_CUR)
        elif kind == b",":
            file.seek(8, os.SEEK_CUR)
            _skip_table(file, _number(file, 1))
            file.seek(1, os.SEEK_CUR)
        else:
            return None
        while length := _number(file, 1):
            file.seek(length, os.SEEK_CUR)
    return f"the file ends early: it has {total} bytes and no end mark"


def _skip_table(file: BinaryIO, flags: int) -> None:
    if flags & 0x80:
        file.seek(3 << (flags & 7) + 1, os.SEEK_CUR)


def _packs(file: BinaryIO, total: int) -> str | None:
    """MPEG program stream (.mpg): start codes, each with its length."""
    at = 0
    while at < total:
        file.seek(at)
        head = file.read(14)
        code = head[3:4]
        if head[:3] != b"\0\0\1"[: len(head)] or code == b"\xb9":
            return None
        if code == b"\xba":
            size = 14 + (head[13] & 7 if len(head) == 14 else 0) if head[4:5] >= b"\x40" else 12
        elif code >= b"\xbb":
            size = 6 + int.from_bytes(head[4:6], "big")
        elif len(head) >= 4:
            return None
        else:
            size = 4
        if at + size > total:
            return _short("a packet", at + size, total)
        at += size
    return None


def _packets(file: BinaryIO, total: int) -> str | None:
    """MPEG transport stream: packets of one length."""
    file.seek(0)
    head = file.read(1024)
    length = next(kind[0] for kind in TS_PACKETS if _in_step(head, *kind))
    rest = total % length
    if not rest or _is_padding(file, total - rest):
        return None
    return _short("its last packet", total - rest + length, total)


def _in_step(head: bytes, length: int, first: int) -> bool:
    return len(head) > 2 * length and all(one == 0x47 for one in head[first::length])
