"""The loop and scheduler over a backend that betrays every mistake: endings, forks, sharing, faults."""

from dataclasses import replace
from itertools import count

import pytest

from antiphon.core.generation import GenerationRequest, SamplingParams
from antiphon.engine.pacing import PacingOptions
from antiphon.engine.scheduler import QueueFull, SchedulerOptions
from tests.chained_backend import ChainedBackend
from tests.engine_rig import EOS, Rig, request


def rig(page_count: int = 64, alone: int = 512, first: int = 48, **options: int) -> Rig:
    """A rig over pages of four tokens, with steps of `alone` or, beside decodes, `first` prompt tokens."""
    pacing = PacingOptions(alone=alone, first=first)
    return Rig(ChainedBackend(page_count), SchedulerOptions(pacing=pacing, **options))


def finish(driver: Rig, *keys: str) -> list[list[int]]:
    """Run to the end; the tokens of each request's first choice."""
    driver.run()
    return [driver.answers[key, 0].tokens for key in keys]


def test_max_tokens_ends_with_length() -> None:
    """A choice without an ending token stops at its budget."""
    driver = rig()
    driver.submit(replace(request("a", [5, 6, 7], max_tokens=5), ignore_eos=True))
    driver.run()

    assert len(driver.answers["a", 0].tokens) == 5
    assert driver.answers["a", 0].end == "length"


def test_ending_token_is_not_delivered() -> None:
    """End-of-sequence ends a choice with `stop` and stays out of the answer."""
    driver = rig()
    biased = SamplingParams(logit_bias=((EOS, 100.0),))
    driver.submit(replace(request("a", [5, 6, 7]), sampling=biased))
    driver.run()

    assert driver.answers["a", 0].tokens == []
    assert driver.answers["a", 0].end == "stop"


def test_min_tokens_holds_endings_back() -> None:
    """However likely, no ending comes before min_tokens."""
    driver = rig()
    biased = SamplingParams(logit_bias=((EOS, 100.0), (9, 50.0)))
    driver.submit(replace(request("a", [5, 6, 7]), sampling=biased, min_tokens=3))
    driver.run()

    assert driver.answers["a", 0].tokens == [9, 9, 9]


def test_stop_token_ids_end_like_eos() -> None:
    """A token named by the caller ends the choice."""
    driver = rig()
    biased = SamplingParams(logit_bias=((9, 100.0),))
    driver.submit(replace(request("a", [5, 6, 7]), sampling=biased, stop_token_ids=(9,)))
    driver.run()

    assert driver.answers["a", 0].end == "stop"
    assert driver.answers["a", 0].tokens == []


def test_choices_differ_and_cost_one_prefill() -> None:
    """Forked choices draw their own tokens; the prompt is computed once."""
    driver = rig(alone=64)
    driver.submit(replace(request("a", list(range(1, 20)), max_tokens=6, choices=4), ignore_eos=True))
    driver.step()

    assert driver.backend.steps == 1  # type: ignore[attr-defined]
    assert [1, 1, 1, 1] == [len(driver.answers["a", c].tokens) for c in range(4)]
    driver.run()
    assert len({tuple(driver.answers["a", c].tokens) for c in range(4)}) == 4


def test_forked_choice_equals_the_same_choice_run_without_room_to_fork() -> None:
    """Sharing pages and copying the last one gives what computing the prompt again gives."""
    whole, narrow = rig(), rig(max_running=1)
    for driver in (whole, narrow):
        driver.submit(request("a", list(range(1, 11)), max_tokens=9, choices=3))
        driver.run()

    assert whole.answers == narrow.answers


def test_second_prompt_reuses_full_pages_and_reports_them() -> None:
    """What prompts have in common is found, to the token, all but what would leave a lone token."""
    driver = rig()
    driver.submit(request("a", list(range(1, 18)), max_tokens=2))
    driver.run()
    driver.submit(request("b", list(range(1, 18)), max_tokens=2))
    driver.submit(request("c", [*range(1, 13), 30, 30, 30], max_tokens=2))
    driver.submit(request("d", [*range(1, 4), 30, 30, 30], max_tokens=2))
    driver.run()

    assert driver.cached == {"a": 0, "b": 15, "c": 12, "d": 3}
    assert driver.answers["a", 0] == driver.answers["b", 0]


def scored(key: str, prompt: list[int], **changes: int) -> GenerationRequest:
    """A request whose prompt is scored, with one alternative for each token."""
    return replace(request(key, prompt, max_tokens=2), prompt_logprobs=1, **changes)  # type: ignore[arg-type]


def test_scored_prompt_is_computed_whole_and_serves_others() -> None:
    """It takes nothing from the cache and leaves its pages there."""
    driver = rig()
    prompt = list(range(1, 18))
    for spec in (request("plain", prompt), scored("scored", prompt), request("after", prompt)):
        driver.submit(spec)
        driver.run()

    assert driver.cached == {"plain": 0, "scored": 0, "after": 15}
    assert [entry.token_id for entry in driver.prompt_scores["scored"]] == prompt
    assert driver.prompt_scores["plain"] == []


def test_few_rows_of_logits_are_held_at_a_time() -> None:
    """However long the prompts, and however many of them are scored."""
    driver = rig(scored_tokens=6)
    for key in "abc":
        driver.submit(scored(key, list(range(1, 31))))
    driver.run()

    assert driver.backend.most_rows <= 6 + 1 + 3  # type: ignore[attr-defined]
    assert all(len(driver.prompt_scores[key]) == 30 for key in "abc")


def test_preemption_in_the_middle_of_a_scored_prompt_repeats_no_score() -> None:
    """Nor does it lose one: what was told is not told again, what was not is computed."""
    driver, whole = rig(scored_tokens=6), rig()
    for each in (driver, whole):
        each.submit(scored("a", list(range(1, 31))))
    driver.step()
    driver.step()
    sequence = driver.scheduler.requests["a"].sequences[0]
    assert 0 < sequence.computed < 30
    driver.scheduler._preempt(sequence)
    driver.run()
    whole.run()

    assert driver.prompt_scores == whole.prompt_scores
    assert driver.answers == whole.answers


def test_scored_prompt_outlives_the_choice_that_computed_it() -> None:
    """The others, who then compute it each for itself, tell its scores once."""
    driver, whole = rig(scored_tokens=6), rig()
    for each in (driver, whole):
        each.submit(scored("a", list(range(1, 31)), choices=3))
    driver.step()
    driver.loop.stop("a", 0)
    driver.run()
    whole.run()

    assert driver.prompt_scores == whole.prompt_scores
    assert driver.answers["a", 2] == whole.answers["a", 2]


def test_answers_do_not_depend_on_borrowed_beginnings() -> None:
    """A prompt that parts from an earlier one in the middle of a page: as if it were the first."""
    driver, fresh = rig(), rig()
    driver.submit(request("a", list(range(1, 18)), max_tokens=2))
    driver.run()
    for each in (driver, fresh):
        each.submit(request("b", [*range(1, 7), 30, 29, 28, 27], max_tokens=6))
        each.run()

    assert (driver.cached["b"], fresh.cached["b"]) == (6, 0)
    assert driver.answers["b", 0] == fresh.answers["b", 0]


def test_beginning_is_borrowed_from_a_page_that_is_needed_itself() -> None:
    """Where every page is needed, the page to copy from is used up, not kept."""
    driver = rig(page_count=5)
    driver.submit(request("a", list(range(1, 17)), max_tokens=1))
    driver.run()
    driver.submit(request("b", [1, 2, *range(20, 31), 20, 21, 22, 23], max_tokens=2))
    driver.run()

    assert driver.cached["b"] == 2
    assert driver.answers["b", 0].end == "length"


def test_prefixes_of_other_salts_are_not_found() -> None:
    """One tenant's prompt never speeds up another's."""
    driver = rig()
    driver.submit(replace(request("a", list(range(1, 18)), max_tokens=2), cache_salt="one"))
    driver.run()
    driver.submit(replace(request("b", list(range(1, 18)), max_tokens=2), cache_salt="two"))
    driver.run()

    assert driver.cached == {"a": 0, "b": 0}


def test_equal_prompts_arriving_together_are_prefilled_once() -> None:
    """The second waits for the first's pages instead of computing them again."""
    driver = rig(alone=8)
    for key in ("a", "b", "c"):
        driver.submit(request(key, list(range(1, 31)), max_tokens=1))
    driver.run()

    assert driver.cached == {"a": 0, "b": 28, "c": 28}


def test_long_prompt_is_spread_over_steps_beside_decoding() -> None:
    """While others decode, no step computes more prompt tokens than the option says, plus one."""
    driver = rig(alone=64, first=4)
    driver.submit(replace(request("a", [1, 2, 3], max_tokens=30), ignore_eos=True))
    driver.step()
    driver.submit(request("b", list(range(1, 32)), max_tokens=1))
    driver.backend.largest_step = 0  # type: ignore[attr-defined]
    driver.run()

    assert driver.backend.largest_step <= 1 + 4 + 1  # type: ignore[attr-defined]


def test_short_prompt_overtakes_a_long_one() -> None:
    """A prompt of a few tokens does not wait for one of many that came before."""
    driver = rig(alone=8)
    driver.submit(request("long", list(range(1, 32)), max_tokens=1))
    driver.step()
    driver.submit(request("short", [7, 7], max_tokens=1))
    driver.step()

    assert driver.answers["short", 0].end is not None
    assert driver.answers["long", 0].end is None


def test_preempted_sequences_answer_as_if_alone() -> None:
    """With far too few pages everybody still ends, with the same tokens."""
    crowded = rig(page_count=14, headroom_tokens=1)
    lone = {}
    for key in "abcdef":
        one = replace(request(key, [ord(key) % 32, 3, 4], max_tokens=40, seed=ord(key)), ignore_eos=True)
        crowded.submit(one)
        driver = rig()
        driver.submit(one)
        (lone[key],) = finish(driver, key)
    crowded.run()

    assert crowded.scheduler.counters.preemptions > 0
    assert lone == {key: crowded.answers[key, 0].tokens for key in "abcdef"}


def test_preempted_sequence_resumes_from_the_pages_nobody_needed() -> None:
    """Of what it had computed only what was overwritten meanwhile, and the last page, is computed again."""
    driver = rig(page_count=30)
    driver.submit(replace(request("old", [1, 2, 3], max_tokens=60), ignore_eos=True))
    driver.submit(replace(request("new", [4, 5, 6], max_tokens=30), ignore_eos=True))
    for _ in range(20):
        driver.step()
    new = driver.scheduler.requests["new"].sequences[0]
    computed = new.computed
    driver.scheduler._preempt(new)
    driver.step()

    assert computed > new.computed - 2 >= computed // 4 * 4
    driver.run()
    assert driver.answers["new", 0].tokens == alone_tokens(new.request.spec)


def alone_tokens(spec: GenerationRequest) -> list[int]:
    """What the request's first choice says in an engine of its own."""
    driver = rig()
    driver.submit(spec)
    return finish(driver, spec.id)[0]


def test_waiting_streams_take_turns_with_running_ones() -> None:
    """A preempted stream goes on before those that took its pages have ended, and all answers are right."""
    seconds = count()
    options = SchedulerOptions(patience_s=30.0, least_run_s=15.0, headroom_tokens=1)
    driver = Rig(ChainedBackend(20), options, lambda: float(next(seconds)))
    specs = [replace(request(k, [ord(k) % 32, 3], max_tokens=50), ignore_eos=True) for k in "abc"]
    for spec in specs:
        driver.submit(spec)
    driver.run()

    assert driver.scheduler.counters.preemptions >= 3
    assert [driver.answers[spec.id, 0].tokens for spec in specs] == [alone_tokens(spec) for spec in specs]


def test_cancelled_request_frees_everything_at_once() -> None:
    """Cancelling in mid-decode, with several choices, leaves no page held and no work."""
    driver = rig()
    driver.submit(request("a", list(range(1, 20)), max_tokens=50, choices=3))
    driver.step()
    driver.loop.cancel("a")

    assert not driver.loop.active
    assert driver.pool.counts().held == 0


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_stopping_the_first_choice_leaves_the_others_running(steps: int) -> None:
    """Before its prefill, right after and later: the others answer as they would have."""
    whole, stopped = rig(alone=6), rig(alone=6)
    for driver in (whole, stopped):
        driver.submit(request("a", list(range(1, 10)), max_tokens=9, choices=3))
        for _ in range(steps):
            driver.step()
    stopped.loop.stop("a", 0)
    whole.run()
    stopped.run()

    assert [whole.answers["a", c] for c in (1, 2)] == [stopped.answers["a", c] for c in (1, 2)]


def test_queue_refuses_beyond_its_bound() -> None:
    """A full queue is an error at once, not a longer queue."""
    driver = rig(max_running=1, max_waiting=2)
    for key in "ab":
        driver.submit(request(key, [1, 2]))

    with pytest.raises(QueueFull):
        driver.submit(request("c", [1, 2]))


def test_fault_in_one_request_ends_that_request_alone(caplog: pytest.LogCaptureFixture) -> None:
    """A parameter that makes drawing raise fails its own request; its batch mate goes on."""
    driver = rig()
    broken = SamplingParams(logit_bias=((10**6, 1.0),))
    driver.submit(replace(request("bad", [1, 2, 3]), sampling=broken))
    driver.submit(request("good", [1, 2, 3], max_tokens=4))
    driver.run()

    assert driver.failed == ["bad"]
    assert driver.answers["good", 0].end is not None
    assert driver.pool.counts().held == 0
    assert "bad" in caplog.text


def test_logprobs_cover_every_delivered_token() -> None:
    """One entry per token, the token's own first, alternatives sorted."""
    driver = rig()
    driver.submit(
        replace(
            request("a", [1, 2, 3], max_tokens=4), sampling=SamplingParams(top_logprobs=3), ignore_eos=True
        )
    )
    driver.run()
    answer = driver.answers["a", 0]

    assert answer.tokens == [entry.token_id for entry in answer.logprobs]
    assert all(len(entry.top) == 3 for entry in answer.logprobs)


def test_times_are_kept_apart() -> None:
    """Forward passes and drawing are counted each for itself; without constraints masks take no time."""
    ticks = iter(range(10_000))
    driver = Rig(ChainedBackend(), clock=lambda: float(next(ticks)))
    driver.submit(replace(request("a", [1, 2, 3], max_tokens=4), ignore_eos=True))
    driver.run()
    times = driver.loop.times

    assert (times.forward, times.sampling, times.masks) == (4.0, 4.0, 0.0)


def test_time_in_the_queue_is_counted_once_per_request() -> None:
    """From its acceptance to its first step, whatever becomes of it later."""
    now = [10.0]
    driver = Rig(ChainedBackend(), clock=lambda: now[0])
    driver.submit(replace(request("a", [5, 6, 7], max_tokens=3, choices=2), ignore_eos=True))
    now[0] = 12.0
    driver.submit(replace(request("b", [5, 6, 7], max_tokens=3), ignore_eos=True))
    now[0] = 15.0
    driver.run()

    assert driver.scheduler.counters.begun == 2
    assert driver.scheduler.counters.queued_s == (15 - 10) + (15 - 12)
