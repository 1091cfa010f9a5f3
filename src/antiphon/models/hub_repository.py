"""What a model repository on a hub holds: names, sizes and digests of its files, at one commit.

A hub is a server that speaks two routes of the Hugging Face Hub: `/api/models/{repo}/revision/{revision}`
tells the commit and the files, `/{repo}/resolve/{commit}/{path}` gives one. Nothing here is written.

Invariant: a listing names one commit, so that files which are fetched from it belong together.
"""

import contextlib
import http.client
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import IO, Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, urlopen

from antiphon.models.errors import ModelError
from antiphon.models.folder import OPENVINO, Form

PREFIX: Final = "hf:"
DEFAULT_ENDPOINT: Final = "https://huggingface.co"
_SPEC: Final = re.compile(r"hf:([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?(?::([^:]+))?", re.ASCII)
_TIMEOUT_S: Final = 30.0
_MAX_LISTING_BYTES: Final = 32 << 20
_OPTIONAL_FILES: Final = (
    *("generation_config.json", "tokenizer_config.json", "special_tokens_map.json"),
    *("added_tokens.json", "chat_template.jinja", "chat_template.json", "model.safetensors.index.json"),
)


@dataclass(frozen=True, slots=True)
class HubOptions:
    """Which hub, as whom."""

    endpoint: str = DEFAULT_ENDPOINT
    token: str = ""
    offline: bool = False
    """Use what is here, ask nobody."""


PUBLIC_HUB: Final = HubOptions()


@dataclass(frozen=True, slots=True)
class HubSpec:
    """What the operator named: `hf:org/name`, `hf:org/name@revision`, `hf:org/name:file-or-quantisation`."""

    repo: str
    revision: str = "main"
    file: str = ""


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository."""

    path: str
    size: int
    sha256: str
    """In hex; empty for small files, which git itself keeps."""
    git_id: str
    """SHA-1 of the file as a git blob, in hex."""

    @property
    def name(self) -> str:
        """Without its folder."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Listing:
    """A repository at one commit."""

    commit: str
    files: tuple[HubFile, ...]


def parse_spec(text: str) -> HubSpec:
    """Read what the operator named.

    Raises:
        ModelError: it is not of the form.
    """
    match = _SPEC.fullmatch(text)
    if match is None or ".." in text:
        raise ModelError(f"{text}: not of the form hf:org/name[@revision][:file.gguf]")
    repo, revision, file = match.groups()
    return HubSpec(repo, revision or "main", file or "")


def list_repository(spec: HubSpec, hub: HubOptions) -> Listing:
    """Ask the hub what the repository holds.

    Raises:
        ModelError: it cannot be reached, refuses, or answers something else.
    """
    path = f"/api/models/{spec.repo}/revision/{quote(spec.revision, safe='')}?blobs=true"
    with opened(spec, hub, path) as answer:
        text = answer.read(_MAX_LISTING_BYTES)
    try:
        told = json.loads(text)
        files = tuple(_file(sibling) for sibling in told["siblings"])
        commit = str(told["sha"])
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{hub.endpoint}: this is no hub: its answer cannot be understood") from error
    if not re.fullmatch(r"[0-9a-f]{40}", commit):
        raise ModelError(f"{hub.endpoint}: this is no hub: it names no commit")
    return Listing(commit, files)


def chosen_files(spec: HubSpec, listing: Listing, form: Form = OPENVINO) -> tuple[HubFile, ...]:
    """The files to fetch: one GGUF, or those of a folder with weights in this form.

    Raises:
        ModelError: there are none, or it is not clear which.
    """
    top = [file for file in listing.files if "/" not in file.path]  # deeper lie other forms of the model
    found = [[file for file in top if fnmatchcase(file.path, name)] for name in form.required]
    if not spec.file and all(found):
        extras = [file for file in top if file.path in _OPTIONAL_FILES]
        return tuple(file for group in (*found, extras) for file in group)
    ggufs = [file for file in listing.files if file.name.lower().endswith(".gguf")]
    wanted_text = spec.file.lower()
    exact = [file for file in ggufs if wanted_text in (file.path.lower(), file.name.lower())]
    matching = exact or [file for file in ggufs if wanted_text in file.name.lower()]
    if len(matching) == 1:
        return (matching[0],)
    if not ggufs:
        raise ModelError(
            f"hf:{spec.repo}: holds neither a .gguf file nor {form.name} ({', '.join(form.required)})"
        )
    names = ", ".join(file.name for file in matching or ggufs)
    raise ModelError(f"hf:{spec.repo}: name one of its files (hf:{spec.repo}:FILE): {names}")


@contextlib.contextmanager
def opened(spec: HubSpec, hub: HubOptions, path: str, start: int = 0) -> Iterator[http.client.HTTPResponse]:
    """An answer of the hub, from byte `start` on where it can do that (its status is then 206).

    Raises:
        ModelError: it cannot be reached, or refuses; the line says what to do.
    """
    if urlsplit(hub.endpoint).scheme not in ("http", "https"):
        raise ModelError(f"HF_ENDPOINT: {hub.endpoint} is not a URL")
    request = Request(hub.endpoint.rstrip("/") + path, headers={"User-Agent": "antiphon"})
    if hub.token:
        # Not to the host that the hub sends us on to.
        request.add_unredirected_header("Authorization", f"Bearer {hub.token}")
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        with urlopen(request, timeout=_TIMEOUT_S) as answer:
            yield answer
    except HTTPError as error:
        with error:
            raise ModelError(f"hf:{spec.repo}: {_refusal(error.code, spec)}") from error
    except URLError as error:
        raise ModelError(
            f"hf:{spec.repo}: {hub.endpoint} cannot be reached ({error.reason}); "
            "name a mirror in HF_ENDPOINT, or give the path of a .gguf file or folder instead"
        ) from error


def read_some(answer: IO[bytes], limit: int) -> bytes:
    """Up to so many bytes; empty at the end, or where the connection broke."""
    try:
        return answer.read(limit)
    except (OSError, http.client.HTTPException):
        return b""


def _refusal(status: int, spec: HubSpec) -> str:
    if status in (401, 403):
        return "the hub asks for a token that may read it: set HF_TOKEN, and accept its terms on the hub"
    if status == 404:
        return f"the hub has no such repository or revision ({spec.revision})"
    return f"the hub answered with status {status}"


def _file(sibling: dict[str, Any]) -> HubFile:
    path, lfs = str(sibling["rfilename"]), sibling.get("lfs") or {}
    if path.startswith("/") or ".." in path.split("/"):
        raise ValueError(path)
    size = int(lfs.get("size", sibling["size"]))
    return HubFile(path, size, str(lfs.get("sha256", "")), str(sibling["blobId"]))
