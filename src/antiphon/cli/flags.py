"""Flags made from declarations: those of `antiphon serve` from `config.Settings`, others from dataclasses.

Values pass through as texts: `config` alone converts and checks them, so that a wrong value reads
the same wherever it came from. Whether a flag was given at all must stay visible (None or an empty
list otherwise), since what was not given may come from the environment or a file.
"""

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

from antiphon.settings import Setting, describe_settings

Options = TypeVar("Options")


def with_parameters(command: Callable[..., None], parameters: list[inspect.Parameter]) -> Callable[..., None]:
    """Give a function of keywords the signature that typer reads."""
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def with_options(command: Callable[[Options], None], kind: Callable[..., Options]) -> Callable[..., None]:
    """A command of flags from one that takes a dataclass, whose fields are annotated as typer wants them."""

    def run(**given: Any) -> None:
        command(kind(**given))

    return with_parameters(run, list(inspect.signature(kind).parameters.values()))


def serve_parameters() -> list[inspect.Parameter]:
    """One parameter per flag, and the model as the one positional argument."""
    model, *others = describe_settings()
    argument = typer.Argument(help=_help(model), metavar="MODEL", show_default=False)
    file = typer.Option("--config", metavar="FILE", help="Settings file, in TOML.")
    return [
        _parameter(model.name, Annotated[list[str] | None, argument]),
        *(_flag(setting, setting.flag) for setting in others if setting.flag is not None),
        _parameter("config", Annotated[str | None, file]),
    ]


def _flag(setting: Setting, flag: str) -> inspect.Parameter:
    match setting.default:
        case bool(on_by_default):
            names = f"{flag}/--no-{flag.removeprefix('--')}" if on_by_default else flag
            return _parameter(setting.name, Annotated[bool | None, _option(setting, names, None)])
        case tuple():
            return _parameter(setting.name, Annotated[list[str] | None, _option(setting, flag, "NAME")])
        case _:
            return _parameter(setting.name, Annotated[str | None, _option(setting, flag, _metavar(setting))])


def _option(setting: Setting, names: str, metavar: str | None) -> Any:
    return typer.Option(names, help=_help(setting), metavar=metavar, show_default=False)


def _help(setting: Setting) -> str:
    """The default is part of the text: as a flag's own default it would hide that the flag was not given."""
    if isinstance(setting.default, bool) or setting.default in ((), ""):
        return f"{setting.help}."
    default = ", ".join(setting.default) if isinstance(setting.default, tuple) else setting.default
    return f"{setting.help} (default: {default})."


def _metavar(setting: Setting) -> str:
    """What stands for the value in `--help`: its choices if they are few, else its type."""
    if setting.choices:
        return "|".join(setting.choices)
    return {int: "N", float: "SECONDS"}.get(type(setting.default), "TEXT")


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None, annotation=annotation
    )
