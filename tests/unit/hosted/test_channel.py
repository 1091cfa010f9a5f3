"""The lines between a hosted server and its parent."""

import io
import os
import time
from collections.abc import Iterator
from typing import IO

import pytest

from antiphon.hosted.channel import TimedLines, read_lines, write_line

Pipe = tuple[IO[bytes], IO[bytes]]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe's two ends, to read and to write."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reader, os.fdopen(writing, "wb") as writer:
        yield reader, writer


def in_a_minute() -> float:
    """A deadline that no test reaches."""
    return time.monotonic() + 60


def test_messages_come_one_by_one_and_in_order(pipe: Pipe) -> None:
    """However many arrive at once."""
    reader, writer = pipe
    write_line(writer, {"kind": "a\nb"})
    write_line(writer, {"kind": "é"})
    lines = TimedLines(reader)

    assert [lines.read(in_a_minute()), lines.read(in_a_minute())] == [{"kind": "a\nb"}, {"kind": "é"}]


def test_the_end_of_the_other_side_is_none(pipe: Pipe) -> None:
    """Half a line that was left is not taken."""
    reader, writer = pipe
    writer.write(b'{"kind":')
    writer.close()

    assert TimedLines(reader).read(in_a_minute()) is None


def test_silence_until_the_deadline_is_a_timeout(pipe: Pipe) -> None:
    """The pipe stays usable."""
    lines = TimedLines(pipe[0])
    with pytest.raises(TimeoutError):
        lines.read(time.monotonic())
    write_line(pipe[1], {})

    assert lines.read(in_a_minute()) == {}


def test_the_child_takes_whole_lines_only() -> None:
    """Of a parent that died while it wrote."""
    assert list(read_lines(io.BytesIO(b'{"a": 1}\n{"b"'))) == [{"a": 1}]
