"""The `antiphon check` command: all checks, in the order in which their troubles would be met."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from antiphon.cli.output import print_json

if TYPE_CHECKING:
    from antiphon.cli.check.finding import Finding

_MARKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {"good": ("✓", "green"), "warning": ("!", "yellow"), "bad": ("✗", "red")}
)


def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Do not ask pip's index.")] = False,
) -> None:
    """Say what is wrong with this machine or setup, and what to do. Exit code 1: Antiphon will not work."""
    findings = []
    for finding in _findings(offline):
        findings.append(finding)
        if not as_json:
            _show(finding)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    if any(finding.verdict == "bad" for finding in findings):
        raise typer.Exit(1)


def _findings(offline: bool) -> "Iterator[Finding]":
    from antiphon.cli.check import machine, setup

    settings, findings = setup.check_settings()
    yield from findings
    yield from machine.check_processor()
    yield from machine.check_memory(settings)
    yield from machine.check_disk()
    yield from machine.check_clock()
    yield from setup.check_libraries()
    yield from setup.check_openvino()
    yield from setup.check_sqlite()
    yield from setup.check_address(settings)
    yield from setup.check_models()
    if not offline:
        yield from setup.check_pip()


def _show(finding: "Finding") -> None:
    mark, colour = _MARKS[finding.verdict]
    typer.echo(f"{typer.style(mark, fg=colour)} {finding.subject}: {finding.fact}")
    if finding.remedy:
        typer.echo(f"  {finding.remedy}")
