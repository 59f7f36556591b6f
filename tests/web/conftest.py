"""A small network's graphs, ONNX Runtime Web from the user's cache, and a browser; without one of them, no test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.unit.fast.conftest import networks
from tests.web.chromium import Chromium, find_chromium

from impasto.browser.ort_web import find_runtime
from impasto.engines.fast.model import save_model
from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from impasto.engines.fast.onnx import Graphs


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    """Of an any-style model with random weights."""
    pytest.importorskip("onnx", reason="needs the extra onnx")
    from impasto.engines.fast.onnx import onnx_graphs

    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    save_model(path, *networks(), {})
    return onnx_graphs(path)


@pytest.fixture(scope="session")
def runtime() -> Path:
    """The folder of ONNX Runtime Web; `impasto live --download` puts it there."""
    try:
        return find_runtime()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """One browser for all tests; each opens its own page in it."""
    program = find_chromium()
    if program is None:
        pytest.skip("needs Chromium, which is not installed")
    with Chromium(program, tmp_path_factory.mktemp("profile")) as browser:
        yield browser
