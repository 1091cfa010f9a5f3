"""Why a store cannot be opened."""


class StoreError(Exception):
    """The store cannot be used; the text is one line for the operator."""
