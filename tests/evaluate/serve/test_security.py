"""What the explorer refuses: foreign pages and names, files that are none of its business, bodies that are too much."""

import io
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stores import video
from synthetic import tiny_fingerprint

from featx.store.schema import VideoInfo
from featx.store.writing.writer import StoreWriter

pytest.importorskip("starlette")
from starlette.testclient import TestClient

from featx.evaluate.serve.app import make_app
from featx.evaluate.serve.engine import Engine
from featx.evaluate.serve.security import MOST_BODY_BYTES
from featx.evaluate.serve.settings import ServeSettings

TOKEN = "a-secret-of-many-letters"
SEARCH = "/api/search?q=a+star"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8484", "localhost:1", "LOCALHOST", "[::1]:8484"])
def test_its_own_names_are_answered(client, host: str) -> None:
    assert client.get(SEARCH, headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8484",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "127.0.0.1@evil",
    ]
    + ["0.0.0.0", "127.0.0.1:8484:1", "[::1", "localhost\\.evil"],
)
@pytest.mark.parametrize("path", ["/", SEARCH, "/media?video=growing/0.mp4", "/pages/index.html", "/none"])
def test_a_foreign_name_gets_nothing(client, host: str, path: str) -> None:
    """DNS rebinding: a name of somebody else's was made to point here."""
    answer = client.get(path, headers={"host": host})
    assert answer.status_code == 421 and set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},  # another server of this machine
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
    ],
)
def test_pages_of_other_sites_get_nothing(client, headers: dict) -> None:
    for path in (SEARCH, "/media?video=growing/0.mp4", "/api/store", "/"):
        assert client.get(path, headers=headers).status_code == 403
    picture = {"content-type": "image/png", **headers}
    assert client.post("/api/search", content=b"x", headers=picture).status_code == 403


def test_its_own_pages_and_links_to_it_are_answered(client) -> None:
    own = {"origin": "http://127.0.0.1", "sec-fetch-site": "same-origin"}
    assert client.get(SEARCH, headers=own).status_code == 200
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=link).status_code == 200
    assert client.get(SEARCH, headers=link).status_code == 403


def test_every_answer_has_the_headers_that_keep_code_out(client) -> None:
    for path in ("/", SEARCH, "/none", "/media?video=growing/0.mp4", "/media?video=none"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "access-control-allow-origin" not in headers


def test_no_path_leaves_the_pages(client) -> None:
    for path in (
        "../app.py",
        "..%2fapp.py",
        "%2e%2e/app.py",
        "..\\app.py",
        "/etc/passwd",
        "%00",
        "....//app.py",
    ):
        answer = client.get(f"/pages/{path}")
        assert answer.status_code == 404, path
        assert "import" not in answer.text and "root:" not in answer.text


@pytest.mark.parametrize(
    "name",
    ["../../etc/passwd", "/etc/passwd", "growing/../growing/0.mp4", "growing/0.mp4\0", "%2e%2e", "none.mp4"],
)
def test_only_videos_that_the_store_names_are_sent(client, name: str) -> None:
    for path in ("/media", "/api/video", "/api/features"):
        assert client.get(path, params={"video": name}).status_code == 404
    assert client.get("/api/frame", params={"video": name, "time_s": 0}).status_code == 404
    assert client.get("/api/clip", params={"video": name, "first_row": 0, "rows": 2}).status_code == 404


def app_of(store: Path, **settings: object) -> TestClient:
    engine = Engine(store, ServeSettings.model_validate({"device": "cpu", **settings}))
    return TestClient(make_app(engine), base_url="http://127.0.0.1", raise_server_exceptions=False)


def test_a_store_cannot_name_files_outside_its_folder(tmp_path: Path, work: Path) -> None:
    """A store of somebody else's, whose records name other files of this machine."""
    width = tiny_fingerprint().width
    folder, outside = tmp_path / "videos", tmp_path / "outside.mp4"
    folder.mkdir()
    shutil.copy(work / "videos" / "growing" / "0.mp4", outside)
    shutil.copy(work / "videos" / "growing" / "0.mp4", folder / "good.mp4")
    (folder / "link.mp4").symlink_to(outside)
    (folder / "notes.txt").write_text("secret")
    paths = ["../outside.mp4", str(outside), "link.mp4", "notes.txt", "/etc/passwd", ".", "good.mp4"]
    with StoreWriter(tmp_path / "s", tiny_fingerprint(), model_source="tiny") as writer:
        for number, path in enumerate(paths):
            rows = video(30, number, width)
            writer.add(f"v{number}", rows, VideoInfo(path, 1, 1, 64, 64, 1.2, root=str(folder)))
    with app_of(tmp_path / "s") as client:
        for number in range(len(paths)):
            asked = {"video": f"v{number}"}
            expected = 200 if paths[number] == "good.mp4" else 404
            assert client.get("/media", params=asked).status_code == expected, paths[number]
            assert client.get("/api/frame", params=asked | {"time_s": 0.1}).status_code == expected
            part = asked | {"first_row": 0, "rows": 3}
            assert client.get("/api/clip", params=part).status_code == expected
    with app_of(
        tmp_path / "s", videos=tmp_path / "outside.mp4"
    ) as client:  # another folder than was extracted
        assert client.get("/media", params={"video": "v6"}).status_code == 404


def test_a_store_that_knows_no_folder_sends_no_file(tmp_path: Path) -> None:
    videos = {name: video(5, 0, tiny_fingerprint().width) for name in ("a.mp4",)}
    with StoreWriter(tmp_path / "s", tiny_fingerprint(), model_source="tiny") as writer:
        writer.add("a.mp4", videos["a.mp4"], VideoInfo("/etc/passwd", 1, 1, 64, 64, 1.0))
    with app_of(tmp_path / "s") as client:
        answer = client.get("/media", params={"video": "a.mp4"})
        assert answer.status_code == 404 and "--videos" in answer.json()["error"]


def test_ranges(client, work: Path) -> None:
    content = (work / "videos" / "growing" / "0.mp4").read_bytes()
    size = len(content)
    path = "/media?video=growing/0.mp4"
    whole = client.get(path)
    assert whole.content == content and whole.headers["content-type"] == "video/mp4"
    for first, last in ((0, 0), (5, 104), (size - 3, size - 1), (10, size + 100)):
        part = client.get(path, headers={"range": f"bytes={first}-{last}"})
        assert part.status_code == 206 and part.content == content[first : last + 1]
        assert part.headers["content-range"] == f"bytes {first}-{min(last, size - 1)}/{size}"
    assert client.get(path, headers={"range": "bytes=-7"}).content == content[-7:]
    assert client.get(path, headers={"range": f"bytes={size - 9}-"}).content == content[-9:]
    for bad in (
        f"bytes={size}-",
        f"bytes={size + 10**15}-{size + 10**16}",
        "bytes=9-5",
        "bytes=x-y",
        "lines=1-2",
    ):
        answer = client.get(path, headers={"range": bad})
        assert answer.status_code in (200, 400, 416), bad
        assert answer.status_code == 200 or len(answer.content) < 200
    many = ",".join(f"{n}-{n}" for n in range(0, 20000, 2))
    assert len(client.get(path, headers={"range": f"bytes={many}"}).content) <= 60 * size


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and is not."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


def test_pictures_that_are_none_are_refused(client) -> None:
    content = io.BytesIO()
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(content, "PNG")
    whole = content.getvalue()
    broken = [
        b"",
        b"hello",
        whole[:50],
        whole[:-20],
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='x'/>",
        b"%!PS\n",
        b"GIF89a",
    ]
    for one in broken:
        answer = client.post("/api/search", content=one, headers={"content-type": "image/png"})
        assert answer.status_code == 400, one[:10]
        assert answer.json()["error"] == "the body is no picture that can be read"
    bomb = png_of_size(30_000, 30_000)
    assert client.post("/api/search", content=bomb, headers={"content-type": "image/png"}).status_code in (
        400,
        413,
    )
    assert (
        client.post("/api/search", content=whole, headers={"content-type": "text/plain"}).status_code == 415
    )
    assert client.post("/api/search", content=whole, headers={"content-type": "image/png"}).status_code == 200


def test_bodies_that_are_too_large_are_not_read(client) -> None:
    kind = {"content-type": "image/png"}
    said = client.post(
        "/api/search", content=b"x", headers={**kind, "content-length": str(MOST_BODY_BYTES + 1)}
    )
    assert said.status_code == 413
    given = 0

    def without_a_length():
        nonlocal given
        while given < 10 * MOST_BODY_BYTES:
            given += 2**16
            yield bytes(2**16)

    assert client.post("/api/search", content=without_a_length(), headers=kind).status_code == 413


@pytest.mark.parametrize(
    "query",
    [
        "",
        "q=",
        "q=%20",
        "q=a&like=b",
        "minus=a",
        "q=a&top=0",
        "q=a&top=1000000",
        "q=a&level=all",
        "q=a&min_score=nan",
    ]
    + ["q=a&min_score=2", "q=a&unknown=1", f"q={'a' * 3000}", "q=a&min_length_s=-1", "like=none"],
)
def test_nonsense_is_named(client, query: str) -> None:
    answer = client.get(f"/api/search?{query}")
    assert answer.status_code in (400, 404) and answer.json()["error"]


def test_names_with_html_stay_text(tmp_path: Path) -> None:
    evil = "<img src=x onerror=alert(1)>.mp4"
    with StoreWriter(tmp_path / "s", tiny_fingerprint(), model_source="tiny") as writer:
        rows = video(5, 0, tiny_fingerprint().width)
        writer.add(evil, rows, VideoInfo(evil, 1, 1, 64, 64, 1.0, root="/nowhere"))
    with app_of(tmp_path / "s") as client:
        for path in ("/api/videos", "/api/search?q=a&level=videos", "/api/store"):
            answer = client.get(path)
            assert answer.headers["content-type"] == "application/json"  # with nosniff: never a page
        assert answer.status_code == 200 and client.get("/api/videos").json()["videos"][0]["video"] == evil


def test_without_the_token_there_is_nothing(served_store: Path) -> None:
    engine = Engine(served_store, ServeSettings.model_validate({"device": "cpu"}))

    def ask(path: str, **headers: str | bytes):
        with TestClient(make_app(engine, TOKEN), base_url="http://10.1.2.3:8484") as client:
            return client.get(path, headers=headers, follow_redirects=False)

    for path in ("/", SEARCH, "/media?video=growing/0.mp4", "/pages/index.html", f"{SEARCH}&token={TOKEN}"):
        assert ask(path).status_code == 401
        for wrong in (
            "Bearer x",
            f"Basic {TOKEN}",
            f"Bearer {TOKEN}x",
            f"Bearer {TOKEN[:-1]}",
            b"Bearer \xe9",
        ):
            assert ask(path, authorization=wrong).status_code == 401
        assert ask(path, cookie="featx_token=nonsense").status_code == 401
    assert ask("/?token=wrong-wrong-wrong").status_code == 401
    assert ask(SEARCH, authorization=f"Bearer {TOKEN}").status_code == 200
    assert ask(SEARCH, authorization=f"Bearer {TOKEN}", origin="http://evil.example").status_code == 403
    entry = ask(f"/?token={TOKEN}")
    assert entry.status_code == 303 and entry.headers["location"] == "/"
    cookie = entry.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert ask(SEARCH, cookie=cookie.partition(";")[0]).status_code == 200


def test_other_addresses_need_a_token(served_store: Path, featx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FEATX_TOKEN", raising=False)
    for host in ("0.0.0.0", "192.0.2.1", "::"):
        outcome = featx("serve", served_store, "--host", host)
        assert outcome.code == 2 and "--token" in outcome.err
    outcome = featx("serve", served_store, "--host", "0.0.0.0", "--token", "short")
    assert outcome.code == 2 and "at least 16" in outcome.err


def test_an_error_of_ours_tells_nothing(tmp_path: Path, served_store: Path) -> None:
    store = tmp_path / "s"
    shutil.copytree(served_store, store)
    with app_of(store) as client:
        shutil.rmtree(store)  # somebody removes the store of a running server
        store.write_text("secret")
        answer = client.get("/api/store")
    assert answer.status_code in (400, 500) and set(answer.json()) == {"error"}
    assert "Traceback" not in answer.text and "secret" not in answer.text
