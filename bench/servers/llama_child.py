"""llama-server inside the xllamacpp wheel, as a process: `python -m bench.servers.llama_child PORT JSON`.

JSON maps names of `xllamacpp.CommonParams` (dots lead into nested ones) to values.
"""

import enum
import json
import os
import signal
import sys

import xllamacpp


def main(port: str, settings: str) -> None:
    """Serve until a stop signal."""
    params = xllamacpp.CommonParams()
    for name, value in json.loads(settings).items():
        _set(params, name, value)
    params.hostnames = ["127.0.0.1"]
    params.port = int(port)
    server = xllamacpp.Server(params)
    # The library's own teardown waits for its threads; nothing here is worth waiting for.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    sys.stdout.write(f"{server.listening_address}\n")
    signal.pause()


def _set(params: object, name: str, value: object) -> None:
    *path, last = name.split(".")
    for step in path:
        params = getattr(params, step)
    if isinstance(current := getattr(params, last), enum.Enum):
        value = type(current)[str(value)]
    setattr(params, last, value)


if __name__ == "__main__":
    main(*sys.argv[1:])
