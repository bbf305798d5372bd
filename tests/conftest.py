"""What several test files share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable
from typing import NoReturn

import pytest
from hypothesis import settings

collect_ignore = ["typed"]  # programs to be checked, some of whose lines are mistakes

# The same cases every time: a failure is about the change at hand, and not about chance.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a browser is marked as needing one: nobody has to remember it."""
    for item in items:
        if {"browser", "chromium"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.browser)


def pytest_collection_finish() -> None:
    """What is loaded by now stays until the end: no collection need look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def lacking() -> Callable[[str], NoReturn]:
    """Skip a test for want of a program. Where CI is set, fail: nothing is skipped there."""

    def lacking(what: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"{what}, and CI is to have it")
        pytest.skip(what)

    return lacking
