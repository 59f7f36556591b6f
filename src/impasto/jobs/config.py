"""What whoever runs a service writes down in ``impasto.toml``, in the service's folder: all its workers read it."""

from __future__ import annotations

import hashlib
import tomllib
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from impasto.errors import SettingsError, first_problem
from impasto.settings import ENGINES, choose_engine

if TYPE_CHECKING:
    from pathlib import Path

#: The file in the service's folder.
CONFIG_FILE: Final = "impasto.toml"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CanaryConfig(_Table):
    """Other settings, styles or another network that a share of the jobs is made with, to see whether they hold."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="shown in jobs and metrics")
    share: float = Field(0.1, gt=0, le=0.5, description="of the jobs that it could be tried on")
    engine: Literal["fast", "optimize"] | None = Field(None, description="only its jobs; needed for settings")
    quality: Literal["draft", "standard", "fine"] | None = Field(None, description="only jobs that ask for it")
    settings: dict[str, Any] = Field({}, description="of the engine; jobs that set one of them are left alone")
    styles: dict[str, str] = Field({}, description="a style of the library in the place of another")

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        if not self.settings and not self.styles:
            raise ValueError("give settings or styles that are to be tried")
        if self.settings:
            if self.engine is None:
                raise ValueError("settings need the engine whose they are")
            try:
                choose_engine(self.engine, self.quality)
                ENGINES[self.engine].of(**self.settings)
            except SettingsError as error:
                raise ValueError(str(error)) from None
        return self

    @property
    def id(self) -> str:
        """Its name with a hash of what is tried: another trial under the same name is another canary."""
        tried = self.model_dump_json(exclude={"name", "share"})
        return f"{self.name}-{hashlib.sha256(tried.encode()).hexdigest()[:8]}"


class DriftConfig(_Table):
    """The windows of the quality log that are compared."""

    # The least that evaluation/drift.py takes, which is not imported here: it needs a second to load.
    reference: int = Field(default=200, ge=50, description="the first results, when all was well")
    recent: int = Field(default=50, ge=20, description="the last results")


class DiffusionConfig(_Table):
    """That jobs may be painted by engine diffusion, which holds a worker for longer than the others, and with what."""

    model: str = Field("sdxl", min_length=1, description="of the registry, or a folder's path")
    accept_license: bool = Field(False, description="that of a model which is not for commercial use")


class ServiceFile(_Table):
    """All of ``impasto.toml``."""

    canary: CanaryConfig | None = None
    diffusion: DiffusionConfig | None = None
    drift: DriftConfig = Field(default_factory=DriftConfig)

    def settings_for(self, engine: str) -> dict[str, Any]:
        """Settings that are the service's, not a client's.

        Raises:
            SettingsError: the engine is not offered.
        """
        if engine != "diffusion":
            return {}
        if self.diffusion is None:
            raise SettingsError(
                "this service does not offer engine diffusion; give fast or optimize, or a quality "
                f"(whoever runs it can offer it by [diffusion] in {CONFIG_FILE})"
            )
        return self.diffusion.model_dump()

    @classmethod
    def load(cls, home: Path) -> Self:
        """Read it; without a file all is as it is by default.

        Raises:
            SettingsError: it says what cannot be done.
        """
        path = home / CONFIG_FILE
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return cls()
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise SettingsError(f"{str(path)!r} cannot be read: {error}; correct it or remove it") from None
        except ValidationError as error:
            place, reason = first_problem(error)
            raise SettingsError(f"{str(path)!r}: {place}: {reason}") from None
