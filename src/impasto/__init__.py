"""impasto puts the style of one picture onto the content of another.

    import impasto
    result = impasto.stylize("photo.jpg", "painting.jpg", image_size=512)
    result.save("out.png")

Everything public is listed in ``__all__`` and loaded when first used: importing impasto does not import PyTorch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from impasto.api import (
        check_golden,
        compare,
        evaluate,
        evaluate_set,
        evaluate_video,
        explain,
        generate,
        plan,
        plan_campaign,
        read_recipe,
        record_golden,
        rerun,
        rerun_video,
        run_campaign,
        sign,
        stylize,
        stylize_video,
        sweep,
        verify,
    )
    from impasto.batch.summary import Campaign
    from impasto.engines.base import Region, RunPlan, Stylization
    from impasto.errors import (
        DivergedError,
        EngineError,
        ImageTooSmallError,
        ImpastoError,
        InputError,
        MissingExtraError,
        OutOfMemoryError,
        OutputError,
        RefusedPictureError,
        SettingsError,
        SigningError,
        UnreadableImageError,
        WeightsError,
    )
    from impasto.evaluation.judge import Evaluation
    from impasto.images import Picture
    from impasto.progress import Cancelled, CancelToken, Progress
    from impasto.provenance.verification import Verification
    from impasto.recipe import Recipe
    from impasto.settings import OptimizeSettings
    from impasto.styles import Pack

__all__ = [
    "Campaign",
    "CancelToken",
    "Cancelled",
    "DivergedError",
    "EngineError",
    "Evaluation",
    "ImageTooSmallError",
    "ImpastoError",
    "InputError",
    "MissingExtraError",
    "OptimizeSettings",
    "OutOfMemoryError",
    "OutputError",
    "Pack",
    "Picture",
    "Progress",
    "Recipe",
    "RefusedPictureError",
    "Region",
    "RunPlan",
    "SettingsError",
    "SigningError",
    "Stylization",
    "UnreadableImageError",
    "Verification",
    "WeightsError",
    "check_golden",
    "compare",
    "evaluate",
    "evaluate_set",
    "evaluate_video",
    "explain",
    "generate",
    "plan",
    "plan_campaign",
    "read_recipe",
    "record_golden",
    "rerun",
    "rerun_video",
    "run_campaign",
    "sign",
    "stylize",
    "stylize_video",
    "sweep",
    "verify",
]

_HOMES = {
    "impasto.api": (
        "check_golden",
        "compare",
        "evaluate",
        "evaluate_set",
        "evaluate_video",
        "explain",
        "generate",
        "plan",
        "plan_campaign",
        "read_recipe",
        "record_golden",
        "rerun",
        "rerun_video",
        "run_campaign",
        "sign",
        "stylize",
        "stylize_video",
        "sweep",
        "verify",
    ),
    "impasto.batch.summary": ("Campaign",),
    "impasto.engines.base": ("Region", "RunPlan", "Stylization"),
    "impasto.evaluation.judge": ("Evaluation",),
    "impasto.images": ("Picture",),
    "impasto.progress": ("CancelToken", "Cancelled", "Progress"),
    "impasto.provenance.verification": ("Verification",),
    "impasto.recipe": ("Recipe",),
    "impasto.settings": ("OptimizeSettings",),
    "impasto.styles": ("Pack",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'impasto' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF.get(name, "impasto.errors")), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
