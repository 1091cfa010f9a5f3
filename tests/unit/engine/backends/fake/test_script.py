"""What the fake engine says without being told."""

from dataclasses import replace
from itertools import islice

from antiphon.core.generation import GenerationRequest, SamplingParams
from antiphon.engine.backends.fake import FakeTokenizer, QueuedScripts, improvise, say
from antiphon.engine.backends.fake.language import TURN_END

REQUEST = GenerationRequest("r1", (1, 2, 3), max_tokens=100, sampling=SamplingParams(seed=1))


def opening(request: GenerationRequest, choice: int = 0) -> list[tuple[int, ...]]:
    """The first pieces of an improvised answer."""
    return list(islice(improvise(request, choice).pieces, 8))


def test_say_encodes_each_text_as_a_piece() -> None:
    """Tokens of the fake model are bytes."""
    assert say("a", "é").pieces == ((97,), (195, 169))


def test_improvisation_depends_on_prompt_seed_and_choice_alone() -> None:
    """The id of a request changes nothing; the rest does."""
    assert opening(replace(REQUEST, id="r2")) == opening(REQUEST)
    assert opening(replace(REQUEST, prompt=(4,))) != opening(REQUEST)
    assert opening(replace(REQUEST, sampling=SamplingParams(seed=2))) != opening(REQUEST)
    assert opening(REQUEST, choice=1) != opening(REQUEST)


def test_every_way_to_ask_for_greedy_gives_the_same() -> None:
    """Temperature 0, top-p 0 and top-k 1 leave nothing to chance."""
    ways = [SamplingParams(temperature=0, seed=1), SamplingParams(top_p=0, seed=2), SamplingParams(top_k=1)]
    answers = [opening(replace(REQUEST, sampling=way), choice) for choice, way in enumerate(ways)]

    assert answers[0] == answers[1] == answers[2]


def test_sentences_go_on_for_ever() -> None:
    """Each is followed by the end-of-turn token, and then by another one."""
    pieces = islice(improvise(REQUEST, 0).pieces, 100)
    tokens = [token for piece in pieces for token in piece]
    sentences = b"".join(map(FakeTokenizer().token_bytes, tokens)).decode().split(". ")

    assert len(sentences) == tokens.count(TURN_END) + 1 > 5


def test_queued_scripts_come_in_order_and_then_it_improvises() -> None:
    """What was cleared is not said."""
    scripts = QueuedScripts()
    scripts.add(say("a"))
    scripts.add(say("b"))
    scripts.add(say("c"))

    assert [scripts(REQUEST, 0).pieces, scripts(REQUEST, 1).pieces] == [((97,),), ((98,),)]
    scripts.clear()
    assert list(islice(scripts(REQUEST, 0).pieces, 8)) == opening(REQUEST)
