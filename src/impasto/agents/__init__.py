"""Tools for AI agents: an MCP server, plain functions, and OpenAI's form of tools.

    from impasto.agents import open_tools, tool_functions

    with open_tools(roots=["photos"]) as tools:
        agent = Agent(tools=tool_functions(tools))

A door like the command line and the service: it takes words, asks the jobs room and the api, and answers in words.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import MissingExtraError

if TYPE_CHECKING:
    from impasto.agents.catalogue import call, openai_tools, tool_functions
    from impasto.agents.local import open_tools
    from impasto.agents.tools import Tools

__all__ = ["Tools", "call", "open_tools", "openai_tools", "tool_functions"]

_HOMES: Final = {"Tools": "tools", "open_tools": "local"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'impasto.agents' has no attribute {name!r}")
    try:
        return getattr(import_module(f"impasto.agents.{_HOMES.get(name, 'catalogue')}"), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"the tools for agents need extra packages ({error.name}): pip install 'impasto[agents]'"
        ) from None
