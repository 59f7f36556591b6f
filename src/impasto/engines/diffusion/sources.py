"""Which files paint a picture: a model of the registry, or a user's folder with what lies beside it, all checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, get_args

from impasto.engines.diffusion.digests import check
from impasto.engines.diffusion.editing import check_guidance, check_settings
from impasto.engines.diffusion.lora import LoraFacts, check_lora, lora_facts
from impasto.engines.diffusion.preflight import (
    AdapterFacts,
    adapter_facts,
    check_adapter,
    check_base,
    check_control,
    check_network,
    read_json,
    refuse_pickle,
)
from impasto.engines.diffusion.registry import EDITORS, MODELS, PARTS, Control, find, locate
from impasto.errors import SettingsError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from impasto.engines.diffusion.registry import Family, Located, Model, Part
    from impasto.settings import DiffusionSettings

#: Inside a user's folder: the adapter with its encoder, and ControlNets by what they are shown.
ADAPTER_FOLDER: Final = "ip_adapter"
_CONTROL_FOLDER: Final = "controlnet_{kind}"
_PREVIEW_FOLDER: Final = "taesd"
#: What of a folder of unknown origin is taken from the model of its family.
_LIKE: Final[dict[Family, str]] = {"sdxl": "sdxl", "sd15": "sd15-lcm"}


#: Folders of a base that decide what it paints.
_NESTED: Final = frozenset(
    {"scheduler", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "unet", "vae"}
)
#: Steps and guidance of a user's folder with a model that edits: distilled to few steps, or not.
_EDITORS_PACE: Final[dict[bool, tuple[int, float]]] = {True: (4, 1.0), False: (50, 4.0)}


@dataclass(frozen=True)
class Sources:
    """Files that paint together."""

    name: str
    """The model's, or its folder's."""
    family: Family
    base: Path
    adapter: AdapterFacts | None
    """With its encoder; None: a LoRA alone gives the style."""
    encoder: Path | None
    control: Path | None
    control_kind: Control | None
    preview: Path | None
    lora: Path | None
    """Merged into the base for few steps."""
    scheduler: str
    steps: int
    guidance_scale: float
    licences: tuple[str, ...]
    """Of the registry's parts; what a user's own folder may be used for only the user knows."""
    style: LoraFacts | None = None
    """A LoRA that was trained on a style."""

    def files(self, *, worn: bool = True) -> Iterator[Path]:
        """Everything that decides the picture; without ``worn`` only what stays loaded when the style changes."""
        yield from base_files(self.base)
        for folder in (self.encoder, self.control):
            if folder is not None:
                yield from _in_folder(folder)
        if self.adapter is not None:
            yield self.adapter.path
        if self.lora is not None:
            yield self.lora
        if worn and self.style is not None:
            yield self.style.path


def gather(settings: DiffusionSettings) -> Sources:
    """Find and check all files that the settings ask for, and refuse settings that the model has no use for.

    Raises:
        WeightsError: something is missing, damaged, a pickle, or does not belong together.
        SettingsError: an unknown model, a control that the model has none for, a setting it has no use for, or a
            licence that was not accepted.
    """
    asked = settings
    style = None if settings.lora is None else lora_facts(Path(settings.lora))
    if settings.adapter is None:  # a LoRA is the style; who wants the references' look besides says so
        settings = settings.model_copy(update={"adapter": "base" if style is None else "none"})
    if style is not None and settings.model is None and style.about and style.model is None:
        raise SettingsError(
            f"the LoRA was trained on a model of the user's, {style.about.get('base')!r}; give its folder by model=PATH"
        )
    model, folder = named_model(settings.model or (style.model if style is not None else None))
    if model is not None and model.family in EDITORS:
        check_settings(asked, model.id)
        base = located_base(model, accept_license=settings.accept_license)
        pace = model.steps, model.guidance_scale
        return _editor(asked, model.id, base, model.family, pace, _licences([PARTS[model.base]]))
    family = check_base(folder) if model is None else model.family
    if family in EDITORS:
        name = folder.resolve().name
        check_settings(asked, name)
        pace = _EDITORS_PACE[bool(read_json(folder / "model_index.json").get("is_distilled"))]
        return _editor(asked, name, folder, family, pace, ())
    sources = _of_registry(model, settings) if model is not None else _of_folder(folder, family, settings)
    if style is None:
        return sources
    check_lora(style, sources.base)
    return replace(sources, style=style)


def named_model(name: str | None) -> tuple[Model | None, Path]:
    """What a name of a model means: a model of the registry, or a folder.

    Raises:
        SettingsError: neither.
    """
    named = name or "sdxl"
    model = MODELS.get(named)
    if model is None and not Path(named).exists() and len(Path(named).parts) == 1:
        raise SettingsError(
            f"no model named {named!r}; there are {', '.join(MODELS)}, or give the path of a folder in the layout of "
            "diffusers"
        )
    return model, Path(named)


def located_base(model: Model, *, accept_license: bool) -> Path:
    """The checked folder of a registered model's base.

    Raises:
        SettingsError: a licence was not accepted.
        WeightsError: it is missing, damaged or of another family.
    """
    for part in (PARTS[model.base], *((PARTS[model.lora],) if model.lora else ())):
        if not part.commercial and not accept_license:
            raise SettingsError(
                f"model {model.id} is under {part.licence}, which forbids commercial use; give accept_license to use "
                "it for other ends, or take another model"
            )
    base = _located(model.base)
    if check_base(base.folder) != model.family:
        raise WeightsError(f"{base.folder} is not a model of {model.family}; download it again")
    return base.folder


def base_files(base: Path) -> Iterator[Path]:
    """Everything of a base that decides what it paints."""
    for folder in [base, *(path for path in sorted(base.iterdir()) if path.name in _NESTED)]:
        yield from _in_folder(folder)


def _in_folder(folder: Path) -> Iterator[Path]:
    for kind in ("*.safetensors", "*.json", "*.txt", "*.jinja"):
        yield from sorted(folder.glob(kind))


def _of_registry(model: Model, settings: DiffusionSettings) -> Sources:
    base = located_base(model, accept_license=settings.accept_license)
    used = [PARTS[model.base]]
    facts, encoder = _adapter(model, settings, base, used)
    kind = _kind(settings, next(iter(model.controls)))
    control = _control(model, kind, settings, base, used)
    lora = None if model.lora is None else _only_file(_located(model.lora).files.values())
    if model.lora is not None:
        used.append(PARTS[model.lora])
    preview = None if model.preview is None else find(PARTS[model.preview])
    small = None if preview is None else preview.folder
    return Sources(
        model.id, model.family, base, facts, encoder, control, kind, small, lora,
        model.scheduler, model.steps, model.guidance_scale, _licences(used),
    )  # fmt: skip


def _editor(
    asked: DiffusionSettings, name: str, base: Path, family: Family, pace: tuple[int, float], licences: tuple[str, ...]
) -> Sources:
    """A model that is shown the references itself: its base is all there is."""
    check_guidance(asked, name, read_json(base / "model_index.json"))
    return Sources(name, family, base, None, None, None, None, None, None, "own", *pace, licences)


def _of_folder(folder: Path, family: Family, settings: DiffusionSettings) -> Sources:
    like = MODELS[_LIKE[family]]
    used: list[Part] = []
    inside = sorted((folder / ADAPTER_FOLDER).glob("*.safetensors"))
    if inside and settings.ip_adapter is None and settings.adapter in ("base", "plus"):
        settings = settings.model_copy(update={"ip_adapter": str(_named_like(inside, settings.adapter))})
    facts, encoder = _adapter(like, settings, folder, used)
    own = [kind for kind in get_args(Control) if (folder / _CONTROL_FOLDER.format(kind=kind)).is_dir()]
    kind = _kind(settings, own[0] if own else None)
    if settings.control_model is None and kind in own:
        settings = settings.model_copy(update={"control_model": str(folder / _CONTROL_FOLDER.format(kind=kind))})
    control = _control(like, kind, settings, folder, used)
    preview = folder / _PREVIEW_FOLDER
    return Sources(
        folder.resolve().name, family, folder, facts, encoder, control, kind, preview if preview.is_dir() else None,
        None, "own", 30, 5.0, _licences(used),
    )  # fmt: skip


def _adapter(
    model: Model, settings: DiffusionSettings, base: Path, used: list[Part]
) -> tuple[AdapterFacts, Path] | tuple[None, None]:
    """The adapter's facts and its encoder's folder, which belong together and to the base."""
    if settings.adapter is None or settings.adapter == "none":
        return None, None
    if settings.ip_adapter is not None:
        path = Path(settings.ip_adapter)
        refuse_pickle(path)
        beside = path.parent / "image_encoder"
        encoder = beside if beside.is_dir() else _located(_encoder(model)).folder
        if encoder != beside:
            used.append(PARTS[_encoder(model)])
    else:
        path = _only_file(_located(model.adapters[settings.adapter]).files.values())
        encoder = _located(_encoder(model)).folder
        used += [PARTS[model.adapters[settings.adapter]], PARTS[_encoder(model)]]
    facts = adapter_facts(path)
    check_network(encoder, name="the image encoder")
    check_adapter(facts, base, encoder)
    return facts, encoder


def _encoder(model: Model) -> str:
    """What looks at the references for the model's adapters."""
    assert model.encoder is not None  # noqa: S101 — only a family of EDITORS has none
    return model.encoder


def _kind(settings: DiffusionSettings, own: Control | None) -> Control | None:
    """What a ControlNet is shown, if there is one."""
    if settings.control == "none" or (settings.control == "auto" and settings.preserve == "free"):
        return None
    if settings.control != "auto":
        return settings.control
    if settings.control_model is not None and own is None:
        raise SettingsError("control_model is given; say what it was trained on by control=tile, canny or lineart")
    return own


def _control(
    model: Model, kind: Control | None, settings: DiffusionSettings, base: Path, used: list[Part]
) -> Path | None:
    if kind is None:
        if settings.control_model is not None:
            raise SettingsError("control_model is given but no ControlNet is used; leave it out, or change control")
        return None
    if settings.control_model is not None:
        folder = Path(settings.control_model)
    elif kind in model.controls:
        folder = _located(model.controls[kind]).folder
        used.append(PARTS[model.controls[kind]])
    else:
        raise SettingsError(
            f"there is no ControlNet for {kind} with {model.id}, which has {', '.join(model.controls)}; give its "
            "folder by control_model"
        )
    check_control(folder, base)
    return folder


def _located(part: str) -> Located:
    """A part of the registry, whole and unchanged."""
    located = locate(PARTS[part])
    check(located)
    return located


def _only_file(paths: Iterable[Path]) -> Path:
    (path,) = paths
    return path


def _named_like(paths: list[Path], adapter: str) -> Path:
    """Of several adapters the base one or the Plus one, by their names."""
    fitting = [path for path in paths if ("plus" in path.name) == (adapter == "plus")]
    if len(fitting) != 1:
        raise WeightsError(
            f"{paths[0].parent} holds {len(fitting)} adapters of kind {adapter}; name the file by ip_adapter=PATH"
        )
    return fitting[0]


def _licences(parts: list[Part]) -> tuple[str, ...]:
    return tuple(f"{part.id}: {part.licence}" for part in parts)
