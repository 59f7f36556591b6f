"""Errors as sentences that a model can act on."""

from __future__ import annotations

from impasto.agents.watch import CallerGoneError
from impasto.errors import ImpastoError, OutputError
from impasto.jobs.refusals import OverloadedError


def sentence_of(error: Exception) -> str:
    """What is told of an error: what was wrong, what is allowed, what to do. Nothing of the server's inside."""
    if isinstance(error, CallerGoneError):
        return "nobody waited for the answer any more, and what this call had begun was dropped"
    if isinstance(error, OverloadedError):
        return f"{error}; nothing was kept, call again in {error.retry_after_s} seconds"
    if isinstance(error, OutputError):  # of the server's own disk: its paths are nobody's business
        return "the server cannot write to its disk, and nothing was kept; tell whoever runs it, or try again later"
    if isinstance(error, ImpastoError):
        return " ".join(str(error).split())
    return "an internal error, which is not your fault; the server's log has more; try once again, then tell the user"
