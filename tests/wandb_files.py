"""Weights & Biases apart from this machine's user, what it writes, and a stand-in for its server."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]


def alone(folder: Path, **more: str) -> dict[str, str]:
    """An environment whose W&B sees nothing of this machine's user."""
    return {
        "PYTHONPATH": str(ROOT),
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "NETRC": str(folder / "netrc"),
        **more,
    }


def run_wandb(code: str, folder: Path, mode: str | None = None, *arguments: str, **environment: str) -> str:
    """Run a script in a process of its own; returns its stdout."""
    environment |= {"WANDB_MODE": mode} if mode else {}
    command = [sys.executable, "-c", code, str(folder), *arguments]
    result = subprocess.run(command, cwd=folder, env=alone(folder, **environment), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def wandb_records(folder: Path, phase: str = "", *, kind: str = "*run") -> list:
    """Read the records of a folder's only run of a phase and kind: a LevelDB log of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    (path,) = folder.glob(f"wandb/{kind}-*{phase}/run-*.wandb")
    content = path.read_bytes()
    position, pieces, records = 7, b"", []
    while position + 7 <= len(content):
        if 32768 - position % 32768 < 7:  # no header fits into the rest of a block
            position += 32768 - position % 32768
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        pieces += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # a whole record, or the last piece of one
            records.append(Record.FromString(pieces))
            pieces = b""
    return records


def history(records: list) -> list[dict]:
    """What was logged, a row a call; tables and images are dicts that name their files."""
    rows = []
    for record in records:
        if record.WhichOneof("record_type") != "history":
            continue
        row: dict = {}
        for item in record.history.item:
            name, *inner = item.nested_key or [item.key]
            if inner:
                row.setdefault(name, {})["/".join(inner)] = json.loads(item.value_json)
            else:
                row[name] = json.loads(item.value_json)
        rows.append(row)
    return rows


class WandbServer:
    """As much of W&B's server as takes a run and a view; gone at the end of the block, or when `stop` is called."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.files: dict[str, bytes] = {}
        self.history: list[str] = []
        """The lines of history that it was sent; it serves one run."""
        asked, files, taken = self.asked, self.files, self.history

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Say nothing."""

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if "json" not in self.headers.get("Content-Type", ""):  # what the client measures of itself
                    return self.answer({})
                request = json.loads(body)
                asked.append(request)
                if "RunResumeStatus" in request.get("query", ""):
                    return self.answer(resumed(request["variables"]["name"], taken))
                taken.extend(request.get("files", {}).get("wandb-history.jsonl", {}).get("content", ()))
                return self.answer(reply(request, self.headers["Host"]) if self.path == "/graphql" else {})

            def do_PUT(self) -> None:
                files[self.path[1:]] = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.answer({})

            def answer(self, content: dict) -> None:
                text = json.dumps(content).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Connection", "close")  # who is stopped answers nobody that is still connected
                self.end_headers()
                self.wfile.write(text)

        class Server(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """Say nothing of a client that hangs up."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.environment = {
            "WANDB_BASE_URL": f"http://127.0.0.1:{self.server.server_port}",
            "WANDB_API_KEY": "a" * 40,
        }
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def __enter__(self) -> WandbServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def resumed(name: str, history: list[str]) -> dict:
    """What W&B's GraphQL answers to a client that would go on with a run."""
    bucket = {
        "id": "b", "name": name, "summaryMetrics": "{}", "displayName": "n", "config": "{}", "tags": [],
        "historyLineCount": len(history), "eventsLineCount": 0, "logLineCount": 0,
        "historyTail": json.dumps(history[-1:]), "eventsTail": "[]", "wandbConfig": json.dumps({"t": 1}),
    }  # fmt: skip
    return {"data": {"model": {"id": "p", "name": "gan_caption", "bucket": bucket if history else None}}}


def reply(request: dict, host: str) -> dict:
    """What W&B's GraphQL answers, as far as its client insists on it."""
    query, variables = request["query"], request.get("variables") or {}
    if "upsertBucket" in query:
        project = {"id": "p", "name": "gan_caption", "entity": {"id": "e", "name": "me"}}
        bucket = {"id": "b", "name": variables["name"], "displayName": "n", "config": "{}", "project": project}
        return {"data": {"upsertBucket": {"bucket": bucket, "inserted": True}}}
    if "upsertView" in query:
        return {"data": {"upsertView": {"view": {"id": "v", "name": variables["name"]}, "inserted": True}}}
    if "createRunFiles" in query:
        files = [{"name": name, "uploadUrl": f"http://{host}/{name}"} for name in variables["files"]]
        return {"data": {"createRunFiles": {"runID": "b", "uploadHeaders": [], "files": files}}}
    if "createArtifact(" in query:  # of a table: this server has it already, and asks for none of its files
        artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": {"latestArtifact": {"id": "a"}}}
        return {"data": {"createArtifact": {"artifact": artifact}}}
    if "viewer" in query:
        viewer = {"id": "u", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}
        return {"data": {"viewer": viewer}}
    return {"data": {}}
