"""Frames between the processes: whole, in pieces, too long, broken."""

import socket
from collections.abc import Iterator

import pytest

from antiphon.core.generation import Constraint, GenerationRequest, SamplingParams
from antiphon.engine import frames

REQUEST = GenerationRequest(
    "r",
    (1, 2, 3),
    5,
    choices=2,
    sampling=SamplingParams(logit_bias=((7, -1.5),), seed=-(2**63), top_logprobs=0),
    constraint=Constraint("json_schema", '{"type": "object"}'),
)


@pytest.fixture
def ends() -> Iterator[tuple[frames.Channel[frames.ToEngine], socket.socket]]:
    """A channel and the bare socket at its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield frames.engine_end(ours), theirs


def test_messages_arrive_as_they_were_sent(
    ends: tuple[frames.Channel[frames.ToEngine], socket.socket],
) -> None:
    """Every field of a request survives, extremes included."""
    channel, other = ends
    other.sendall(frames.encode(frames.Submit(REQUEST)) + frames.encode(frames.Cancel("r")))

    assert channel.receive(1.0) == [frames.Submit(REQUEST), frames.Cancel("r")]


def test_frame_in_single_bytes_is_put_together(
    ends: tuple[frames.Channel[frames.ToEngine], socket.socket],
) -> None:
    """Wherever the stream is cut, a message appears once, when it is complete."""
    channel, other = ends
    frame = frames.encode(frames.StopChoice("r", 1))
    for byte in frame[:-1]:
        other.sendall(bytes([byte]))
        assert channel.receive(1.0) == []
    other.sendall(frame[-1:])

    assert channel.receive(1.0) == [frames.StopChoice("r", 1)]


def test_nothing_to_read_returns_after_the_wait(
    ends: tuple[frames.Channel[frames.ToEngine], socket.socket],
) -> None:
    """Without a message the engine gets back to its work."""
    assert ends[0].receive(0.0) == []


@pytest.mark.parametrize(
    "garbage",
    [
        frames.LENGTH.pack(frames.MAX_FRAME_BYTES + 1),
        frames.LENGTH.pack(3) + b"\xc1\xc1\xc1",
        frames.LENGTH.pack(1) + b"\x90",
        frames.encode(frames.Checked(1, None)),
    ],
    ids=["too long", "not MessagePack", "no message", "a message of the other direction"],
)
def test_anything_else_than_a_frame_closes_the_channel(
    ends: tuple[frames.Channel[frames.ToEngine], socket.socket], garbage: bytes
) -> None:
    """Nothing is guessed."""
    channel, other = ends
    other.sendall(garbage)

    with pytest.raises(frames.ChannelClosed):
        channel.receive(1.0)


def test_closed_peer_closes_the_channel(ends: tuple[frames.Channel[frames.ToEngine], socket.socket]) -> None:
    """The engine process ends when the API process does."""
    channel, other = ends
    other.close()

    with pytest.raises(frames.ChannelClosed):
        channel.receive(1.0)


def test_unread_output_is_kept_in_order_and_bounded(
    ends: tuple[frames.Channel[frames.ToEngine], socket.socket],
) -> None:
    """A reader that pauses loses nothing; one that never reads is given up on."""
    channel, other = ends
    reasons = [f"{i}" * 50_000 for i in range(10)]
    for reason in reasons:
        channel.send(frames.LoadFailed(reason))
    received = b""
    expected = b"".join(frames.encode(frames.LoadFailed(reason)) for reason in reasons)
    while len(received) < len(expected):
        received += other.recv(1 << 20)
        channel.receive(0.0)

    assert expected == received
    with pytest.raises(frames.ChannelClosed):
        flood(channel)


def flood(channel: frames.Channel[frames.ToEngine]) -> None:
    """Send 100 MB that nobody reads."""
    for _ in range(2000):
        channel.send(frames.LoadFailed("x" * 50_000))
