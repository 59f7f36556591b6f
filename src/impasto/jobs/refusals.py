"""What the jobs room refuses, each with what a door needs to answer it: all of them are ImpastoErrors."""

from __future__ import annotations

from typing import Literal

from impasto.errors import ImpastoError, InputError, UnreadableImageError

#: What is full: the service's queue, disk, memory or database, or what a key may have waiting, or paint in a day.
Reason = Literal["queue", "disk", "memory", "database", "waiting", "megapixels"]


class UnknownJobError(InputError):
    """There is no such job, or it is another owner's: the two look alike."""


class UnknownAssetError(InputError):
    """There is no such asset."""


class JobStateError(InputError):
    """The job's state does not allow what was asked for."""


class IdempotencyError(InputError):
    """The key was used before, for another request."""


class OverloadedError(ImpastoError):
    """The service takes no more for now; nothing was kept.

    Args:
        reason: which limit was reached.
        retry_after_s: when it is worth asking again.
    """

    def __init__(self, message: str, *, reason: Reason, retry_after_s: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.retry_after_s = retry_after_s


class RefusedAssetError(UnreadableImageError):
    """An upload is not kept.

    Args:
        code: ``unsupported_image`` (no picture, or of another format), ``image_too_large``, ``corrupt_image``
            or ``unsafe_image`` (a safety check refuses it).
    """

    def __init__(
        self,
        message: str,
        *,
        code: Literal["unsupported_image", "image_too_large", "corrupt_image", "unsafe_image"],
    ) -> None:
        super().__init__(message)
        self.code = code


class RefusedUrlError(InputError):
    """A URL is not fetched.

    Args:
        code: ``url_refused`` (it must not be asked for, or has no picture), ``too_large`` or ``url_timeout``.
    """

    def __init__(self, message: str, *, code: Literal["url_refused", "too_large", "url_timeout"]) -> None:
        super().__init__(message)
        self.code = code
