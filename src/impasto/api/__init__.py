"""The calls behind every door: the command line, and later the service and the agents' tools, use nothing else.

What judges many pictures or writes pages is loaded when it is first asked for: it brings plots and statistics along.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from impasto.api.evaluate import evaluate
from impasto.api.stylize import plan, read_recipe, rerun, same_pixels, stylize
from impasto.diagnostics import diagnose
from impasto.evaluation.gates import EXIT_CODES, Gates
from impasto.evaluation.metric import Metric, installed_metrics
from impasto.images import check_destination, read
from impasto.vgg.precision import reuse_memory

if TYPE_CHECKING:
    from impasto.api.blending import blend
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
    from impasto.api.video_reruns import largest_difference, of_video, rerun_video
    from impasto.api.videos import evaluate_video, stylize_stream, stylize_video
    from impasto.engines.fast.onnx import export_onnx
    from impasto.evaluation.manifest import Problem
    from impasto.provenance.identity import identity_folder, keep_identity, make_identity
    from impasto.provenance.safety import installed_check, load_check
    from impasto.provenance.signers import load_signer
    from impasto.provenance.signing import sign
    from impasto.provenance.verification import verify
    from impasto.video.footage import video_sha256
    from impasto.video.stream import as_jpeg

__all__ = [
    "EXIT_CODES",
    "MAIN_METRICS",
    "Gates",
    "Problem",
    "add_style",
    "as_jpeg",
    "blend",
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
    "identity_folder",
    "import_style",
    "installed_check",
    "keep_identity",
    "largest_difference",
    "list_models",
    "list_styles",
    "load_check",
    "load_signer",
    "make_identity",
    "metrics",
    "model_paths",
    "of_video",
    "plan",
    "plan_campaign",
    "read",
    "read_campaign",
    "read_recipe",
    "record_golden",
    "reference_folders",
    "remove_style",
    "rerun",
    "rerun_video",
    "reuse_memory",
    "run_campaign",
    "same_pixels",
    "sign",
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
    "verify",
    "verify_models",
    "video_sha256",
]

_HOMES: Final = {
    "identity_folder": "impasto.provenance.identity",
    "installed_check": "impasto.provenance.safety",
    "keep_identity": "impasto.provenance.identity",
    "load_check": "impasto.provenance.safety",
    "load_signer": "impasto.provenance.signers",
    "make_identity": "impasto.provenance.identity",
    "sign": "impasto.provenance.signing",
    "verify": "impasto.provenance.verification",
    "blend": "impasto.api.blending",
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
    "largest_difference": "impasto.api.video_reruns",
    "of_video": "impasto.api.video_reruns",
    "rerun_video": "impasto.api.video_reruns",
    "import_style": "impasto.api.styles",
    "generate": "impasto.api.generation",
    "get_style": "impasto.api.styles",
    "export_style": "impasto.api.styles",
    "add_style": "impasto.api.styles",
    "as_jpeg": "impasto.video.stream",
    "video_sha256": "impasto.video.footage",
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
