"""The calls behind every door: the command line, and later the service and the agents' tools, use nothing else."""

from impasto.api.evaluate import evaluate
from impasto.api.stylize import plan, read_recipe, rerun, stylize
from impasto.diagnostics import diagnose
from impasto.evaluation.gates import EXIT_CODES, colors_of
from impasto.evaluation.metric import Metric, installed_metrics
from impasto.images import check_destination, read
from impasto.vgg.precision import reuse_memory

__all__ = [
    "EXIT_CODES",
    "check_destination",
    "colors_of",
    "diagnose",
    "evaluate",
    "metrics",
    "plan",
    "read",
    "read_recipe",
    "rerun",
    "reuse_memory",
    "stylize",
]


def metrics() -> tuple[Metric, ...]:
    """Every installed metric with its direction, range, cost and blind spots."""
    return tuple(installed_metrics().values())
