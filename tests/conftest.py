"""What several test files share."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Generator
from typing import Any, NoReturn

import pytest
from hypothesis import settings

from microgrant.extras import in_browser

collect_ignore = ["typed"]  # programs to be checked, some of whose lines are mistakes

# The same cases every time: a failure is about the change at hand, and not about chance.
settings.register_profile("suite", derandomize=True)
settings.load_profile("suite")


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a browser is marked as needing one: nobody has to remember it."""
    for item in items:
        if {"browser", "chromium", "in_webkit"} & {*getattr(item, "fixturenames", ())}:
            item.add_marker(pytest.mark.browser)


# What is said in a browser to who wants a process, a thread, native code, a PNG, a terminal, or
# what a disk has.
NOT_IN_A_BROWSER = (
    "emscripten does not support processes",
    "can't start new thread",
    "there is none for Python in a browser",
    "there is none in a browser",
    "out of pty devices",
    "module 'os' has no attribute 'fork'",
    "module 'os' has no attribute 'geteuid'",
    "module 'os' has no attribute 'mkfifo'",
)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, Any, Any]:
    """Skip in a browser what wants more than a browser has."""
    return (yield from _unless_in_a_browser())


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup() -> Generator[None, Any, Any]:
    """The same of what a test stands on."""
    return (yield from _unless_in_a_browser())


def _unless_in_a_browser() -> Generator[None, Any, Any]:
    try:
        return (yield)
    except Exception as problem:
        if in_browser() and any(x in str(problem) for x in NOT_IN_A_BROWSER):
            pytest.skip(str(problem))
        raise


def pytest_collection_finish() -> None:
    """What is loaded by now stays until the end: no collection need look through it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def lacking() -> Callable[[str], NoReturn]:
    """Skip a test for want of a program. Where CI is set, fail: nothing is skipped there."""

    def lacking(what: str) -> NoReturn:
        if os.environ.get("CI"):
            pytest.fail(f"{what}, and CI is to have it")
        pytest.skip(what)

    return lacking


@pytest.fixture
def runs_here(lacking: Callable[[str], NoReturn]) -> Callable[[str], None]:
    """Skip the test of a compile target that this machine cannot run; in CI, fail."""

    def runs_here(target: str) -> None:
        if target == "native" and not importlib.util.find_spec("llvmlite"):
            lacking("llvmlite is not installed")
        if target == "javascript" and not (shutil.which("node") or in_browser()):
            lacking("Node is not installed")
        if target == "numpy":
            pytest.importorskip("numpy", reason="NumPy is not installed")
        if target == "jax" and not importlib.util.find_spec("jax"):
            lacking("JAX is not installed")

    return runs_here


@pytest.fixture
def returned(
    request: pytest.FixtureRequest, lacking: Callable[[str], NoReturn]
) -> Callable[[str], Any]:
    """What the body of a function in JavaScript returns, as far as JSON can write it.

    It runs under Node, or else in Chromium, which the fixture of that name starts; in a browser,
    there.
    """
    if in_browser():
        from pyodide.code import run_js

        return lambda body: json.loads(run_js(f"JSON.stringify((() => {{{body}\n}})())"))
    node = shutil.which("node")
    if node is None and (shutil.which("chromium") or shutil.which("google-chrome")) is None:
        lacking("neither Node nor Chromium is installed")
    browser = None if node else request.getfixturevalue("chromium")

    def returned(body: str) -> Any:
        result = f"JSON.stringify((() => {{{body}\n}})())"
        if browser is not None:
            return json.loads(browser.run(f"return {result}"))
        finished = subprocess.run(
            [str(node)],
            input=f"process.stdout.write({result})",
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert finished.returncode == 0, finished.stderr[-1000:]
        return json.loads(finished.stdout)

    return returned
