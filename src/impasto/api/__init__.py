"""The calls behind every door: the command line, and later the service and the agents' tools, use nothing else."""

from impasto.api.compare import compare
from impasto.api.evaluate import evaluate
from impasto.api.evaluate_set import MAIN_METRICS, evaluate_set
from impasto.api.explain import explain
from impasto.api.golden import check_golden, record_golden
from impasto.api.stylize import plan, read_recipe, rerun, stylize
from impasto.api.sweep import sweep
from impasto.diagnostics import diagnose
from impasto.evaluation.gates import EXIT_CODES, Gates, colors_of
from impasto.evaluation.manifest import Problem
from impasto.evaluation.metric import Metric, installed_metrics
from impasto.images import check_destination, read
from impasto.vgg.precision import reuse_memory

__all__ = [
    "EXIT_CODES",
    "MAIN_METRICS",
    "Gates",
    "Problem",
    "check_destination",
    "check_golden",
    "colors_of",
    "compare",
    "diagnose",
    "evaluate",
    "evaluate_set",
    "explain",
    "metrics",
    "plan",
    "read",
    "read_recipe",
    "record_golden",
    "rerun",
    "reuse_memory",
    "stylize",
    "sweep",
]


def metrics() -> tuple[Metric, ...]:
    """Every installed metric with its direction, range, cost and blind spots."""
    return tuple(installed_metrics().values())
