"""Where a transport stream misses packets: within a picture, between two, or at its end.

Every packet of 188 bytes carries a counter of its stream (ISO/IEC 13818-1, 2.4.3.3). ffmpeg says that a picture has a
gap in it or behind it, but not which: a decoder may read on across a gap within a picture and notice nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

SYNC = 0x47
PACKET_BYTES = (188, 192, 204)  # plain; with a time stamp in front (Blu-ray, AVCHD); with a checksum behind
BLOCK_PACKETS = 2**14
HEAD_BYTES = 2**16


def misses_within_pictures(path: Path, stream_id: int) -> bool:
    """Whether a stream misses packets anywhere but right behind the last packet of a picture.

    The last packet of a picture is told by the stuffing that fills it up; where none was needed, nobody can tell.
    True too if the file does not look like a transport stream.

    Args:
        path: A transport stream.
        stream_id: Its stream's packet identifier (PID).
    """
    last = np.zeros((0, 188), np.uint8)
    for packets in _packets(path):
        if not len(packets):
            return True
        own = np.concatenate([last, packets[_pids(packets) == stream_id]])
        counters = (own[:, 3] & 15).astype(int)
        has_payload = (own[:, 3] >> 4 & 1).astype(bool)
        expected = np.where(has_payload[1:], counters[:-1] + 1 & 15, counters[:-1])
        is_gap = (counters[1:] != expected) & ~_announces_jump(own[1:])
        begins_picture = (own[1:, 1] >> 6 & 1).astype(bool)
        is_behind = begins_picture & _is_stuffed(own[:-1])
        has_error = (own[:, 1] >> 7).astype(bool)
        if (is_gap & ~is_behind).any() or has_error.any():
            return True
        last = own[-1:]
    return False


def ends_within_picture(path: Path, stream_id: int) -> bool:
    """Whether a recording may have been cut off within its last picture: nothing fills up that one's last packet.

    Args:
        path: A transport stream.
        stream_id: Its stream's packet identifier (PID).
    """
    with path.open("rb") as file:
        size, start = _layout(np.frombuffer(file.read(HEAD_BYTES), np.uint8))
        packets = (file.seek(0, 2) - start) // size
        while packets > 0:
            first = max(packets - BLOCK_PACKETS, 0)
            file.seek(start + first * size)
            block = np.frombuffer(file.read((packets - first) * size), np.uint8).reshape(-1, size)[:, :188]
            own = block[_pids(block) == stream_id]
            if len(own):
                return not bool(_is_stuffed(own[-1:])[0])
            packets = first
    return True


def _pids(packets: np.ndarray) -> np.ndarray:
    pids: np.ndarray = (packets[:, 1].astype(int) & 0x1F) << 8 | packets[:, 2]
    return pids


def _announces_jump(packets: np.ndarray) -> np.ndarray:
    """Returns (n,) bool: the adaptation field says that the counter begins anew."""
    announces: np.ndarray = _has_field(packets) & (packets[:, 4] > 0) & (packets[:, 5] >> 7).astype(bool)
    return announces


def _is_stuffed(packets: np.ndarray) -> np.ndarray:
    """Returns (n,) bool: bytes without meaning fill the packet up."""
    flags = packets[:, 5].astype(int)
    needed = 1 + 6 * (flags >> 4 & 1) + 6 * (flags >> 3 & 1) + (flags >> 2 & 1)  # clocks, splice countdown
    is_longer = (packets[:, 4].astype(int) > needed) & (flags & 3 == 0)  # no private data, no extension
    stuffed: np.ndarray = _has_field(packets) & (is_longer | (packets[:, 4] == 0))
    return stuffed


def _has_field(packets: np.ndarray) -> np.ndarray:
    return (packets[:, 3] >> 5 & 1).astype(bool)


def _packets(path: Path) -> Iterator[np.ndarray]:
    """Yields the packets, (n, 188) uint8, block by block; an empty block if they cannot be found."""
    with path.open("rb") as file:
        head = np.frombuffer(file.read(HEAD_BYTES), np.uint8)
        size, start = _layout(head)
        file.seek(start)
        while block := file.read(size * BLOCK_PACKETS):
            packets = np.frombuffer(block[: len(block) // size * size], np.uint8).reshape(-1, size)[:, :188]
            if len(packets) and (packets[:, 0] != SYNC).any():
                yield packets[:0]
                return
            if len(packets):
                yield packets


def _layout(head: np.ndarray) -> tuple[int, int]:
    """Returns the size of a packet and where the first one begins."""
    for size in PACKET_BYTES:
        for start in range(size):
            if len(head) > start + 4 * size and (head[start::size][:-1] == SYNC).all():
                return size, start
    return 188, 0
