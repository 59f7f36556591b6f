"""Gates: from figures to ok, review or reject, each with a reason that a person understands.

Thresholds stand in gates.toml beside this file and nowhere else; a user's file may change any of them.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import SettingsError
from impasto.evaluation.metric import installed_metrics

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping

Outcome = Literal["ok", "review", "reject"]
#: What a door ends with.
EXIT_CODES: Final[dict[Outcome, int]] = {"ok": 0, "review": 3, "reject": 4}
#: Whose colours an output shall have; see :func:`colors_of`.
Colors = Literal["style", "content", "palette"]


@dataclass(frozen=True)
class Finding:
    """A figure beyond a threshold."""

    metric: str
    value: float
    outcome: Outcome
    reason: str
    """In words, with the value and the threshold."""


@dataclass(frozen=True)
class Verdict:
    """What the gates say of one output."""

    outcome: Outcome
    findings: tuple[Finding, ...]
    """The worst first."""

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is not ok, in words."""
        return tuple(finding.reason for finding in self.findings)


class Rule(BaseModel):
    """Thresholds of one metric: beyond the first the output goes to a person, beyond the second it is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    review_below: float | None = None
    reject_below: float | None = None
    review_above: float | None = None
    reject_above: float | None = None
    below: str = Field("", description="what it means when the value is too low")
    above: str = Field("", description="what it means when it is too high")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        low = (self.review_below, self.reject_below)
        high = (self.review_above, self.reject_above)
        if (None not in low and low[1] > low[0]) or (None not in high and high[1] < high[0]):  # type: ignore[operator]
            raise ValueError("what is rejected must lie beyond what is reviewed")
        return self

    def finding(self, metric: str, value: float) -> Finding | None:
        """What the rule says of a value; None if nothing."""
        for outcome, low, high in (
            ("reject", self.reject_below, self.reject_above),
            ("review", self.review_below, self.review_above),
        ):
            if low is not None and value < low:
                reason = f"{self.below or 'it is too low'} ({metric} {value:.3g}, expected at least {low:g})"
            elif high is not None and value > high:
                reason = f"{self.above or 'it is too high'} ({metric} {value:.3g}, expected at most {high:g})"
            else:
                continue
            return Finding(metric, value, outcome, reason)  # type: ignore[arg-type]
        return None


class _Document(BaseModel):
    """What a file of gates holds; every part may be left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: dict[str, dict[str, Any]] = Field(default_factory=dict)
    engines: dict[str, dict[str, dict[str, Any]]] = Field(default_factory=dict)
    colors: dict[Colors, dict[str, dict[str, Any]]] = Field(default_factory=dict)


@dataclass(frozen=True)
class Gates:
    """The rules that hold for one kind of output, by metric."""

    rules: Mapping[str, Rule]

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] | None = None,
        *,
        engine: str | None = None,
        colors: Colors = "style",
        thresholds: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """The packaged rules, then those for the engine and the colours, then the same of a user's file on top.

        Args:
            path: a TOML file with the tables ``[rules.METRIC]``, ``[engines.ENGINE.METRIC]`` and
                ``[colors.style|content|palette.METRIC]``; what it leaves out stays.
            engine: which engine made the output; None: unknown.
            colors: whose colours the output shall have.
            thresholds: by metric, on top of all: those of a style or a brand.

        Raises:
            SettingsError: the file cannot be read, or holds something that is no rule, or one of no installed metric.
        """
        packaged = files("impasto.evaluation").joinpath("gates.toml").read_text("utf-8")
        last, documents = "gates.toml", [_parse("gates.toml", packaged)]
        if path is not None:
            try:
                text = Path(path).read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise SettingsError(f"the gates {str(path)!r} cannot be read ({error}); give a TOML file") from None
            last = str(path)
            documents.append(_parse(last, text))
        if thresholds:
            last = "thresholds"
            documents.append(_checked(last, {"rules": thresholds}))
        merged: dict[str, dict[str, Any]] = {}
        for document in documents:
            for part in (document.rules, document.engines.get(engine or "", {}), document.colors.get(colors, {})):
                for metric, keys in part.items():
                    merged[metric] = {**merged.get(metric, {}), **keys}
        rules = {}
        for metric, keys in merged.items():
            try:
                rules[metric] = Rule.model_validate(
                    {key: None if value == "off" else value for key, value in keys.items()}
                )
            except ValidationError as error:
                raise SettingsError(f"the gate {metric!r} in {last} is no rule: {_first(error)}") from None
        return cls(rules)

    def judge(self, values: Mapping[str, float]) -> Verdict:
        """The verdict on an output's figures; rules of metrics that were not computed say nothing."""
        found = [rule.finding(name, values[name]) for name, rule in self.rules.items() if name in values]
        findings = sorted((one for one in found if one), key=lambda one: one.outcome != "reject")
        return Verdict(findings[0].outcome if findings else "ok", tuple(findings))


def colors_of(settings: Mapping[str, Any]) -> Colors:
    """Whose colours a run with these settings gives: by ``color`` of a recipe."""
    kept: dict[str, Colors] = {
        "luminance": "content",
        "linear": "content",
        "histogram": "content",
        "palette": "palette",
    }
    return kept.get(str(settings.get("color")), "style")


def _parse(name: str, text: str) -> _Document:
    """A file of gates.

    Raises:
        SettingsError: it is none, or names a metric that is not installed: its rule would never say anything.
    """
    try:
        return _checked(name, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"the gates {name!r} are no TOML: {error}") from None


def _checked(name: str, found: Mapping[str, Any]) -> _Document:
    """The same of what was read already."""
    try:
        document = _Document.model_validate(found)
    except ValidationError as error:
        raise SettingsError(f"the gates {name!r} hold what is no rule: {_first(error)}") from None
    known = installed_metrics()
    for part in (document.rules, *document.engines.values(), *document.colors.values()):
        for metric in part:
            if metric not in known:
                raise SettingsError(
                    f"the gates {name!r} have a rule for {metric!r}, which is no metric; installed: {', '.join(known)}"
                )
    return document


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
