"""A stand-in for a vLLM server that says whatever a test wants, lies included; real ones do not lie.

It speaks the part of vLLM's HTTP API that `engine.backends.vllm` uses, over a real socket.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import platformdirs

from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.folder import DESCRIBED, Form, PreparedModel
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent
from antiphon.models.tokenizer import load_tokenizer
from tests.free_port import free_port

Body = dict[str, Any]


@dataclass
class VllmStub:
    """What it is and says; may be changed while it runs."""

    spell: Callable[[str], list[int]]
    """Text to token ids."""
    decode: Callable[[list[int]], str]
    end: int
    """The end-of-sequence token."""
    say: Callable[[Body], str] = lambda body: "Yes."
    """The text that a request is answered with, end-of-sequence behind it."""
    refuse: Callable[[Body], bool] = lambda body: False
    """Whether a request gets an error 400, as vLLM sends it in a stream."""
    key: str = ""
    version: dict[str, str] = field(default_factory=lambda: {"version": "0.32.0"})
    port: int = field(default_factory=free_port)
    asked: list[Body] = field(default_factory=list)
    """Every completion so far."""

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def listening(self) -> Iterator[None]:
        """There while the block runs; nobody answers behind it."""
        stub = self

        class Handler(_Handler):
            told = stub

        with ThreadingHTTPServer(("127.0.0.1", self.port), Handler) as server:
            server.daemon_threads = True
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def answer(self, body: Body) -> list[Body]:
        """The events of a completion."""
        self.asked.append(body)
        if self.refuse(body):
            return [{"error": {"message": "Grammar error", "type": "BadRequestError", "code": 400}}]
        text = self._text(body)
        tokens = [*self.spell(text), self.end][: body["max_tokens"]]
        reason = "stop" if tokens[-1] == self.end else "length"
        pieces = [tokens[:1], tokens[1:]] if len(tokens) > 1 else [tokens]
        return [
            {
                "choices": [
                    _choice(piece, reason if piece is pieces[-1] else None, body.get("logprobs"))
                    | {"text": text if piece is pieces[-1] else ""}
                ]
            }
            for piece in pieces
        ]

    def _text(self, body: Body) -> str:
        grammar = (body.get("structured_outputs") or {}).get("grammar", "")
        return "7" if '"enum": [7, 8]' in grammar else self.say(body)


def _choice(tokens: list[int], reason: str | None, top: int | None) -> Body:
    scores = {"token_logprobs": [-1.0] * len(tokens), "top_logprobs": [{} for _ in tokens]}
    return {
        "index": 0,
        "token_ids": tokens,
        "finish_reason": reason,
        "logprobs": None if top is None else scores,
    }


def stub_of_default_model(**changes: Any) -> VllmStub:
    """It has the default model's vocabulary."""
    model = described_model()
    tokenizer = load_tokenizer(model.folder)
    return VllmStub(
        spell=tokenizer.encode_plain,
        decode=lambda ids: b"".join(map(tokenizer.token_bytes, ids)).decode(),
        end=model.eos_token_ids[0],
        **changes,
    )


def described_model() -> PreparedModel:
    """The default model as one knows it who has no weights."""
    return default_model_as(DESCRIBED)


def default_model_as(form: Form) -> PreparedModel:
    """The default model, prepared so."""
    return prepare(DEFAULT_MODEL, Path(platformdirs.user_cache_path("antiphon")), Silent(), form=form)


class _Handler(BaseHTTPRequestHandler):
    told: VllmStub

    def do_GET(self) -> None:
        """Its health, version and model."""
        if not self._allowed():
            return
        model = {"id": "served", "root": "served", "max_model_len": 2048}
        known: dict[str, Body] = {
            "/health": {},
            "/version": self.told.version,
            "/v1/models": {"data": [model]},
        }
        self._send(200 if self.path in known else 404, known.get(self.path, {}))

    def do_POST(self) -> None:
        """Texts of tokens, and completions."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self._allowed():
            return
        if self.path == "/detokenize":
            self._send(200, {"prompt": self.told.decode(body["tokens"])})
            return
        events = [json.dumps(event, ensure_ascii=False) for event in self.told.answer(body)] + ["[DONE]"]
        with suppress(ConnectionError):  # whoever has heard enough is gone
            self._reply(200, "text/event-stream", "".join(f"data: {event}\n\n" for event in events).encode())

    def _allowed(self) -> bool:
        if not self.told.key or self.headers["authorization"] == f"Bearer {self.told.key}":
            return True
        self._send(401, {"error": "Unauthorized"})
        return False

    def _send(self, status: int, value: Body) -> None:
        self._reply(status, "application/json", json.dumps(value).encode())

    def _reply(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""
