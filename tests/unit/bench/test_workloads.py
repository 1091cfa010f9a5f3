"""What is asked of the servers."""

import pytest

from bench.workloads import KINDS, LONG_WORDS, PREFIX_WORDS, make


@pytest.mark.parametrize("name", KINDS)
def test_workload_depends_on_its_seed_alone(name: str) -> None:
    """Equal seeds give equal conversations, other seeds share none."""
    assert make(name, 4, 1, 2) == make(name, 4, 1, 2)
    assert not set(make(name, 4, 1, 2).conversations) & set(make(name, 4, 2, 2).conversations)


@pytest.mark.parametrize("name", KINDS)
def test_workload_repeats_no_prompt(name: str) -> None:
    """Every conversation is one of its own; each client holds two, of long ones only one."""
    conversations = make(name, 8, 0, 2).conversations
    assert len(set(conversations)) == len(conversations) == 8 * KINDS[name].most_per_client


def test_workload_has_enough_for_one_client() -> None:
    """A single client holds twice as many conversations as each of several."""
    assert [len(make("chat", 1, 0, each).conversations) for each in (1, 2)] == [2, 4]


def test_prefix_conversations_share_all_but_their_question() -> None:
    """The opening and all others begin with the same 2,000 words."""
    workload = make("prefix", 2, 0, 1)
    assert workload.opening is not None
    texts = {talk.turns[0].partition("\n")[0] for talk in (workload.opening, *workload.conversations)}
    assert [len(text.split()) for text in texts] == [PREFIX_WORDS]


def test_mixed_has_a_long_prompt_in_four() -> None:
    """One prompt of four is long, also for two clients."""
    lengths = [len(talk.turns[0].split()) for talk in make("mixed", 8, 0, 2).conversations]
    assert lengths.count(LONG_WORDS) == 2
    assert LONG_WORDS in [len(talk.turns[0].split()) for talk in make("mixed", 2, 0, 1).conversations]


def test_turns_is_a_conversation_of_four() -> None:
    """Each conversation has four turns."""
    assert {len(talk.turns) for talk in make("turns", 2, 0, 1).conversations} == {4}


@pytest.mark.parametrize("name", KINDS)
def test_kind_leaves_room_for_its_longest_sequence(name: str) -> None:
    """Words are a token each; chat templates and answers need the rest of the room."""
    kind, workload = KINDS[name], make(name, 2, 0, 1)
    answer = workload.parameters["max_tokens"]
    assert isinstance(answer, int)
    needed = max(sum(len(t.split()) + answer + 40 for t in talk.turns) for talk in workload.conversations)
    assert needed <= kind.sequence_tokens
    assert kind.choices == workload.parameters.get("n", 1)
