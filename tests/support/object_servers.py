"""Object store servers on this machine, each a process of its own."""

import contextlib
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
    try:
        yield f"http://127.0.0.1:{server.server_port}"
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
