"""The files that go in are never overwritten."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from impasto.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def refuse_overwriting(output: Path, inputs: Sequence[Path]) -> None:
    """Refuse an output that is one of the inputs.

    Raises:
        InputError: they are the same file, whatever their names.
    """
    for path in inputs:
        # os.path, because it takes a name that the system does not allow for one that is not there.
        if os.path.exists(output) and os.path.exists(path) and os.path.samefile(output, path):  # noqa: PTH110, PTH121
            raise InputError(f"the output {str(output)!r} is also an input; give another name with --output")
