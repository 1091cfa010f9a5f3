"""Results on disk and in tables."""

from dataclasses import replace
from pathlib import Path

import pytest

from bench.figures import Figures, summarise
from bench.loadgen.drive import Run
from bench.loadgen.record import Record
from bench.report import fill, write_report
from bench.results import Result, Results, join, load, newest, save
from bench.table import cells_of, markdown_table, rows_of
from bench.workloads import make


def figures(tokens_per_s: float) -> Figures:
    """Of a run that was that fast."""
    record = Record(sent=0.0, arrivals={0: [0.5]}, finished=True)
    run = Run([record], [], wall_s=1 / tokens_per_s, client_cpu_s=0.0)
    return summarise(run, make("chat", 1, 0, 1), 2.0)


RESULTS = Results(
    name="test",
    date="2026-01-02T03:04:05+00:00",
    command=["python", "-m", "bench", "run"],
    commit="abc",
    machine={
        "cpu": "c",
        "cores": 2,
        "cpu_features": ["avx2"],
        "memory_gib": 1.0,
        "kernel": "6",
        "python": "3",
    }
    | {"load_average": 0.0},
    model={"name": "m", "file": "m.gguf", "sha256": "0" * 64},
    threads=2,
    servers={"antiphon": {"version": "1"}},
    results=[
        Result(turn, server, "chat", 8, figures(speed * (1 + turn)))
        for turn in range(3)
        for server, speed in (("slow", 2.0), ("antiphon", 8.0), ("bare-loop", 10.0))
    ],
)


def test_results_survive_the_disk(tmp_path: Path) -> None:
    """What is read back is what was saved, to the microsecond."""
    path = save(RESULTS, tmp_path)
    assert path.name == "20260102T030405-test.json"
    assert load(path).results[0].figures.tokens_per_s == RESULTS.results[0].figures.tokens_per_s
    assert replace(load(path), results=[]) == replace(RESULTS, results=[])


def test_joined_runs_keep_every_round_and_command() -> None:
    """A cell measured by two runs has the rounds of both; what only one of them has is there."""
    second = replace(RESULTS, name="b", servers={"vllm": {"version": "2"}}, results=RESULTS.results[:3])

    joined = join([RESULTS, second], "both")

    assert joined.name == "both"
    assert joined.command == [*RESULTS.command, "&&", *RESULTS.command]
    assert set(joined.servers) == {"antiphon", "vllm"}
    assert [result.round for result in joined.results] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_runs_of_different_trees_are_not_joined() -> None:
    """They would look like rounds of one measurement."""
    with pytest.raises(ValueError, match="was not measured like"):
        join([RESULTS, replace(RESULTS, commit="def")], "both")


def test_newest_is_by_date(tmp_path: Path) -> None:
    """The file's name begins with the date."""
    assert newest(tmp_path) is None
    save(RESULTS, tmp_path)
    later = save(replace(RESULTS, date="2026-02-01T00:00:00+00:00"), tmp_path)
    assert newest(tmp_path) == later


def test_rows_have_medians_and_ratios_and_antiphon_first() -> None:
    """Each server has one row for each cell."""
    rows = rows_of(RESULTS.results)
    assert [(row.server, row.figures["tokens_per_s"], row.ratio) for row in rows] == [
        ("antiphon", 16.0, 1.0),
        ("bare-loop", 20.0, 0.8),
        ("slow", 4.0, 4.0),
    ]
    assert cells_of(rows[2])[:5] == ["chat", "8", "slow", "4", "4.00x"]


def test_row_of_a_failed_server_says_so() -> None:
    """A server without a figure is not left out."""
    failed = summarise(Run([Record(0.0, error="no")], [], 1.0, 0.0), make("chat", 1, 0, 1), None)
    (row,) = rows_of([Result(0, "slow", "chat", 8, failed)])
    assert cells_of(row)[2:4] == ["slow", "failed"]
    assert row.error == "no"


def test_report_fills_the_page_and_nothing_else(tmp_path: Path) -> None:
    """Prose stays; a second report of the same results changes no byte."""
    page = tmp_path / "page.md"
    names = ("run", "servers", "serving", "engine")
    page.write_text("# Title\n" + "".join(f"<!-- {n}: begin -->\nold\n<!-- {n}: end -->\n" for n in names))
    # One workload that is not plotted, so that the test needs no plotting library.
    results = replace(RESULTS, results=[replace(r, workload="turns") for r in RESULTS.results])
    write_report(results, "file.json", page)
    first = page.read_text()
    assert "# Title" in first
    assert "| 8 | slow | 4 | 4.00x |" in first
    assert "old" not in first
    write_report(results, "file.json", page)
    assert page.read_text() == first


def test_fill_keeps_what_looks_like_a_group() -> None:
    """Backslashes in the content are only text."""
    assert (
        fill("<!-- x: begin -->\n<!-- x: end -->", "x", r"a\1b")
        == "<!-- x: begin -->\na\\1b\n<!-- x: end -->"
    )


def test_markdown_table_has_a_line_for_each_row() -> None:
    """Headings, a rule, rows."""
    assert markdown_table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
