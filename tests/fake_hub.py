"""A hub on localhost: the listing of a repository and its files, over HTTP as the real one gives them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "c0ffee" * 6 + "c0ff"
LARGE = (".safetensors", ".bin", ".pt")


def listing(hub_id: str, folder: Path) -> dict:
    """What /api/models answers: files with sizes, git's hash, and sha256 of large ones."""
    siblings = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        entry = {"rfilename": path.relative_to(folder).as_posix(), "size": len(content)}
        entry["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        if path.suffix in LARGE:
            entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        siblings.append(entry)
    return {"id": hub_id, "sha": COMMIT, "siblings": siblings, "private": False, "tags": [], "downloads": 0}


@contextmanager
def served(hub_id: str, folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields (address, list of requested paths) while the folder is served as the repository `hub_id`."""
    about, asked = listing(hub_id, folder), []

    class Handler(BaseHTTPRequestHandler):
        def answer(self, body: bool) -> None:
            asked.append(f"{self.command} {self.path}")
            path = self.path.split("?")[0]
            name = path.partition("/resolve/")[2].partition("/")[2]
            if path.startswith(f"/api/models/{hub_id}"):
                content, kind = json.dumps(about).encode(), "application/json"
            elif path.startswith(f"/{hub_id}/resolve/") and (folder / name).is_file():
                content, kind = (folder / name).read_bytes(), "application/octet-stream"
            else:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            entry = next((one for one in about["siblings"] if one["rfilename"] == name), {})
            self.send_header("ETag", f'"{entry.get("lfs", {}).get("sha256") or entry.get("blobId", "x")}"')
            self.end_headers()
            if body:
                self.wfile.write(content)

        def do_GET(self) -> None:
            self.answer(True)

        def do_HEAD(self) -> None:
            self.answer(False)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
