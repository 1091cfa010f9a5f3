"""The statement that lists stored completions, for any SQL database that numbers its parameters.

Invariant: every value is a parameter; the text depends only on which filters there are.
"""

from collections.abc import Sequence

from antiphon.core.stored import StoredQuery

Place = tuple[int, int]
"""Where a completion stands in the order: when it was created, and its number."""


class Parameters:
    """Values of a statement, and the marks that stand for them: `$1`, `$2` … or `?1`, `?2` …."""

    def __init__(self, sign: str) -> None:
        """Begin without any."""
        self.values: list[str | int] = []
        self._sign = sign

    def add(self, value: str | int) -> str:
        """The mark that stands for another value."""
        self.values.append(value)
        return f"{self._sign}{len(self.values)}"


def select_page(
    project: str, query: StoredQuery, behind: Place | None, parameters: Parameters, prefix: str = ""
) -> str:
    """A SELECT of the records asked for, one more than the limit so that `has_more` can be told.

    `prefix` stands before the names of the tables `completions` and `metadata`.
    """
    conditions = [f"project = {parameters.add(project)}", "record IS NOT NULL"]
    comparison, direction = (">", "ASC") if query.order == "asc" else ("<", "DESC")
    if behind is not None:
        created, sequence = map(parameters.add, behind)
        conditions.append(f"(created, sequence) {comparison} ({created}, {sequence})")
    if query.model is not None:
        conditions.append(f"model = {parameters.add(query.model)}")
    conditions += _has_pairs(query.metadata, parameters, prefix)
    return (
        f"SELECT record FROM {prefix}completions AS kept WHERE {' AND '.join(conditions)}"
        f" ORDER BY created {direction}, sequence {direction} LIMIT {parameters.add(query.limit + 1)}"
    )


def _has_pairs(pairs: Sequence[tuple[str, str]], parameters: Parameters, prefix: str) -> list[str]:
    return [
        f"EXISTS (SELECT 1 FROM {prefix}metadata AS pair WHERE pair.sequence = kept.sequence"
        f" AND pair.key = {parameters.add(key)} AND pair.value = {parameters.add(value)})"
        for key, value in pairs
    ]
