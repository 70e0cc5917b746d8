"""Folder and object stores hold bytes by key, and decide between writers."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from object_servers import KEYS, make_bucket, moto_server

from featx.errors import FeatxError
from featx.store.backends.interface import Backend, NotThere
from featx.store.backends.open import open_backend
from featx.store.backends.probe import probe

WRITERS = 16


@pytest.fixture(scope="module")
def s3_address() -> Iterator[str]:
    with moto_server() as address:
        make_bucket(address, "bucket")
        yield address


@pytest.fixture(params=["folder", "memory", "s3"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backend:
    if request.param == "folder":
        return open_backend(str(tmp_path / "store"))
    if request.param == "memory":
        return open_backend(f"memory://{uuid.uuid4().hex}")
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_address"))
    return open_backend(f"s3://bucket/{uuid.uuid4().hex}")


def test_what_is_put_is_there(backend: Backend) -> None:
    backend.put("a/b.json", b"one")
    backend.put("a/b.json", b"the second")
    assert backend.get("a/b.json") == b"the second"
    assert backend.size("a/b.json") == 10
    assert backend.get_ranges("a/b.json", [4, 0], [6, 3]) == [b"second", b"the"]


def test_listing_has_what_lies_below_a_folder(backend: Backend) -> None:
    assert list(backend.list()) == []
    for key in ("a/1", "a/b/2", "ab/3"):
        backend.put(key, b"12")
    assert sorted(backend.list("a")) == [("a/1", 2), ("a/b/2", 2)]
    assert {each.key for each in backend.list()} == {"a/1", "a/b/2", "ab/3"}


def test_what_is_not_there_is_named(backend: Backend) -> None:
    backend.delete("nothing")
    for ask in (backend.get, backend.size, lambda key: backend.get_ranges(key, [0], [1])):
        with pytest.raises(NotThere, match="a/nothing: is not there"):
            ask("a/nothing")


def test_what_is_deleted_is_gone(backend: Backend) -> None:
    backend.put("a/b/c", b"1")
    backend.delete("a/b/c")
    assert list(backend.list()) == []
    assert backend.put_if_absent("a/b/c", b"2")


def test_only_the_first_writer_wins_and_its_second_try_is_success(backend: Backend) -> None:
    """A writer whose reply was lost tries again; what it hears then must not make it give its own work up."""
    assert backend.put_if_absent("commit", b"attempt 1")
    assert not backend.put_if_absent("commit", b"attempt 2")
    assert backend.get("commit") == b"attempt 1"


def test_an_object_store_knows_its_own_earlier_success(
    s3_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_address}.items():
        monkeypatch.setenv(name, value)
    backend = open_backend(f"s3://bucket/{uuid.uuid4().hex}")
    assert backend.put_if_absent("commit", b"attempt 1")
    assert backend.put_if_absent("commit", b"attempt 1")


def test_of_many_writers_one_wins(backend: Backend) -> None:
    contents = [str(number).encode() for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        for race in range(5):
            key = f"commits/{race}"
            won = list(pool.map(lambda content, key=key: backend.put_if_absent(key, content), contents))
            assert sum(won) == 1
            assert backend.get(key) == contents[won.index(True)]


def test_probe_leaves_nothing_behind(backend: Backend) -> None:
    found = probe(backend, races=3, writers=4)
    assert (found.races, found.writers) == (3, 4)
    assert found.put_ms > 0 and found.read_ms > 0
    assert list(backend.list()) == []


class Deaf:
    """A store that ignores If-None-Match."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def __getattr__(self, name: str) -> object:
        return getattr(self.backend, name)

    def put_if_absent(self, key: str, content: bytes) -> bool:
        self.backend.put(key, content)
        return True


def test_probe_refuses_a_store_that_ignores_the_condition(tmp_path: Path) -> None:
    with pytest.raises(FeatxError, match="16 of 16 writers .* ignores If-None-Match"):
        probe(Deaf(open_backend(str(tmp_path))))
    assert list(tmp_path.iterdir()) == []


def test_a_private_file_of_a_killed_writer_is_not_listed(tmp_path: Path) -> None:
    backend = open_backend(str(tmp_path))
    backend.put("commits/1", b"1")
    (tmp_path / "commits" / ".featx-new-123").write_bytes(b"half")
    assert [each.key for each in backend.list()] == ["commits/1"]


def test_a_lost_reply_of_link_is_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS the server may have made the link, and the client asks again and hears that the name exists."""
    import os

    link = os.link

    def link_twice(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", link_twice)
    assert open_backend(str(tmp_path)).put_if_absent("commit", b"mine")
    assert (tmp_path / "commit").read_bytes() == b"mine"


def test_command_line(featx, tmp_path: Path) -> None:
    outcome = featx("store", "probe", tmp_path, "--races", 2, "--writers", 3)
    assert outcome.code == 0, outcome.err
    assert "exactly one of 3 writers won in each of 2 races" in outcome.out
    outcome = featx("store", "probe", "ftp://somewhere/else")
    assert outcome.code == 2 and "s3://, gs://, az://" in outcome.err


def test_without_obstore_one_line_says_what_to_install(featx, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "obstore", None)
    outcome = featx("store", "probe", "s3://bucket/store")
    assert outcome.code == 2
    assert outcome.err.splitlines() == [
        "featx: s3://bucket/store: needs obstore; install it with pip install 'featx[cloud]'"
    ]


def test_a_bucket_that_is_not_there(featx, s3_address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": s3_address}.items():
        monkeypatch.setenv(name, value)
    outcome = featx("store", "probe", "s3://no-such-bucket/store")
    assert outcome.code == 2
    assert "s3://no-such-bucket/store" in outcome.err and len(outcome.err.splitlines()) == 1
