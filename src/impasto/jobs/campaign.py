"""A campaign as a job: what is asked for, and how it becomes files that ``impasto batch`` could be called with."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from impasto.errors import OutputError, SettingsError
from impasto.jobs.job import ASSET, MAX_SIZE_PX, NOT_YOURS, STYLE
from impasto.settings import ENGINES, STARTS
from impasto.whole import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Self

    from impasto.jobs.store import Store
    from impasto.styles import Pack

_MAX_CHANNELS: Final = 16
_NAME: Final = r"[^\W_][\w .()-]{0,79}"
#: Folders beside the manifest. No style of the library can have such a name.
_PHOTOS, _STYLES, _MASKS = "_photos", "_styles", "_masks"


class CampaignInput(BaseModel):
    """A row of a campaign: a picture, and what is its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    asset: str = Field(pattern=f"^{ASSET.pattern}$", description="asset id of the picture")
    name: str | None = Field(None, pattern=f"^{_NAME}$", description="of its files; by default the id's beginning")
    style: str | None = Field(None, max_length=64, description="in place of the pack's: an asset's id, or a name")
    settings: dict[str, Any] = Field({}, max_length=64, description="of the engine, for this picture alone")
    mask: str | None = Field(
        None, pattern=f"^{ASSET.pattern}$", description="asset id of a mask: white stays the photo"
    )

    @property
    def stem(self) -> str:
        """Name of its files, without an extension."""
        return self.name or self.asset[:12]


class CampaignRequest(BaseModel):
    """What a client asks for; :meth:`rules` checks the pack, which takes the library."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    pack: str | None = Field(None, max_length=65536, description="a brand pack, the text of its TOML file")
    styles: tuple[str, ...] = Field(
        (), max_length=16, description="in place of a pack: asset ids, or names of the library's styles"
    )
    name: str | None = Field(None, min_length=1, max_length=200, description="by default that of the pack")
    inputs: tuple[
        Annotated[CampaignInput, BeforeValidator(lambda one: {"asset": one} if isinstance(one, str) else one)], ...
    ] = Field(min_length=1, max_length=500, description="asset ids of the pictures, or objects with an asset")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.pack is None) == (not self.styles):
            raise ValueError("give either a pack or styles")
        stems = Counter(one.stem.casefold() for one in self.inputs)
        if twice := next((stem for stem, many in stems.items() if many > 1), None):
            raise ValueError(f"the name {twice!r} is there twice; give each input a name of its own")
        return self

    @property
    def style_words(self) -> tuple[str, ...]:
        """Asset ids and names of all styles, as far as the pack can be read."""
        found = self._written().get("styles", ())
        words = [found] if isinstance(found, str) else list(found) if isinstance(found, list | tuple) else []
        return tuple(dict.fromkeys(str(word) for word in [*words, *(one.style for one in self.inputs if one.style)]))

    @property
    def title(self) -> str:
        """Its name, as far as the pack can be read."""
        return str(self.name or self._written().get("name", "campaign"))

    @property
    def assets(self) -> tuple[str, ...]:
        """Ids of the assets that it needs."""
        masks = [one.mask for one in self.inputs if one.mask]
        styles = [word for word in self.style_words if ASSET.fullmatch(word)]
        return tuple(dict.fromkeys([*(one.asset for one in self.inputs), *masks, *styles]))

    @property
    def library_styles(self) -> tuple[str, ...]:
        """Names of the library's styles that it needs."""
        return tuple(word for word in self.style_words if not ASSET.fullmatch(word))

    @property
    def engine_name(self) -> str:
        """The engine that the pack asks for."""
        return self.rules().run[0]

    @property
    def image_size(self) -> int | None:
        """The longer side that the pack asks for, if it can be read."""
        size = self.rules().run[1].get("image_size")
        return int(size) if size else None

    def rules(self) -> Pack:
        """The pack, checked for what a stranger may ask for.

        Raises:
            SettingsError: it is no TOML, a rule is none, or it names files of the server.
        """
        from impasto.styles.pack import make_pack

        try:
            found = {"styles": self.styles} if self.pack is None else tomllib.loads(self.pack)
        except tomllib.TOMLDecodeError as error:
            raise SettingsError(f"the pack is no TOML: {error}") from None
        pack = make_pack(found if self.name is None else {**found, "name": self.name}, "the pack")
        for word in self.style_words:
            if not STYLE.fullmatch(word) and not ASSET.fullmatch(word):
                raise SettingsError(f"{word[:80]!r} is neither an asset's id nor the name of a style")
        if pack.protect.mask is not None:
            raise SettingsError("protect.mask names a file of the server; upload masks and give each input its own")
        if len(pack.channels) > _MAX_CHANNELS:
            raise SettingsError(f"there are {len(pack.channels)} channels, and at most {_MAX_CHANNELS} are taken")
        for channel in pack.channels:
            if max(channel.width, channel.height) > MAX_SIZE_PX:
                raise SettingsError(f"the channel {channel.name!r} is larger than {MAX_SIZE_PX} px a side")
        engine, settings = pack.run
        for own in ({}, *(one.settings for one in self.inputs)):
            _check_settings(engine, {**settings, **own})
        return pack

    def _written(self) -> dict[str, Any]:
        """What the pack's text says, unchecked; nothing where it is no TOML."""
        try:
            return {"styles": self.styles} if self.pack is None else tomllib.loads(self.pack)
        except tomllib.TOMLDecodeError:
            return {}


def _check_settings(engine: str, settings: dict[str, Any]) -> None:
    for name, reason in NOT_YOURS.items():
        if settings.get(name) is not None:
            raise SettingsError(f"the setting {name} cannot be given to a service: {reason}")
    if settings.get("init") not in (None, *STARTS):
        raise SettingsError(f"init must be one of {', '.join(STARTS)} here")
    size = ENGINES[engine].of(**settings).image_size
    if size is not None and size > MAX_SIZE_PX:
        raise SettingsError(f"image_size is {size}, and at most {MAX_SIZE_PX} is taken by a service")


def lay_out(
    request: CampaignRequest, store: Store, owner: str, place: Path, own: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Pack, Path]:
    """Put a campaign's pictures into a folder under their names. Said again, it changes nothing.

    They are links to the uploads, which may then be deleted.

    Args:
        request: what is asked for.
        store: where the uploads lie.
        owner: whose.
        place: the folder; made if it is not there.
        own: settings that are the service's.

    Returns:
        The pack with its styles and masks as paths, and a manifest of the pictures.

    Raises:
        SettingsError: as :meth:`CampaignRequest.rules`.
        UnknownAssetError: an upload is not there any more.
        OutputError: it cannot be written.
    """
    pack = request.rules()
    pack = pack.model_copy(update={"settings": {**pack.settings, **own}})

    def put(asset: str, kind: str, stem: str) -> str:
        target = place / kind / f"{stem}.picture"
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not target.exists():
                source = store.asset(asset, owner=owner)
                try:
                    target.hardlink_to(source)
                except OSError:  # a file system without links
                    shutil.copyfile(source, target)
        except OSError as error:
            raise OutputError(f"cannot lay out the campaign: {error.strerror or error}; free some space") from error
        return str(target)

    def style_at(word: str) -> str:
        return put(word, _STYLES, word[:12]) if ASSET.fullmatch(word) else word

    rows = []
    for one in request.inputs:
        row = {"picture": put(one.asset, _PHOTOS, one.stem), **one.settings}
        if one.style is not None:
            row["style"] = style_at(one.style)
        if one.mask is not None:
            put(one.mask, _MASKS, one.stem)
        rows.append(row)
    manifest = place / "manifest.jsonl"
    write_whole(manifest, "".join(json.dumps(row) + "\n" for row in rows).encode())
    if any(one.mask for one in request.inputs):
        masks = str(place / _MASKS / "{picture}.picture")
        pack = pack.model_copy(update={"protect": pack.protect.model_copy(update={"mask": masks})})
    return pack.model_copy(update={"styles": tuple(map(style_at, pack.styles))}), manifest
