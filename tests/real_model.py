"""The real default model for tests marked `model`: fetched and prepared once per machine.

It lives where production keeps it, so the suite and `antiphon serve` share one download.
"""

from pathlib import Path

import platformdirs
import pytest

from antiphon.models.catalogue import DEFAULT_MODEL
from antiphon.models.folder import PreparedModel
from antiphon.models.prepare import prepare
from antiphon.models.progress import Silent


@pytest.fixture(scope="session")
def prepared_model() -> PreparedModel:
    """The default model, ready to load."""
    return default_model()


def default_model() -> PreparedModel:
    """The same, for commands."""
    return prepare(DEFAULT_MODEL, Path(platformdirs.user_cache_path("antiphon")), Silent())
