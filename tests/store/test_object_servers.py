"""Real servers: one that keeps the condition, and one that ignores it and has to be refused."""

from pathlib import Path

import pytest
from object_servers import KEYS, free_port, make_bucket, program, running

pytestmark = pytest.mark.scale


def at_server(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": address}.items():
        monkeypatch.setenv(name, value)
    make_bucket(address, "bucket")


def test_seaweedfs_is_taken(featx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    port = free_port()
    words = [program("weed"), "mini", f"-dir={tmp_path}", "-ip=127.0.0.1", f"-s3.port={port}"]
    with running(words, f"http://127.0.0.1:{port}", tmp_path / "log") as address:
        at_server(address, monkeypatch)
        outcome = featx("store", "probe", "s3://bucket/store")
    assert outcome.code == 0, outcome.err
    assert "exactly one of 16 writers won in each of 10 races" in outcome.out


def test_rclone_is_refused(featx, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{free_port()}"
    key = ",".join([KEYS["AWS_ACCESS_KEY_ID"], KEYS["AWS_SECRET_ACCESS_KEY"]])
    (tmp_path / "files").mkdir()
    words = [program("rclone"), "serve", "s3", str(tmp_path / "files"), "--addr", address, "--auth-key", key]
    with running(words, f"http://{address}", tmp_path / "log") as url:
        at_server(url, monkeypatch)
        outcome = featx("store", "probe", "s3://bucket/store")
    assert outcome.code == 2
    assert "ignores If-None-Match" in outcome.err
