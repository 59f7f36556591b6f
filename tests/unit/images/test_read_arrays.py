"""Arrays and tensors: the shapes, types and ranges that are taken; the rest is refused with its value."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.testing import assert_close

from impasto.errors import UnreadableImageError
from impasto.images import Picture, read


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (np.full((2, 3), 51, dtype=np.uint8), 0.2),
        (np.full((2, 3, 1), 51, dtype=np.uint8), 0.2),
        (np.full((2, 3, 3), 51, dtype=np.uint8), 0.2),
        (np.full((2, 3, 3), 257 * 51, dtype=np.uint16), 0.2),
        (np.full((2, 3, 3), 257 * 51, dtype=">u2"), 0.2),
        (np.full((2, 3, 3), 0.2, dtype=np.float16), 0.2),
        (np.full((2, 3, 3), 0.2, dtype=np.float32), 0.2),
        (np.full((2, 3, 3), 0.2, dtype=np.float64), 0.2),
        (np.full((2, 3), fill_value=True), 1.0),
    ],
)
def test_read_array_types_and_shapes(array: NDArray[np.generic], value: float) -> None:
    picture = read(array)
    assert_close(picture.pixels, torch.full((3, 2, 3), value), atol=1e-4, rtol=0)
    assert picture.alpha is None
    assert picture.name == "array"


@pytest.mark.parametrize(
    "tensor",
    [
        torch.full((3, 2, 3), 0.2),
        torch.full((1, 3, 2, 3), 0.2),
        torch.full((1, 2, 3), 0.2),
        torch.full((3, 2, 3), 0.2, dtype=torch.float64),
        torch.full((3, 2, 3), 0.2, dtype=torch.bfloat16),
        torch.full((3, 2, 3), 51, dtype=torch.uint8),
        torch.full((3, 2, 3), 0.2, requires_grad=True),
    ],
)
def test_read_tensor_types_and_shapes(tensor: torch.Tensor) -> None:
    picture = read(tensor)
    assert_close(picture.pixels, torch.full((3, 2, 3), 0.2), atol=1e-3, rtol=0)
    assert not picture.pixels.requires_grad
    assert picture.name == "tensor"


def test_read_fourth_channel_is_alpha(photo: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> None:
    rgba = np.dstack([photo, opacity])
    for source in (rgba, torch.from_numpy(rgba).permute(2, 0, 1), Image.fromarray(rgba)):
        picture = read(source)
        assert picture.alpha is not None
        assert_close(picture.alpha[0], torch.from_numpy(opacity) / 255)
        assert_close(picture.pixels.permute(1, 2, 0), torch.from_numpy(photo) / 255)


def test_read_copies_so_that_the_source_may_change() -> None:
    array, tensor = np.zeros((2, 2, 3), dtype=np.float32), torch.zeros(3, 2, 2)
    pictures = read(array), read(tensor)
    array[:] = 1
    tensor.fill_(1)
    assert all(float(picture.pixels.max()) == 0 for picture in pictures)


@pytest.mark.parametrize("shape", [(3,), (2, 3, 2), (3, 4, 5), (2, 3, 4, 3), (0, 3), (3, 0, 3), (0, 0, 3), (2, 2, 0)])
def test_read_array_of_another_shape_names_it(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read(np.zeros(shape))
    assert str(shape if len(shape) != 2 else (*shape, 1)) in str(caught.value)


@pytest.mark.parametrize("shape", [(4, 4), (2, 4, 4), (5, 4, 3), (2, 3, 4, 4), (3, 0, 4), (1, 5, 4, 4)])
def test_read_tensor_of_another_shape_names_it(shape: tuple[int, ...]) -> None:
    with pytest.raises(UnreadableImageError) as caught:
        read(torch.zeros(shape))
    assert str(shape) in str(caught.value)


@pytest.mark.parametrize("value", [-0.01, 1.01, 255.0, float("nan"), float("inf"), float("-inf")])
def test_read_floats_out_of_range_are_refused_with_the_value(value: float) -> None:
    array = np.full((2, 2, 3), 0.5)
    array[1, 1, 1] = value
    for source in (array, torch.from_numpy(array).permute(2, 0, 1)):
        with pytest.raises(UnreadableImageError, match=f"{value:g}"):
            read(source)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.int8, np.uint32, np.complex64, np.object_, "U3"])
def test_read_array_of_another_type_names_it(dtype: type) -> None:
    with pytest.raises(UnreadableImageError, match=np.dtype(dtype).name):
        read(np.zeros((2, 2, 3), dtype=dtype))


@pytest.mark.parametrize("source", [None, 3, [[0, 1], [1, 0]], b"bytes.png"])
def test_read_something_else_names_its_type(source: object) -> None:
    with pytest.raises(UnreadableImageError, match=type(source).__name__):
        read(source)  # type: ignore[arg-type]


def test_read_hash_depends_on_shape_and_pixels_only(photo: NDArray[np.uint8]) -> None:
    sources = (photo, torch.from_numpy(photo).permute(2, 0, 1), Image.fromarray(photo))
    hashes = {read(source).sha256 for source in sources}
    assert len(hashes) == 1
    assert read(photo.reshape(32, 24, 3)).sha256 not in hashes
    changed = photo.copy()
    changed[3, 3, 1] ^= 1
    assert read(changed).sha256 not in hashes
    assert read(np.dstack([photo, np.full((24, 32), 255, dtype=np.uint8)])).sha256 not in hashes


def test_read_picture_comes_back_as_it_is() -> None:
    picture = Picture(torch.zeros(3, 2, 2), sha256="0" * 64)
    assert read(picture) is picture


def test_read_picture_without_a_hash_gets_that_of_its_pixels() -> None:
    pixels = torch.rand(3, 2, 2, generator=torch.Generator().manual_seed(0))
    assert read(Picture(pixels)).sha256 == read(pixels).sha256
