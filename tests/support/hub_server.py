"""A Hugging Face Hub of a few folders on this machine: what its library asks of it, over real HTTP."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

REVISION = "0" * 39 + "1"


@contextmanager
def hub_of(models: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    """Serves folders as models; gives the address, and the files that were fetched."""
    fetched: list[str] = []

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def reply(self, code: int, content: bytes, headers: dict[str, str], body: bool = True) -> None:
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def answer(self, body: bool) -> None:
            path = urlparse(self.path).path
            for name, folder in models.items():
                files = [file for file in sorted(folder.iterdir()) if file.is_file()]
                if path.startswith(f"/api/models/{name}/tree/"):
                    tree = [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": "1" * 40} for file in files]  # fmt: skip
                    return self.reply(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
                if path.startswith(f"/api/models/{name}"):
                    siblings = [{"rfilename": file.name, "size": file.stat().st_size} for file in files]
                    info = {"id": name, "sha": REVISION, "siblings": siblings}
                    return self.reply(200, json.dumps(info).encode(), {"Content-Type": "application/json"})
                if path.startswith(f"/{name}/resolve/") and (folder / Path(path).name).is_file():
                    content = (folder / Path(path).name).read_bytes()
                    if body:
                        fetched.append(Path(path).name)
                    tag = hashlib.sha256(content).hexdigest()
                    return self.reply(200, content, {"ETag": f'"{tag}"', "X-Repo-Commit": REVISION}, body)
            error = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
            self.reply(404, b"{}", error, body)

        def do_GET(self) -> None:
            self.answer(True)

        def do_HEAD(self) -> None:
            self.answer(False)

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", fetched
        server.shutdown()
