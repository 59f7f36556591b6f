"""The protocol of a study: what is compared, on which pictures, with which questions, and how many votes decide.

It is written once, before the first vote, with the SHA-256 of every picture, and votes name the protocol they were
given under. So neither the number of votes nor the pictures can be chosen after looking.
"""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Final, Literal, Self, get_args

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import InputError, OutputError, SettingsError
from impasto.evaluation.manifest import entries_from_recipes, pictures_in, read_manifest
from impasto.hashes import file_sha256
from impasto.images import read
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from impasto.evaluation.manifest import Entry

Question = Literal["overall", "style", "content"]
Side = Literal["left", "right"]

#: Which better combines content and style; which better captures the style; which better keeps the content.
QUESTIONS: Final[tuple[Question, ...]] = get_args(Question)

#: With fewer, the same pair would come twice in a row.
MIN_PAIRS: Final = 3

#: A rater gets no more for one question unless the study says so: about six minutes' work.
DEFAULT_TRIALS: Final = 40

#: Outputs of a pair may differ by this much in their aspect ratio: a pixel of rounding at 64 px.
_ASPECT_TOLERANCE: Final = 0.02


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StudyPicture(_Part):
    """A picture as it was when the study was made."""

    path: str = Field(description="relative to the study's folder, with slashes")
    sha256: str
    width: int = Field(ge=1)
    height: int = Field(ge=1)


class StudyPair(_Part):
    """A content and its style, painted by every variant."""

    name: str = Field(description="the outputs' file name, the same in every variant's folder")
    content: StudyPicture
    styles: tuple[StudyPicture, ...] = Field(min_length=1)
    outputs: tuple[StudyPicture, ...] = Field(min_length=2, description="one per variant, in their order")

    @property
    def style_key(self) -> tuple[str, ...]:
        """Equal for pairs with the same style, or the same mix."""
        return tuple(style.sha256 for style in self.styles)

    @property
    def style_name(self) -> str:
        """The style's file name without extension, or those of the mix."""
        return " + ".join(PurePath(style.path).stem for style in self.styles)


class Study(_Part):
    """What is frozen before the first vote."""

    study: Literal[1] = 1
    created: str = Field(description="UTC, ISO 8601")
    seed: int = Field(ge=0)
    questions: tuple[Question, ...] = Field(min_length=1)
    votes: int = Field(ge=1, description="valid votes that a verdict on a question needs")
    margin: float = Field(gt=0, lt=0.5, description="differences of a win rate from 1/2 up to this do not matter")
    trials: int = Field(ge=MIN_PAIRS, description="that a rater gets for each question, beside attention trials")
    variants: tuple[str, ...] = Field(min_length=2)
    pairs: tuple[StudyPair, ...] = Field(min_length=MIN_PAIRS)

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if any(len(pair.outputs) != len(self.variants) for pair in self.pairs):
            raise ValueError("a pair has not one output for each variant")
        if len({pair.name for pair in self.pairs}) < len(self.pairs):
            raise ValueError("two pairs have the same name")
        if len({(pair.content.sha256, pair.style_key) for pair in self.pairs}) < 2:
            raise ValueError("all pairs have the same content and style")
        return self

    @property
    def digest(self) -> str:
        """Names this protocol in every vote: 16 hex digits of its SHA-256."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def comparisons(self) -> tuple[tuple[int, int], ...]:
        """Every two variants, by their numbers, the earlier one first."""
        return tuple(combinations(range(len(self.variants)), 2))


def study_file(folder: Path) -> Path:
    """Where a study's protocol stands."""
    return folder / "study.json"


def votes_file(folder: Path) -> Path:
    """Where a study's votes stand."""
    return folder / "votes.jsonl"


def load_study(folder: Path) -> Study:
    """The study of a folder.

    Raises:
        InputError: there is none, or its file is damaged.
    """
    path = study_file(folder)
    try:
        text = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"there is no study in {str(folder)!r} ({error.strerror or error}); make one with `impasto study new`"
        ) from None
    try:
        return Study.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise InputError(
            f"{str(path)!r} cannot be read as a study: {where}: {first['msg']}; restore it, or make a new study"
        ) from None


def create_study(
    folder: Path,
    variants: Sequence[Path],
    *,
    votes: int = 200,
    questions: Sequence[Question] = QUESTIONS,
    manifest: Path | None = None,
    inputs: Sequence[Path] = (),
    margin: float = 0.1,
    trials: int | None = None,
    seed: int = 0,
) -> Study:
    """Fix a study's protocol and write it into its folder as ``study.json``.

    Args:
        folder: made if it is not there.
        variants: folders of outputs, at least two. Files of the same name are the same pair; a name that is not in
            every folder is left out.
        votes: valid votes that a verdict on a question needs, over all comparisons.
        questions: what raters are asked.
        manifest: a CSV file ``output,content,style``, matched by the outputs' names; without it the recipes inside the
            outputs say what they were made of.
        inputs: folders to look for what the recipes name, and in the folders right in them.
        margin: how far a win rate may be from ½ without mattering, in (0, 0.5).
        trials: that a rater gets for each question; by default all there are, at most 40.
        seed: of the order and of what goes left.

    Raises:
        InputError: the study has votes already; fewer than two variants or three pairs; content or style is unknown, or
            not the same for all variants; two outputs of a pair are the same file or have different shapes.
        SettingsError: ``votes``, ``margin`` or ``trials`` is out of bounds; a question is unknown or asked twice.
        OutputError: the folder cannot be written to.
    """
    _refuse_voted(folder)
    _check(votes, questions, margin)
    if len(variants) < 2:
        raise InputError(f"a study compares at least 2 variants, but there are {len(variants)}; give more folders")
    names = _variant_names(variants)
    entries = _entries(variants, manifest, inputs)
    pairs = tuple(_pair(folder, name, entries[name], variants, names) for name in _shared_names(variants))
    if len(pairs) < MIN_PAIRS:
        raise InputError(
            f"only {len(pairs)} file names are in all of {', '.join(names)}, but a study needs {MIN_PAIRS} pairs, "
            "so that none comes twice in a row; add outputs under the same names"
        )
    if len({(pair.content.sha256, pair.style_key) for pair in pairs}) < 2:
        raise InputError(
            "all pairs have the same content and style, but a check on raters needs another; add a pair that differs"
        )
    most = len(pairs) * len(variants) * (len(variants) - 1) // 2
    if trials is not None and not MIN_PAIRS <= trials <= most:
        raise SettingsError(
            f"trials is {trials}, but a rater can get from {MIN_PAIRS} to {most} for each question; give one of these"
        )
    study = Study(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seed=seed,
        questions=tuple(questions),
        votes=votes,
        margin=margin,
        trials=trials or min(most, DEFAULT_TRIALS),
        variants=names,
        pairs=pairs,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write a study into {str(folder)!r}: {error.strerror or error}; choose another folder"
        ) from error
    write_whole(study_file(folder), f"{study.model_dump_json(indent=1)}\n".encode())
    return study


def _refuse_voted(folder: Path) -> None:
    """A protocol that people have voted under stays as it is."""
    votes = votes_file(folder)
    if votes.exists() and votes.stat().st_size:
        raise InputError(
            f"the study in {str(folder)!r} has votes already, and its protocol stays as it is; choose another folder"
        )
    if lock_file(folder).exists():
        try:
            with FileLock(lock_file(folder), timeout=0):
                pass
        except Timeout:
            raise InputError(
                f"the study in {str(folder)!r} is being shown to people; end its `impasto study run` first"
            ) from None


def lock_file(folder: Path) -> Path:
    """What a process that collects votes holds."""
    return folder / ".votes.lock"


def _check(votes: int, questions: Sequence[Question], margin: float) -> None:
    if votes < 1:
        raise SettingsError(f"votes is {votes}, but a verdict needs at least 1; give the number that decides")
    if not 0 < margin < 0.5:
        raise SettingsError(f"margin is {margin}, but must lie between 0 and 0.5; 0.1 is usual")
    if not questions or len(set(questions)) < len(questions) or not set(questions) <= set(QUESTIONS):
        raise SettingsError(
            f"questions are {', '.join(questions) or 'none'}; ask any of {', '.join(QUESTIONS)}, each once"
        )


def _variant_names(variants: Sequence[Path]) -> tuple[str, ...]:
    """The folders' names, or their paths where two have the same name."""
    names = tuple(path.resolve().name for path in variants)
    if len(set(names)) < len(names):
        names = tuple(path.as_posix() for path in variants)
    if len({path.resolve() for path in variants}) < len(variants) or len(set(names)) < len(names):
        raise InputError(f"the variants {', '.join(names)} are not all different folders; give each once")
    return names


def _shared_names(variants: Sequence[Path]) -> list[str]:
    """The names of pictures that are in every folder."""
    for path in variants:
        if not path.is_dir():
            raise InputError(f"{str(path)!r} is no folder; give a folder of outputs for each variant")
    first, *others = ({picture.name for picture in pictures_in(path)} for path in variants)
    return sorted(first.intersection(*others))


def _entries(variants: Sequence[Path], manifest: Path | None, inputs: Sequence[Path]) -> Mapping[str, list[Entry]]:
    """By file name, what each variant's output was made of, as far as that is known."""
    shared = _shared_names(variants)
    found: dict[str, list[Entry]] = {name: [] for name in shared}
    reasons: dict[str, str] = {}
    if manifest:
        for entry in read_manifest(manifest):
            found.get(entry.output.name, []).append(entry)
        reasons = dict.fromkeys(shared, f"it is not in the manifest {str(manifest)!r}")
    else:
        for folder in variants:
            entries, problems = entries_from_recipes(folder, inputs)
            reasons.update((problem.name, problem.reason) for problem in problems)
            for entry in entries:
                found.get(entry.output.name, []).append(entry)
    for name, entries in found.items():
        if not entries:
            raise InputError(f"content and style of {name} are not known: {reasons[name]}")
    return found


def _pair(
    folder: Path, name: str, entries: Sequence[Entry], variants: Sequence[Path], names: Sequence[str]
) -> StudyPair:
    """A pair with every variant's output, read once: what raters cannot be shown is found out now."""
    made_of = {
        (_picture(folder, entry.content), tuple(_picture(folder, style) for style in entry.styles)): entry
        for entry in entries
    }
    kinds = {(content.sha256, tuple(style.sha256 for style in styles)) for content, styles in made_of}
    if len(kinds) > 1:
        raise InputError(
            f"the outputs {name} were not all made of the same content and style; give pairs the same file name only"
        )
    content, styles = next(iter(made_of))
    outputs = tuple(_picture(folder, variant / name) for variant in variants)
    for (a, first), (b, second) in combinations(zip(names, outputs, strict=True), 2):
        if first.sha256 == second.sha256:
            raise InputError(f"{name} is the same file in {a} and {b}, so that nobody can choose; leave it out")
        ratio = first.width * second.height / (first.height * second.width)
        if abs(ratio - 1) > _ASPECT_TOLERANCE:
            raise InputError(
                f"{name} is {first.width}x{first.height} px in {a} and {second.width}x{second.height} px in {b}, but "
                "raters must see the same shape; crop one of them"
            )
    return StudyPair(name=name, content=content, styles=styles, outputs=outputs)


def _picture(folder: Path, path: Path) -> StudyPicture:
    """A file that can be read as a picture, with its hash and size."""
    picture = read(path)
    try:
        place = os.path.relpath(path.resolve(), folder.resolve())
    except ValueError:  # another drive
        place = str(path.resolve())
    sha256 = picture.sha256 or ""  # what comes from a file has one
    return StudyPicture(path=Path(place).as_posix(), sha256=sha256, width=picture.width, height=picture.height)


def changed_pictures(study: Study, folder: Path) -> list[str]:
    """The paths of pictures that are gone or are not what they were when the study was made."""
    return sorted({picture.path for picture in pictures_of(study) if _sha256(folder / picture.path) != picture.sha256})


def pictures_of(study: Study) -> Iterable[StudyPicture]:
    """Every picture that raters may see; some come more than once."""
    for pair in study.pairs:
        yield from (pair.content, *pair.styles, *pair.outputs)


def _sha256(path: Path) -> str | None:
    try:
        return file_sha256(path)
    except OSError:
        return None
