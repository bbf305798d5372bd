"""What several test files share."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import settings

# The same cases every time: a failure is about the change at hand, and not about chance.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")


@pytest.fixture
def lacking() -> Callable[[str], NoReturn]:
    """Skip a test for want of a program. Where CI is set, fail: nothing is skipped there."""

    def lacking(what: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"{what}, and CI is to have it")
        pytest.skip(what)

    return lacking
