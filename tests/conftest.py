"""What holds for every test."""

from __future__ import annotations

import pytest

# The suites are inherited: no test modules, whose asserts pytest rewrites by itself.
pytest.register_assert_rewrite("tests.contract")
