"""The tools by name, as a model sees them: description, schema, and what they may change."""

from __future__ import annotations

import functools
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from impasto.agents.schemas import arguments_of, checked, schema_of
from impasto.agents.tools import Tools
from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic import BaseModel

    from impasto.agents.answers import Answer


@dataclass(frozen=True)
class Entry:
    """One tool."""

    arguments: type[BaseModel]
    schema: dict[str, Any]
    description: str
    is_read_only: bool
    is_destructive: bool = False
    is_idempotent: bool = True


def _entry(function: Callable[..., Answer], **hints: bool) -> Entry:
    model = arguments_of(function)
    return Entry(model, schema_of(function, model), " ".join((inspect.getdoc(function) or "").split()), **hints)


CATALOGUE: Final = {
    "list_styles": _entry(Tools.list_styles, is_read_only=True),
    "describe_engines": _entry(Tools.describe_engines, is_read_only=True),
    "stylize": _entry(Tools.stylize, is_read_only=False, is_idempotent=False),
    "get_job": _entry(Tools.get_job, is_read_only=True),
    "cancel_job": _entry(Tools.cancel_job, is_read_only=False, is_destructive=True),
    "evaluate": _entry(Tools.evaluate, is_read_only=True),
    "compare": _entry(Tools.compare, is_read_only=True),
    "start_campaign": _entry(Tools.start_campaign, is_read_only=False, is_idempotent=False),
    "get_campaign": _entry(Tools.get_campaign, is_read_only=True),
    "verify_provenance": _entry(Tools.verify_provenance, is_read_only=True),
}


def call(tools: Tools, name: str, arguments: Mapping[str, Any]) -> Answer:
    """Call a tool as a model does: by its name, with arguments that nobody has checked.

    Raises:
        InputError: there is no such tool, or it does not take these arguments.
        ImpastoError: what the tool raises; each is one sentence.
    """
    entry = CATALOGUE.get(name)
    if entry is None:
        raise InputError(f"there is no tool {name[:80]!r}; there are {', '.join(CATALOGUE)}")
    answer: Answer = getattr(tools, name)(**checked(entry.arguments, arguments))
    return answer


def tool_functions(tools: Tools) -> list[Callable[..., dict[str, Any]]]:
    """The tools as plain functions with types and docstrings, for frameworks that take such.

    Each gives a dictionary with ``text``, data and the path of the ``file``; no picture is inside, since most
    frameworks put what a function gives into the conversation as text. They raise :class:`ImpastoError`, one sentence.
    """
    return [_plain(tools, name) for name in CATALOGUE]


def _plain(tools: Tools, name: str) -> Callable[..., dict[str, Any]]:
    method: Callable[..., Answer] = getattr(tools, name)

    @functools.wraps(method)
    def function(*args: Any, **kwargs: Any) -> dict[str, Any]:
        given = inspect.signature(method).bind(*args, **kwargs).arguments
        found = call(tools, name, given).to_dict()
        found.pop("preview", None)
        return found

    function.__annotations__ = {**method.__annotations__, "return": dict[str, Any]}
    return function


def openai_tools() -> list[dict[str, Any]]:
    """The tools as ``tools=`` of OpenAI's chat completions; :func:`call` does what the model asks for."""
    return [
        {"type": "function", "function": {"name": name, "description": entry.description, "parameters": entry.schema}}
        for name, entry in CATALOGUE.items()
    ]
