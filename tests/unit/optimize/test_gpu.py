"""What only a GPU can show; skipped where there is none."""

import pytest
import torch

import impasto

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gpu_reaches_the_loss_that_the_cpu_reaches(dtype: str, content, style) -> None:
    options = {"image_size": 64, "steps": 8, "dtype": dtype}
    on_cpu = impasto.stylize(content, style, device="cpu", **options)
    on_gpu = impasto.stylize(content, style, device="cuda", **options)
    assert on_gpu.recipe.loss == pytest.approx(on_cpu.recipe.loss, rel=0.1)
    assert on_gpu.recipe.environment.device == torch.cuda.get_device_name(0)
