"""restic, as the tests of the repository have it."""

from tests.backup.conftest import pytest_generate_tests, restic

__all__ = ["pytest_generate_tests", "restic"]
