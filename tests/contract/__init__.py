"""One suite per port, run against every implementation."""

import pytest

pytest.register_assert_rewrite("tests.contract.engine_contract")
