"""What several folders of tests share: photographs at tiny size, and the packaged network's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import skimage.data
import torch

from impasto.images import resize
from impasto.vgg import load_network
from impasto.vgg.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from impasto.vgg import VGG19, VGGWeights

    Photograph = Callable[[str, int, int], NDArray[np.uint8]]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """At 64 px a second thread gains nothing, and on a busy machine waiting for it costs a hundred times the work."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _empty_library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test sees the styles of whoever runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IMPASTO_STYLES", str(tmp_path_factory.mktemp("styles")))
        yield


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Diffusion models at tiny size, in the place of the user's; the published files' digests are not theirs."""
    from impasto.engines.diffusion import painter, registry
    from impasto.engines.diffusion.loading import require_diffusers

    require_diffusers()  # keeps the libraries quiet before they are imported
    from tests import tiny_hub

    with pytest.MonkeyPatch.context() as patch:
        folder = tiny_hub.build(tmp_path_factory.mktemp("hub"))
        patch.setenv(registry.VARIABLE, str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        for name in [*registry.PINS]:
            patch.delitem(registry.PINS, name)
        # More than one set of networks: at this size they take no room, and loading them would take the tests' time.
        patch.setattr(painter, "KEPT", 16)
        yield folder


@pytest.fixture(scope="session")
def photograph() -> Photograph:
    """One of scikit-image's photographs by name, at any size, ``(h, w, 3)`` in 8 bits."""

    def small(name: str, height: int, width: int) -> NDArray[np.uint8]:
        full = torch.from_numpy(getattr(skimage.data, name)()).permute(2, 0, 1) / 255
        return (resize(full, height, width) * 255).round().byte().permute(1, 2, 0).numpy()

    return small


@pytest.fixture(scope="session")
def content(photograph: Photograph) -> NDArray[np.uint8]:
    """A face, 64×48: what every run keeps the shapes of. Nobody writes into it."""
    picture = photograph("astronaut", 48, 64)
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def style(photograph: Photograph) -> NDArray[np.uint8]:
    """A brown table, 72×56. Nobody writes into it."""
    picture = photograph("coffee", 56, 72)
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def weights() -> VGGWeights:
    """The packaged weights; nobody writes into them."""
    return load_weights()


@pytest.fixture
def net() -> VGG19:
    """The packaged network on the CPU in float32: the one kept in memory, so it costs nothing."""
    return load_network(None, device=torch.device("cpu"), dtype=torch.float32)[0]
