"""SHA-256 of large files, remembered beside the cache so that a second start need not read them.

A remembered digest is trusted while the file's path, size and modification time are unchanged:
the rule `make` uses. A file that is replaced or touched is hashed anew.
"""

import hashlib
import json
from pathlib import Path

from antiphon.models.files import write_atomically
from antiphon.models.progress import Progress, Silent

_CHUNK_BYTES = 4 << 20


def sha256_file(path: Path, progress: Progress | None = None) -> str:
    """The file's SHA-256 in hex. Reads all of it; tells `progress` how far it is."""
    progress = progress or Silent()
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            progress.advance(len(chunk))
    return digest.hexdigest()


def remembered_sha256(path: Path, cache_dir: Path, progress: Progress) -> str:
    """The file's SHA-256 in hex, from an earlier call if the file has not changed since."""
    path = path.resolve()
    status = path.stat()
    seen = {"path": str(path), "size": status.st_size, "mtime_ns": status.st_mtime_ns}
    stamp = cache_dir / "digests" / f"{hashlib.sha256(str(path).encode()).hexdigest()[:32]}.json"
    try:
        known = json.loads(stamp.read_bytes())
        if {key: known[key] for key in seen} == seen and isinstance(known["sha256"], str):
            return str(known["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # no stamp, or one we cannot read: the file itself is the truth
    progress.start(f"Checking {path.name}", status.st_size)
    digest = sha256_file(path, progress)
    progress.done()
    write_atomically(stamp, json.dumps(seen | {"sha256": digest}))
    return digest
