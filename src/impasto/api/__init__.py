"""The calls behind every door: the command line, and later the service and the agents' tools, use nothing else.

What judges many pictures or writes pages is loaded when it is first asked for: it brings plots and statistics along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from impasto.api.evaluate import evaluate
from impasto.api.stylize import plan, read_recipe, rerun, stylize
from impasto.diagnostics import diagnose
from impasto.evaluation.gates import EXIT_CODES, Gates
from impasto.evaluation.metric import Metric, installed_metrics
from impasto.images import check_destination, read
from impasto.vgg.precision import reuse_memory

if TYPE_CHECKING:
    from impasto.api.campaigns import plan_campaign, read_campaign, run_campaign
    from impasto.api.comparisons import compare
    from impasto.api.explanations import explain
    from impasto.api.generation import generate
    from impasto.api.golden import check_golden, record_golden
    from impasto.api.models import download_models, list_models, model_paths, verify_models
    from impasto.api.sets import MAIN_METRICS, evaluate_set
    from impasto.api.style_cards import style_card
    from impasto.api.styles import (
        add_style,
        export_style,
        get_style,
        import_style,
        list_styles,
        reference_folders,
        remove_style,
    )
    from impasto.api.sweeps import sweep
    from impasto.api.training import (
        export_lora,
        style_to_train,
        train_any_style,
        train_dreambooth,
        train_style,
        trained_file,
    )
    from impasto.api.training_on_ray import train_on_ray
    from impasto.api.videos import evaluate_video, stylize_stream, stylize_video
    from impasto.engines.fast.onnx import export_onnx
    from impasto.evaluation.manifest import Problem
    from impasto.video.stream import as_jpeg

__all__ = [
    "EXIT_CODES",
    "MAIN_METRICS",
    "Gates",
    "Problem",
    "add_style",
    "as_jpeg",
    "check_destination",
    "check_golden",
    "compare",
    "diagnose",
    "download_models",
    "evaluate",
    "evaluate_set",
    "evaluate_video",
    "explain",
    "export_lora",
    "export_onnx",
    "export_style",
    "generate",
    "get_style",
    "import_style",
    "list_models",
    "list_styles",
    "metrics",
    "model_paths",
    "plan",
    "plan_campaign",
    "read",
    "read_campaign",
    "read_recipe",
    "record_golden",
    "reference_folders",
    "remove_style",
    "rerun",
    "reuse_memory",
    "run_campaign",
    "style_card",
    "style_to_train",
    "stylize",
    "stylize_stream",
    "stylize_video",
    "sweep",
    "train_any_style",
    "train_dreambooth",
    "train_on_ray",
    "train_style",
    "trained_file",
    "verify_models",
]

_HOMES: Final = {
    "verify_models": "impasto.api.models",
    "model_paths": "impasto.api.models",
    "list_models": "impasto.api.models",
    "download_models": "impasto.api.models",
    "run_campaign": "impasto.api.campaigns",
    "read_campaign": "impasto.api.campaigns",
    "plan_campaign": "impasto.api.campaigns",
    "style_to_train": "impasto.api.training",
    "style_card": "impasto.api.style_cards",
    "remove_style": "impasto.api.styles",
    "reference_folders": "impasto.api.styles",
    "list_styles": "impasto.api.styles",
    "import_style": "impasto.api.styles",
    "generate": "impasto.api.generation",
    "get_style": "impasto.api.styles",
    "export_style": "impasto.api.styles",
    "add_style": "impasto.api.styles",
    "as_jpeg": "impasto.video.stream",
    "MAIN_METRICS": "impasto.api.sets",
    "Problem": "impasto.evaluation.manifest",
    "check_golden": "impasto.api.golden",
    "compare": "impasto.api.comparisons",
    "evaluate_set": "impasto.api.sets",
    "evaluate_video": "impasto.api.videos",
    "explain": "impasto.api.explanations",
    "export_onnx": "impasto.engines.fast.onnx",
    "record_golden": "impasto.api.golden",
    "stylize_stream": "impasto.api.videos",
    "stylize_video": "impasto.api.videos",
    "sweep": "impasto.api.sweeps",
    "export_lora": "impasto.api.training",
    "train_any_style": "impasto.api.training",
    "train_dreambooth": "impasto.api.training",
    "train_on_ray": "impasto.api.training_on_ray",
    "train_style": "impasto.api.training",
    "trained_file": "impasto.api.training",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'impasto.api' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def metrics() -> tuple[Metric, ...]:
    """Every installed metric with its direction, range, cost and blind spots."""
    return tuple(installed_metrics().values())
