"""The files that a recipe names, found again by their hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Self

from impasto.errors import InputError
from impasto.hashes import file_sha256

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from impasto.recipe import Recipe, Source


@dataclass(frozen=True)
class RecipeFiles:
    """The files that a recipe names, where they lie now."""

    content: Path
    styles: tuple[Path, ...]
    regions: tuple[tuple[Path, Path, Path | None], ...]
    """Mask, style and style mask of each."""
    init: Path | None
    vgg_weights: Path | None
    """None: the packaged ones."""
    model: Path | None
    """Of engine fast or diffusion; None: the shipped one, or the one that the recipe names."""

    @classmethod
    def find(
        cls,
        recipe: Recipe,
        given: Mapping[str, Sequence[Path]],
        folders: Sequence[Path],
        *,
        sha256_of: Callable[[Path], str] = file_sha256,
    ) -> Self:
        """Look for every file by its hash: among those given for it, in any order, then by its name in the folders.

        Args:
            recipe: names the files.
            given: by option (``--content``, ``--style``, ``--mask``, ``--init``, ``--vgg-weights``, ``--model``)
                the files that were given with it.
            folders: where to look for what was not given.
            sha256_of: the hash of a file, in hex; for videos of a folder of pictures too.

        Raises:
            InputError: a file is not found, or one was given that the recipe does not name.
        """
        weights, model = recipe.settings.get("vgg_weights"), recipe.settings.get("model")
        folder = None
        if recipe.engine == "diffusion":  # its model is many files; their digest is compared after the run
            folder, model = next(iter(given.get("--model", ())), None), None
            given = {option: paths for option, paths in given.items() if option != "--model"}
        search = _Search(given, folders, sha256_of)
        found = cls(
            content=search.picture(recipe.content, "--content"),
            styles=tuple(search.picture(style, "--style") for style in recipe.styles),
            regions=tuple(
                (
                    search.picture(region.mask, "--mask"),
                    search.picture(region.style, "--style"),
                    search.picture(region.style_mask, "--mask") if region.style_mask else None,
                )
                for region in recipe.regions
            ),
            init=search.picture(recipe.init, "--init") if recipe.init else None,
            vgg_weights=search.find(str(weights), recipe.weights.sha256, "--vgg-weights") if weights else None,
            model=search.find(str(model), recipe.weights.sha256, "--model") if model else folder,
        )
        search.refuse_strangers()
        return found

    @property
    def files(self) -> tuple[Path, ...]:
        """All of them."""
        of_regions = [path for region in self.regions for path in region]
        others = (self.init, self.vgg_weights, self.model)
        return tuple(path for path in (self.content, *self.styles, *of_regions, *others) if path)


def find_sources(
    sources: Sequence[Source], option: str, given: Sequence[Path], folders: Sequence[Path]
) -> tuple[Path, ...]:
    """The files of some sources of a recipe, as :meth:`RecipeFiles.find` looks for them.

    Args:
        sources: what the recipe names.
        option: the option that gives such files, for messages.
        given: the files that were given with it.
        folders: where to look for what was not given.

    Raises:
        InputError: a file is not found, or one was given that is none of the sources.
    """
    search = _Search({option: given}, folders)
    found = tuple(search.picture(source, option) for source in sources)
    search.refuse_strangers()
    return found


class _Search:
    """Files by hash: among those given for an option, in any order, then by name in folders."""

    def __init__(
        self,
        given: Mapping[str, Sequence[Path]],
        folders: Sequence[Path],
        sha256_of: Callable[[Path], str] = file_sha256,
    ) -> None:
        def sha256(path: Path) -> str | None:
            """None if there is no such file that can be read."""
            try:
                return sha256_of(path)
            except (OSError, ValueError):  # a folder too; ValueError: a null byte in the name that a recipe gives
                return None

        self._sha256 = sha256
        self._hashes = {option: {path: sha256(path) for path in paths} for option, paths in given.items()}
        self._named: dict[str, set[str]] = {option: set() for option in given}
        self._folders = folders

    def picture(self, source: Source, option: str) -> Path:
        return self.find(source.name, source.sha256, option)

    def find(self, name: str, sha256: str, option: str) -> Path:
        """The file of that hash.

        Raises:
            InputError: there is none; the message names the file, its hash and the option that gives its place.
        """
        self._named.setdefault(option, set()).add(sha256)
        given = self._hashes.get(option, {})
        for path, its_sha256 in given.items():
            if its_sha256 == sha256:
                return path
        # The name is what a file claims; without its folders it cannot lead out of ours.
        places = [folder / PurePath(name).name for folder in self._folders]
        for path in places:
            if self._sha256(path) == sha256:
                return path
        others = list(dict.fromkeys(repr(str(path)) for path in [*given, *places] if path.exists()))
        if others:
            found = f"{' and '.join(others)} {'has' if len(others) == 1 else 'have'} another content"
        else:
            found = "it was not found"
        raise InputError(f"the recipe names {name!r} with SHA-256 {sha256}, but {found}; give its place with {option}")

    def refuse_strangers(self) -> None:
        """Refuse files that were given and not asked for."""
        for option, paths in self._hashes.items():
            for path, sha256 in paths.items():
                if sha256 not in self._named[option]:
                    raise InputError(
                        f"{option} {path} cannot be used: the recipe names no file with its content there; leave it out"
                    )
