"""A hub on this machine: the two routes that models are fetched by, over real sockets.

It lists what it was given as the Hugging Face Hub does, sends files on by a redirect as that does
with large ones, honours ranges, and can be told to break off, to lie or to ask for a token.
"""

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One repository and how it is given out."""

    def __init__(self, repo: str, files: Mapping[str, bytes]) -> None:
        """Listen on a free port; files above 1,000 bytes are kept outside git, as LFS does."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repo = repo
        self.files = dict(files)
        self.listed = {path: _listed(path, content) for path, content in files.items()}
        self.token = ""
        """Asked for where it is not empty."""
        self.break_off_at: int | None = None
        """Bytes after which each connection breaks."""
        self.ranges = True
        self.asked: list[tuple[str, str | None, str | None]] = []
        """Path, range and authorization of each request."""

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_port}"


def _listed(path: str, content: bytes) -> dict[str, object]:
    git_id = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": git_id}
    if len(content) > 1000:
        entry["lfs"] = {
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "pointerSize": 134,
        }
    return entry


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_GET(self) -> None:
        """Answer one request."""
        hub, path = self.server, unquote(urlsplit(self.path).path)
        authorization = self.headers.get("Authorization")
        hub.asked.append((path, self.headers.get("Range"), authorization))
        if path.startswith("/elsewhere/"):
            self._give(hub.files[path.removeprefix("/elsewhere/")])
        elif hub.token and authorization != f"Bearer {hub.token}":
            self._answer(401, b"")
        elif path == f"/api/models/{hub.repo}/revision/main":
            self._answer(200, json.dumps({"sha": COMMIT, "siblings": list(hub.listed.values())}).encode())
        elif path.startswith(f"/{hub.repo}/resolve/{COMMIT}/"):
            name = path.removeprefix(f"/{hub.repo}/resolve/{COMMIT}/")
            # Another host by name: whatever is meant for the hub alone must not follow.
            self._answer(302, b"", Location=f"http://localhost:{hub.server_port}/elsewhere/{name}")
        else:
            self._answer(404, b"")

    def _give(self, content: bytes) -> None:
        start = 0
        wanted = self.headers.get("Range")
        if wanted is not None and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content) if self.server.break_off_at is None else start + self.server.break_off_at
        self.wfile.write(content[start:end])

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


@contextmanager
def hub_server(files: Mapping[str, bytes], repo: str = "org/tiny-model") -> Iterator[Hub]:
    """A hub that runs until the block ends."""
    with Hub(repo, files) as hub:
        thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield hub
        finally:
            hub.shutdown()
            thread.join()
