"""A golden set: outputs with their figures, made again later to see that nothing has changed more than it may.

On the same machine with the same versions the bytes are the same. Elsewhere they are not, because rounding differs and
an optimisation carries it on; then the figures must stay within a tolerance.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from impasto.api.evaluate import evaluate
from impasto.api.styles import reference_folders
from impasto.api.stylize import read_recipe, rerun
from impasto.errors import ImpastoError, InputError, UnreadableImageError
from impasto.evaluation.manifest import pictures_in
from impasto.hashes import file_sha256
from impasto.images import encode, read_metadata
from impasto.inputs import RecipeFiles
from impasto.recipe import Environment  # noqa: TC001 — pydantic reads the annotations
from impasto.whole import write_whole

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from impasto.recipe import Recipe

#: The file in the folder that says what is expected.
GOLDEN_FILE: Final = "golden.json"

#: What is expected of a picture that was decoded from these is what the engine gave; JPEG would add its own noise.
LOSSLESS: Final = (".png", ".tif", ".tiff")

#: By how much a metric may differ from what is expected, in its own unit: about three times the largest difference seen
#: in six pairs at 256 px that were made again in float32 in place of bfloat16, and with AVX2 and without vector
#: instructions, which is what another machine does.
TOLERANCES: Final = {
    "style_gain": 0.02,
    "style_gain_efficientnet": 0.04,
    "style_gain_kept": 0.03,
    "style_distance": 0.015,
    "edge_style": 0.06,
    "leak": 0.05,
    "recognition": 0.06,
    "content_distance": 0.03,
    "self_similarity": 0.015,
    "structure": 0.03,
    "edge_content": 0.03,
    "ssim": 0.02,
    "ms_ssim": 0.02,
    "visible_change": 0.005,
    "color_histogram": 0.05,
    "color_cast": 0.005,
    "color_kept": 0.005,
    "noise_ratio": 0.15,
    "checkerboard": 0.8,  # a ratio of maxima: far below its first threshold it means little
    "sharpness": 0.05,
    "flatness": 0.005,
    "clipping": 0.005,
    "seam_ratio": 0.9,  # likewise
}
#: Of a metric that the table does not name.
OTHER_TOLERANCE: Final = 0.05


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class GoldenOutput(_Part):
    """What is expected of one output."""

    sha256: str = Field(description="of the file's bytes")
    values: dict[str, float] = Field(description="every metric by name")
    environment: Environment = Field(description="what made it")


class Golden(_Part):
    """What ``golden.json`` holds."""

    golden: Literal[1] = 1
    tolerances: dict[str, float] = Field(description="absolute, by metric; changed by hand they stay")
    outputs: dict[str, GoldenOutput] = Field(description="by the file's name")


@dataclass(frozen=True)
class Difference:
    """A metric beside what was expected."""

    expected: float
    found: float | None
    """None: it was not computed."""
    tolerance: float

    @property
    def size(self) -> float:
        """How far it is from what was expected; infinite if it was not computed."""
        return math.inf if self.found is None else abs(self.found - self.expected)

    @property
    def is_outside(self) -> bool:
        """Whether it differs more than it may."""
        return self.size > self.tolerance


@dataclass(frozen=True)
class GoldenEntry:
    """What came of making one output again."""

    name: str
    status: Literal["identical", "within", "outside", "failed"]
    """Same bytes and figures within tolerance; other bytes, within it; a figure outside; it could not be made."""
    differences: Mapping[str, Difference] = field(default_factory=dict)
    """Every expected metric."""
    reason: str = ""
    """Why it failed."""
    environment: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """What of the environment is another: by name, then and now."""

    @property
    def outside(self) -> dict[str, Difference]:
        """The metrics that differ more than they may."""
        return {name: difference for name, difference in self.differences.items() if difference.is_outside}


@dataclass(frozen=True)
class GoldenReport:
    """What came of making the whole set again."""

    entries: tuple[GoldenEntry, ...]
    unrecorded: tuple[str, ...]
    """Outputs in the folder that ``golden.json`` does not name."""

    @property
    def passed(self) -> bool:
        """Whether every output came out the same, within the tolerances."""
        return all(entry.status in {"identical", "within"} for entry in self.entries)


def record_golden(folder: str | os.PathLike[str]) -> Golden:
    """Write ``golden.json``: the figures of every output in the folder, as they are now.

    Outputs are the pictures with a recipe inside. What they were made of is looked for beside them and in ``inputs``.

    Args:
        folder: with the outputs. Tolerances that stand in a ``golden.json`` there are kept.

    Raises:
        InputError: no output is there, one is not PNG or TIFF, or what it was made of is not found.
        UnreadableImageError: a picture cannot be read.
        OutputError: the file cannot be written; what was there before is untouched.
    """
    place = Path(folder)
    names = _outputs(place)
    if not names:
        raise InputError(f"there is no output in {str(folder)!r}; put pictures there that impasto wrote")
    kept = _read(place).tolerances if (place / GOLDEN_FILE).exists() else {}
    outputs = {}
    for name in names:
        if Path(name).suffix.lower() not in LOSSLESS:
            raise InputError(f"{name} loses detail when it is written; golden outputs must be PNG or TIFF")
        recipe = read_recipe(place / name)
        files = _files(recipe, place)
        found = evaluate(place / name, content=files.content, style=_styles(files))
        outputs[name] = GoldenOutput(
            sha256=_sha256(place / name), values=dict(found.values), environment=recipe.environment
        )
    metrics = dict.fromkeys(metric for output in outputs.values() for metric in output.values)
    tolerances = {metric: kept.get(metric, TOLERANCES.get(metric, OTHER_TOLERANCE)) for metric in metrics}
    golden = Golden(tolerances=tolerances, outputs=outputs)
    write_whole(place / GOLDEN_FILE, (golden.model_dump_json(indent=2) + "\n").encode())
    return golden


def check_golden(
    folder: str | os.PathLike[str], *, on_entry: Callable[[GoldenEntry], None] | None = None
) -> GoldenReport:
    """Make every output of a golden set again from its recipe, and compare its figures with the expected ones.

    Args:
        folder: with the outputs, ``golden.json``, and what they were made of (there, or in ``inputs``).
        on_entry: called after each output.

    Returns:
        An entry for each output. One that cannot be made again is listed as failed, and the rest goes on.

    Raises:
        InputError: there is no ``golden.json``, or it is none.
    """
    place = Path(folder)
    golden = _read(place)
    entries = []
    for name, expected in golden.outputs.items():
        try:
            entry = _check(place / name, expected, golden.tolerances)
        except ImpastoError as error:
            entry = GoldenEntry(name, "failed", reason=str(error))
        entries.append(entry)
        if on_entry:
            on_entry(entry)
    unrecorded = tuple(name for name in _outputs(place) if name not in golden.outputs)
    return GoldenReport(tuple(entries), unrecorded)


def _check(output: Path, expected: GoldenOutput, tolerances: Mapping[str, float]) -> GoldenEntry:
    """One output made again.

    Raises:
        ImpastoError: it cannot be.
    """
    if output.is_file() and _sha256(output) != expected.sha256:
        raise InputError(f"{output.name} is not the file that was recorded; bring that back, or record again")
    recipe = read_recipe(output)
    files = _files(recipe, output.parent)
    made = rerun(
        recipe,
        files.content,
        files.styles,
        regions=files.regions,
        init=files.init,
        model=None if files.model is None else str(files.model),
        vgg_weights=str(files.vgg_weights) if files.vgg_weights else None,
    )
    values = evaluate(made, content=files.content, style=_styles(files)).values
    differences = {
        name: Difference(value, values.get(name), tolerances.get(name, OTHER_TOLERANCE))
        for name, value in expected.values.items()
    }
    data = encode(
        made.picture,
        output.suffix,
        metadata=made.recipe.to_json(),
        source_type=made.recipe.source_type,
        bit_depth=recipe.settings.get("bit_depth", 8),
    )
    then, now = expected.environment.model_dump(), made.recipe.environment.model_dump()
    is_outside = any(difference.is_outside for difference in differences.values())
    is_same = hashlib.sha256(data).hexdigest() == expected.sha256
    return GoldenEntry(
        output.name,
        "outside" if is_outside else "identical" if is_same else "within",
        differences,
        environment={name: (str(then[name]), str(now[name])) for name in then if then[name] != now[name]},
    )


def _outputs(folder: Path) -> list[str]:
    """The names of the pictures with a recipe inside; the others are what they were made of.

    Raises:
        InputError: there is no such folder.
        UnreadableImageError: a picture cannot be read.
    """
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder; give the folder of a golden set")
    return [path.name for path in pictures_in(folder) if read_metadata(path) is not None]


def _files(recipe: Recipe, folder: Path) -> RecipeFiles:
    """What an output was made of, from the set's folder and the library of styles."""
    return RecipeFiles.find(recipe, {}, (folder, folder / "inputs", *reference_folders()))


def _styles(files: RecipeFiles) -> list[Path]:
    return [*files.styles, *(style for _, style, _ in files.regions)]


def _read(folder: Path) -> Golden:
    """What ``golden.json`` says.

    Raises:
        InputError: it is missing, or says something else.
    """
    path = folder / GOLDEN_FILE
    try:
        return Golden.model_validate_json(path.read_bytes())
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be read ({error.strerror or error}); record the golden set first"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "file"
        raise InputError(
            f"{str(path)!r} is no golden set: {where}: {first['msg']}; repair it, or remove it and record again"
        ) from None


def _sha256(path: Path) -> str:
    """SHA-256 of a file in hex.

    Raises:
        UnreadableImageError: it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise UnreadableImageError(f"cannot read {str(path)!r}: {error.strerror}; check its permissions") from None
