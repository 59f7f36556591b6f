"""The trainings of engine fast on several processes of a Ray cluster, by Ray Train.

Every process draws its own batches and gradients are averaged, as under ``torchrun``; Ray starts the processes, finds
them machines, and starts them again where one is lost: the training then goes on from its last checkpoint.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from impasto.batch.on_ray import ray_cluster
from impasto.errors import EngineError, InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["any_style", "style"]
#: Times that the processes are started again.
_RESTARTS: Final = 3


@dataclass(frozen=True)
class TrainedOnRay:
    """What a training on Ray ended with."""

    about: dict[str, Any]
    """What the model's header says: pictures, settings, losses; no paths."""
    skipped: dict[str, str]
    """Files that could not be used, with the reason."""
    stopped_early: bool
    leads: bool = True
    """It is always this process that reports."""


def train_on_ray(
    kind: Kind, arguments: Mapping[str, Any], *, address: str = "local", workers: int | None = None
) -> TrainedOnRay:
    """Call :func:`impasto.api.train_any_style` or :func:`train_style` on a cluster whose machines see the same folders.

    Args:
        kind: which of the two.
        arguments: what it takes, but ``on_progress`` and ``cancel``; paths are from the root, or from here.
        address: ``local`` starts Ray on this machine; otherwise that of a cluster.
        workers: processes; None: one for each GPU of the cluster, or for each CPU where there is none.

    Returns:
        What the model's header says; the model itself is written where ``output`` says.

    Raises:
        MissingExtraError: Ray is not installed.
        EngineError: there is no cluster, or the training failed again and again; the message is the process's own.
        InputError: what was given cannot be used.
    """
    if workers is not None and workers < 1:
        raise InputError(f"workers={workers} cannot be used: at least 1 is needed")
    given = _absolute(arguments)
    storage = Path(given["workdir"]) / "ray"
    with ray_cluster(address) as ray:
        from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer

        found = ray.cluster_resources()
        gpus = int(found.get("GPU", 0))
        scaling = ScalingConfig(num_workers=workers or gpus or max(1, int(found.get("CPU", 1))), use_gpu=gpus > 0)
        run = RunConfig(
            name="impasto", storage_path=str(storage.absolute()), failure_config=FailureConfig(max_failures=_RESTARTS)
        )
        loop = {"kind": kind, "arguments": given}
        trainer = TorchTrainer(_train, train_loop_config=loop, scaling_config=scaling, run_config=run)
        try:
            result = trainer.fit()
        except (TrainingFailedError, ray.exceptions.RayError) as error:
            raise EngineError(f"the training on Ray failed: {_reason(error)}") from None
    about = dict(result.metrics or {})
    if "refused" in about:
        raise InputError(about["refused"])
    return TrainedOnRay(about, about.pop("skipped", {}), bool(about.pop("stopped_early", False)))


def _train(config: dict[str, Any]) -> None:
    """What every process does; the one that leads writes the model."""
    from ray.train import Checkpoint, get_context, report

    from impasto import api

    call = api.train_any_style if config["kind"] == "any_style" else api.train_style
    try:
        model = call(**config["arguments"])
        found = {**model.about, "skipped": model.skipped, "stopped_early": model.stopped_early}
    except InputError as error:  # the same in every process, and no better another time
        found = {"refused": str(error)}
    # Ray keeps the figures of a report only where something lies beside them.
    with tempfile.TemporaryDirectory(prefix="impasto-") as place:
        (Path(place) / "about.json").write_text(json.dumps(found), encoding="utf-8")
        leads = get_context().get_world_rank() == 0
        report(found, checkpoint=Checkpoint.from_directory(place) if leads else None)


def _reason(error: Exception) -> str:
    """What went wrong in a process: the last line that names an error, without the trace before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (named or lines or [type(error).__name__])[-1]


def _absolute(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments with paths that mean the same in another folder, and with the workdir named."""
    found = dict(arguments)
    target = Path(found["output"]).absolute()
    found["output"] = str(target)
    found["workdir"] = str(Path(found.get("workdir") or target.with_name(f"{target.name}.work")).absolute())
    for name in ("photos", "paintings", "styles"):
        if name in found:
            found[name] = [_placed(str(one)) for one in found[name]]
    if found.get("start") is not None:
        found["start"] = str(Path(found["start"]).absolute())
    return found


def _placed(word: str) -> str:
    """A path from the root; a style's name stays one."""
    path, equals, share = word.partition("=")
    exists = Path(path).exists() or any(sign in path for sign in "*?[")
    return (os.path.abspath(path) if exists else path) + equals + share  # noqa: PTH100 — a pattern is no path
