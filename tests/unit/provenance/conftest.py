"""Papers of one's own and of a stranger, and a tiny picture with a recipe, in every format that is signed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import impasto
from impasto.provenance.identity import make_identity

if TYPE_CHECKING:
    from pathlib import Path

    from impasto.engines.base import Stylization

FORMATS = ("png", "jpg", "webp", "avif", "tiff")


@pytest.fixture(scope="session")
def papers(tmp_path_factory) -> Path:
    """One's own papers; nobody writes there."""
    folder = tmp_path_factory.mktemp("papers") / "own"
    make_identity(folder, name="Ada")
    return folder


@pytest.fixture(scope="session")
def foreign(tmp_path_factory) -> Path:
    """A stranger's."""
    folder = tmp_path_factory.mktemp("papers") / "foreign"
    make_identity(folder, name="Mallory")
    return folder


@pytest.fixture(autouse=True)
def _own_place(papers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the papers and the registry of whoever runs it."""
    monkeypatch.setenv("IMPASTO_PROVENANCE", str(papers))
    monkeypatch.setenv("IMPASTO_REGISTRY", str(tmp_path / "registry.sqlite"))


@pytest.fixture(scope="session")
def painted(content, style) -> Stylization:
    """One pass at 64x48."""
    return impasto.stylize(content, style, engine="fast", image_size=64)
