"""Engines by name, among all that is installed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from impasto.engines.registry import engine_names, load_engine
from impasto.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def other_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package that brings an engine, as pip would leave it."""

    def install(package: str, name: str, target: str) -> None:
        info = tmp_path / f"{package.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[impasto.engines]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(tmp_path)
        importlib.invalidate_caches()

    return install


def test_engine_names_are_sorted_and_hold_optimize() -> None:
    assert "optimize" in engine_names()
    assert list(engine_names()) == sorted(set(engine_names()))


def test_engine_that_is_unknown_lists_the_installed_ones() -> None:
    with pytest.raises(SettingsError, match=r"'difuse'.*optimize"):
        load_engine("difuse")


def test_engine_of_another_package_is_found(other_package) -> None:
    other_package("impasto-other", "another", "impasto.engines.optimize:OptimizeEngine")
    assert "another" in engine_names()
    assert type(load_engine("another")).__name__ == "OptimizeEngine"
    assert "another" in _message_of_a_miss()


def _message_of_a_miss() -> str:
    with pytest.raises(SettingsError) as caught:
        load_engine("missing")
    return str(caught.value)


def test_engine_claimed_twice_is_refused_with_both(other_package) -> None:
    other_package("impasto-rival", "optimize", "rival.engine:Engine")
    assert engine_names().count("optimize") == 1
    with pytest.raises(SettingsError, match=r"'optimize'.*impasto\.engines\.optimize:OptimizeEngine.*rival\.engine"):
        load_engine("optimize")


def test_engines_are_not_imported_to_be_named() -> None:
    program = "import sys; from impasto.engines.registry import engine_names; engine_names(); \
assert 'impasto.engines.optimize' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
