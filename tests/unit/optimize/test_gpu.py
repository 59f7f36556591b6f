"""What only a GPU can show; skipped where there is none."""

import numpy as np
import pytest
import torch

import impasto
from impasto.engines import checkpoint
from impasto.engines.optimize import plan

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


@pytest.mark.parametrize(
    "options", [{"style_loss": "nn"}, {"style_loss": "swd,remd"}, {"content_loss": "self_similarity"}]
)
def test_gpu_takes_losses_on_columns_with_regions(options: dict[str, str], content, style) -> None:
    mask = np.zeros((48, 64), np.uint8)
    mask[:, :30] = 255
    options = {"image_size": 64, "steps": 4, "dtype": "float32", "regions": [(mask, 255 - style)], **options}
    on_cpu, on_gpu = (impasto.stylize(content, style, device=device, **options) for device in ("cpu", "cuda"))
    assert on_gpu.recipe.loss == pytest.approx(on_cpu.recipe.loss, rel=0.1)


@pytest.mark.parametrize("color", ["luminance", "linear", "histogram"])
def test_gpu_knows_colours_strips_and_checkpoints(color: str, content, style, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "_EVERY_S", 0.0)
    monkeypatch.setattr(checkpoint, "_PAUSE", 0.0)
    monkeypatch.setattr(plan, "_WHOLE_SCALE_MB", 0)
    monkeypatch.setattr(plan, "STRIP_MB", 1e-9)
    rgba = np.dstack([content, np.where(np.arange(64) < 50, 255, 0).astype(np.uint8) * np.ones((48, 1), np.uint8)])
    options = {"image_size": 64, "steps": 4, "device": "cuda", "memory": "strips", "color": color}
    token = impasto.CancelToken()
    with pytest.raises(impasto.Cancelled):
        impasto.stylize(
            rgba, style, **options, workdir=tmp_path, cancel=token, on_progress=lambda p: p.step < 3 or token.cancel()
        )
    found = impasto.stylize(rgba, style, **options, workdir=tmp_path)
    assert bool(found.picture.pixels.isfinite().all())
    assert len(found.trace) == 4
