"""Damage of any file of a store is found by `verify`, and never read as numbers."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stores import FORMATS, assert_equal, fingerprint, make_store, numbered, video_info

from featx.errors import FeatxError
from featx.store.index import read_header, read_record
from featx.store.reader import FeatureStore
from featx.store.upkeep.verify import verify
from featx.store.writing.writer import StoreWriter

VIDEOS = numbered([300, 20, 600, 5, 256, 40])


@pytest.fixture(scope="module", params=FORMATS)
def whole(request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_store(tmp_path_factory.mktemp("whole") / "s", VIDEOS, request.param, shard_bytes=5000)
    assert len(list(path.glob("shards/*.json"))) == 3
    assert verify(path).findings == []
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole, tmp_path / "s")


def read_all(store: Path, budget: int) -> int:
    """Reads every video on every path; counts the errors. Numbers that are returned must be right."""
    errors = 0

    def attempt(read: Callable[[FeatureStore], object]) -> None:
        nonlocal errors
        try:
            read(FeatureStore(store, memory_budget_bytes=budget))
        except FeatxError:
            errors += 1

    def one(opened: FeatureStore, name: str) -> None:
        assert_equal(opened[name], VIDEOS[name])

    def window(opened: FeatureStore, name: str) -> None:
        rows = VIDEOS[name].features
        np.testing.assert_array_equal(opened.read_windows([name], 1, len(rows) - 1).features, rows[1:])
        np.testing.assert_array_equal(opened.load([name]).features, rows)

    def stream(opened: FeatureStore) -> None:
        for name, rows, _ in opened.videos():
            assert_equal(rows, VIDEOS[name])

    for name in VIDEOS:
        attempt(lambda opened, name=name: one(opened, name))
        attempt(lambda opened, name=name: window(opened, name))
    attempt(stream)
    return errors


def files_of(store: Path) -> list[Path]:
    return sorted(file for file in store.rglob("*") if file.is_file() and file.name != "lock")


def test_a_flipped_byte_anywhere_is_found_and_never_read(store: Path) -> None:
    rng = np.random.default_rng(5)
    files = files_of(store)
    sizes = np.array([file.stat().st_size for file in files])
    by_size = rng.choice(len(files), 25, p=sizes / sizes.sum())  # most of them in features
    hits = [*by_size, *rng.integers(0, len(files), 25)]  # and in small files too
    raised = 0
    for hit in hits:
        file = files[hit]
        whole = file.read_bytes()
        position = int(rng.integers(len(whole)))
        content = bytearray(whole)
        content[position] ^= int(rng.integers(1, 256))
        file.write_bytes(content)
        place = file.relative_to(store).as_posix()
        assert place in {finding.path for finding in verify(store).findings}, (place, position)
        raised += read_all(store, 0) > 0
        file.write_bytes(whole)
    assert raised > 15
    assert verify(store).findings == [] and read_all(store, 2**20) == 0


def test_any_byte_of_the_json_files_counts(store: Path) -> None:
    record = store / "shards" / "shard-00001.json"
    for file, read in (
        (store / "store.json", lambda: read_header(store)),
        (record, lambda: read_record(record)),
    ):
        whole = file.read_bytes()
        for position in range(0, len(whole), 7 if file == record else 1):
            content = bytearray(whole)
            content[position] ^= 1 << position % 8
            file.write_bytes(content)
            with pytest.raises(FeatxError):
                read()
        file.write_bytes(whole)
        read()


def shorten(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


@pytest.mark.parametrize("harm", [shorten, lengthen, Path.unlink])
def test_files_cut_grown_or_lost_are_found(store: Path, harm: Callable[[Path], None]) -> None:
    for file in files_of(store):
        whole = file.read_bytes()
        harm(file)
        place = file.relative_to(store).as_posix()
        found = {finding.path for finding in verify(store).findings}
        # the last record leaves no gap, but a shard without a record
        assert place in found or f"shards/{file.stem}" in {each.rsplit(".", 1)[0] for each in found}
        if file.suffix == ".json" and file.parent.name == "shards" and harm is Path.unlink:
            # Without its record a shard does not exist: what is left can be read.
            assert read_all(store, 0) > 0
        elif file.name != "zarr.json":  # zarr's own words about an array: our reader does not need them
            assert read_all(store, 0) > 0, place
        file.write_bytes(whole)
    assert verify(store).findings == []


def test_a_lost_shard_with_its_record_leaves_a_gap(store: Path) -> None:
    for entry in store.glob("shards/shard-00001.*"):
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    (finding,) = verify(store).findings
    assert finding.path == "shards/shard-00001.json" and "is missing" in finding.problem


def refill(store: Path, format: str) -> None:
    with StoreWriter(store, fingerprint(), format, shard_bytes=5000) as writer:
        for name, rows in VIDEOS.items():
            if name not in writer.done:
                writer.add(name, rows, video_info(name))


@pytest.mark.parametrize(
    "lost", ["arrays", "record", "both", "header", "everything but arrays", "flip", "partial"]
)
def test_repair_then_the_next_writer_fills_what_was_dropped(whole: Path, store: Path, lost: str) -> None:
    format = FeatureStore(whole).header.format
    (arrays,) = (entry for entry in store.glob("shards/shard-00001.*") if entry.suffix != ".json")
    record, header = store / "shards" / "shard-00001.json", store / "store.json"
    if lost in ("arrays", "both"):
        shutil.rmtree(arrays) if arrays.is_dir() else arrays.unlink()
    if lost in ("record", "both", "everything but arrays"):
        record.unlink()
    if lost in ("header", "everything but arrays"):
        header.unlink()
    if lost == "flip":
        lengthen(record)
    if lost == "partial":
        (store / "shards" / "shard-00003.h5.partial").write_bytes(b"half")
    assert verify(store).findings
    assert verify(store, repair=True).findings
    assert verify(store).findings == []
    left = FeatureStore(store)
    kept = len(VIDEOS) if lost in ("header", "partial") else len(VIDEOS) - 1
    assert 0 < len(left) <= kept and (len(left) == len(VIDEOS)) == (lost in ("header", "partial"))
    assert header.read_bytes() == (whole / "store.json").read_bytes()
    refill(store, format)
    assert verify(store, list(VIDEOS)).findings == []
    assert read_all(store, 0) == 0


def test_a_store_that_cannot_be_repaired_says_so(store: Path) -> None:
    for file in [store / "store.json", *store.glob("shards/*.json")]:
        lengthen(file)
    assert len(verify(store).findings) == 4
    with pytest.raises(
        FeatxError, match="cannot be repaired: neither store.json nor the record of any shard"
    ):
        verify(store, repair=True)
    with pytest.raises(FeatxError, match="not a feature store"):
        verify(store / "shards" / "nowhere")
