"""The calls behind every door: the command line, and later the service and the agents' tools, use nothing else."""

from impasto.api.stylize import plan, read_recipe, rerun, stylize
from impasto.diagnostics import diagnose
from impasto.images import check_destination, read
from impasto.vgg.precision import reuse_memory

__all__ = ["check_destination", "diagnose", "plan", "read", "read_recipe", "rerun", "reuse_memory", "stylize"]
