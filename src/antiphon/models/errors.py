"""The one error of this layer: a model that cannot be served, said in one line to the operator.

It never reaches a client of the API, so it may name paths.
"""


class ModelError(Exception):
    """A model cannot be served; the text is one line that names the file and what would work."""
