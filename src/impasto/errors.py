"""Everything impasto raises on purpose, as one tree; callers catch one name.

ImpastoError
├── InputError               what the user gave cannot be used (exit code 2)
│   ├── UnreadableImageError     missing, empty, truncated, not a picture, too large
│   ├── ImageTooSmallError       fewer pixels than the network needs
│   ├── OutputError              the output cannot be written where it was asked for
│   ├── RefusedPictureError      a safety check refuses a picture
│   ├── SigningError             the papers to sign with are missing, expired or do not fit
│   └── SettingsError            a setting is out of bounds or contradicts another
├── WeightsError             network weights are missing or not what they should be (exit code 1)
├── MissingExtraError        an optional part is not installed (exit code 1)
└── EngineError              a run failed (exit code 1)
    ├── DivergedError            the optimisation left the finite numbers
    └── OutOfMemoryError         the run would not fit into memory; refused before it starts

Messages follow one form: what was wrong (value and name), what is allowed, what to do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class ImpastoError(Exception):
    """The root of every error that impasto raises on purpose."""

    exit_code = 1


class InputError(ImpastoError):
    """What the user gave cannot be used."""

    exit_code = 2


class UnreadableImageError(InputError):
    """A picture is missing, empty, truncated, no picture at all, or over a limit."""


class ImageTooSmallError(InputError):
    """A picture has fewer pixels than the network needs."""


class OutputError(InputError):
    """The output cannot be written where, or as what, it was asked for."""


class SettingsError(InputError):
    """A setting is out of its bounds, unknown, or contradicts another."""


class RefusedPictureError(InputError):
    """A safety check refuses a picture that went in or came out."""


class SigningError(InputError):
    """A file cannot be signed: the papers are missing, expired or do not fit, or it is signed already."""


class WeightsError(ImpastoError):
    """Network weights are missing, or their checksum is not the expected one."""


class MissingExtraError(ImpastoError):
    """An optional part is not installed; the message has the command that installs it."""


class EngineError(ImpastoError):
    """A run failed for a reason that lies with impasto or with the machine."""


class DivergedError(EngineError):
    """The optimisation produced numbers that are not finite."""


class OutOfMemoryError(EngineError):
    """The run would need more memory than there is; it was refused before it started."""


def first_problem(error: ValidationError) -> tuple[str, str]:
    """The first thing that a model refuses: where it lies, with dots, and why, as the end of a sentence."""
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    return ".".join(map(str, first["loc"])), f"{reason[0].lower()}{reason[1:]}"
