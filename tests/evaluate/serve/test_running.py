"""The command itself: many requests at once over a real connection, memory, and its end."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from explorer import serving
from stores import make_store, video
from synthetic import tiny_fingerprint

pytest.importorskip("uvicorn")
psutil = pytest.importorskip("psutil")


def get(address: str) -> bytes:
    with urllib.request.urlopen(address, timeout=60) as answer:
        return answer.read()


def test_fifty_requests_at_once_are_all_answered_in_bounded_memory(served_store: Path) -> None:
    with serving(served_store) as address:
        (server,) = (
            one for one in psutil.Process().children(True) if "serve" in one.cmdline() and served_store.name
        )
        queries = [f"a star number {number}" for number in range(50)]

        def asked(query: str) -> dict:
            path = f"/api/search?level=frames&top=5&q={query.replace(' ', '+')}"
            return json.loads(get(address + path))

        with ThreadPoolExecutor(50) as pool:
            together = list(pool.map(asked, queries))
            before = server.memory_info().rss
            for _ in range(4):
                again = list(pool.map(asked, queries))
            after = server.memory_info().rss
        alone = [asked(query) for query in queries[:5]]
        assert all(len(one["hits"]) == 5 for one in together)
        assert [one["hits"] for one in again] == [one["hits"] for one in together]
        assert [one["hits"] for one in alone] == [one["hits"] for one in together[:5]]
        assert after - before < 64 * 2**20


def test_half_a_request_keeps_nobody_waiting(served_store: Path) -> None:
    with serving(served_store) as address:
        host, _, port = address.removeprefix("http://").partition(":")
        slow = [socket.create_connection((host, int(port))) for _ in range(60)]
        for one in slow:
            one.sendall(b"POST /api/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\n")
        assert json.loads(get(f"{address}/api/search?q=a+star"))["hits"]
        for one in slow:
            one.close()


def test_it_ends_at_once_when_asked_to(served_store: Path) -> None:
    command = [sys.executable, "-m", "featx", "serve", str(served_store), "--port", "0"]
    for number in (signal.SIGINT, signal.SIGTERM):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        assert "http://127.0.0.1:" in process.stderr.readline()
        process.send_signal(number)
        code, said = process.wait(20), process.stderr.read()
        process.stderr.close()
        assert code == 130, said
        assert "Traceback" not in said and "stopped" in said


def test_a_port_that_is_taken_is_named(served_store: Path, featx) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = featx("serve", served_store, "--port", taken.getsockname()[1])
    assert outcome.code == 2 and "take another --port" in outcome.err


def test_what_is_not_there_is_named(tmp_path: Path, served_store: Path, featx) -> None:
    assert "no such folder" in featx("serve", served_store, "--videos", tmp_path / "none", "--port", 0).err
    assert featx("serve", tmp_path / "none", "--port", 0).code == 2
    made = make_store(tmp_path / "foreign", {"a": video(3, 0, tiny_fingerprint().width)})
    assert featx("serve", made, "--port", 0).code == 2  # of a CLIP that is not here
