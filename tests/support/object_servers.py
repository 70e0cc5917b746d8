"""Object store servers on this machine, each a process of its own."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

KEYS = {
    "AWS_ACCESS_KEY_ID": "featx",
    "AWS_SECRET_ACCESS_KEY": "featxsecret",
    "AWS_REGION": "us-east-1",
}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def program(name: str) -> str:
    """Returns a program of the Python environment, or of the system."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed; make test-scale installs it"
    return found


@contextlib.contextmanager
def moto_server() -> Iterator[str]:
    """Runs moto, which asks first and puts then: only one request at a time makes that one step."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    # What an earlier server of this process was given is still there.
    urllib.request.urlopen(urllib.request.Request(f"{address}/moto-api/reset", method="POST")).close()
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()


@contextlib.contextmanager
def running(words: list[str], address: str, log: Path) -> Iterator[str]:
    """Runs a server until the block ends; begins when it answers."""
    with log.open("wb") as output, subprocess.Popen(words, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(address):
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.1)
            yield address
        finally:
            process.kill()


def answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


def make_bucket(address: str, name: str) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        region_name=KEYS["AWS_REGION"],
    )
    client.create_bucket(Bucket=name)


class SeaweedFS:
    """An S3 server that can be ended and started again with what it has."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.address = f"http://127.0.0.1:{self.port}"
        self.start()
        for _ in range(50):  # it answers before it can make buckets
            with contextlib.suppress(Exception):
                make_bucket(self.address, "bucket")
                return
            time.sleep(0.5)
        raise AssertionError("no bucket")

    def start(self) -> None:
        words = [program("weed"), "mini", f"-dir={self.folder}", "-ip=127.0.0.1", f"-s3.port={self.port}"]
        words += [f"-{name}.port={free_port()}" for name in ("master", "volume", "filer")]
        environment = os.environ | KEYS
        self.process = subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        while not answers(self.address):
            time.sleep(0.2)

    def restart(self) -> None:
        self.process.terminate()
        self.process.wait()
        time.sleep(1)
        self.start()


@pytest.fixture
def seaweedfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SeaweedFS]:
    (tmp_path / "weed").mkdir()
    found = SeaweedFS(tmp_path / "weed")
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": found.address}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("FEATX_CACHE", str(tmp_path / "cache"))
    yield found
    found.process.kill()
