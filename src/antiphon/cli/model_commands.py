"""`antiphon pull` and `antiphon models`."""

from dataclasses import asdict
from typing import Annotated

import typer

from antiphon.cli.ending import fail
from antiphon.cli.output import print_json, print_table, shown_size
from antiphon.config import cache_folder, hub_options


def complete_model(incomplete: str) -> list[str]:
    """Names of the catalogue that begin so."""
    from antiphon.models.catalogue import CATALOGUE

    return [name for name in CATALOGUE if name.startswith(incomplete)]


def pull(
    model: Annotated[
        list[str],
        typer.Argument(
            help="A name of `antiphon models`, hf:org/name[:file.gguf], or a .gguf file.",
            autocompletion=complete_model,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print what was pulled as JSON.")] = False,
) -> None:
    """Fetch models, check their digests and prepare them, so that `serve` starts at once."""
    from antiphon.cli.progress import open_progress
    from antiphon.models.errors import ModelError
    from antiphon.models.prepare import prepare

    pulled = []
    for name in model:
        try:
            with open_progress() as progress:
                ready = prepare(name, cache_folder(), progress, hub=hub_options())
        except ModelError as error:
            fail(error)
        pulled.append({"name": name, "id": ready.id, "folder": str(ready.folder), "sha256": ready.digest})
        if not as_json:
            typer.echo(pulled_line(name, ready.id))
    if as_json:
        print_json(pulled)


def pulled_line(name: str, id: str) -> str:
    """What is said of a model that is there, with its licence where the catalogue knows it."""
    from antiphon.models.catalogue import CATALOGUE

    licence = f" (licence: {CATALOGUE[name].licence})" if name in CATALOGUE else ""
    return f"{name}: ready, served as {id}{licence}"


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the models that can be named, and what is here of them."""
    from antiphon.models.inventory import inventory

    held = inventory(cache_folder())
    if as_json:
        print_json([asdict(model) for model in held])
        return
    rows = (
        (
            model.name,
            model.id,
            shown_size(model.download_bytes) if model.in_catalogue else "own file",
            model.state,
            shown_size(model.disk_bytes) if model.disk_bytes else "-",
            model.licence or "-",
        )
        for model in held
    )
    print_table(("NAME", "SERVED AS", "DOWNLOAD", "HERE", "ON DISK", "LICENCE"), rows)
