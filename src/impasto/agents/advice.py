"""What to try next: for every finding of the gates, the one setting that is most likely to help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from impasto.agents.judging import Verdict
    from impasto.jobs.job import Job

_MORE: Final = "more of the style"
_LESS: Final = "more of the photo"

#: By metric: what helps when it is too low, and when it is too high.
_HELP: Final[dict[str, tuple[str | None, str | None]]] = {
    "visible_change": (_MORE, None),
    "style_gain": (_MORE, None),
    "style_gain_efficientnet": (_MORE, None),
    "style_gain_kept": ("larger strokes", None),
    "content_distance": (None, _LESS),
    "recognition": (_LESS, _MORE),
    "edge_content": (None, _MORE),
    "edge_style": (None, "calmer"),
    "leak": (None, "calmer"),
    "color_cast": (None, "the photo's colours"),
    "color_kept": (None, "the photo's colours"),
    "checkerboard": (None, "finer work"),
    "noise_ratio": (None, "finer work"),
    "sharpness": ("finer work", None),
    "seam_ratio": (None, "finer work"),
    "flatness": (_LESS, None),
    "clipping": (None, _LESS),
}


def next_steps(job: Job, verdict: Verdict | None) -> list[dict[str, Any]]:
    """Calls of tools that may make the picture better, the best first; at most three.

    Args:
        job: that painted it.
        verdict: on the picture; None: it was not judged.
    """
    steps: list[dict[str, Any]] = []
    if verdict is None:
        steps.append({"tool": "evaluate", "arguments": {"picture": f"job:{job.id}"}, "because": "it was not judged"})
    else:
        for wish in dict.fromkeys(
            _HELP.get(one.metric, (None, None))[0 if one.is_low else 1] for one in verdict.findings
        ):
            steps += _changes(job, wish) if wish else []
    finer = {"draft": "standard", "standard": "fine"}.get(job.request.quality or "")
    if finer and (verdict is None or not steps):
        steps.append(_again(job, {"quality": finer}, "finer strokes, if the look is right"))
    return steps[:3]


def _changes(job: Job, wish: str) -> list[dict[str, Any]]:
    """Calls that answer one wish; none where nothing is left to turn."""
    settings, quality = job.request.settings, job.request.quality
    strength = float(settings.get("strength", 1.0))
    if wish == _LESS:
        calmer = [] if quality == "draft" else [_again(job, {"preset": "faithful"}, "it keeps more of the shapes")]
        return [_again(job, {"strength": round(max(0.3, strength - 0.3), 2)}, "more of the photo stays"), *calmer]
    if wish == _MORE:
        if strength < 1:
            return [_again(job, {"strength": round(min(1.0, strength + 0.3), 2)}, "more of the style")]
        if quality == "draft":
            return [_again(job, {"quality": "standard"}, "an optimisation brings more of the style than one pass")]
        return [_again(job, {"preset": "painterly"}, "more of the style")] if "preset" not in settings else []
    if wish == "larger strokes":
        return [_again(job, {"style_scale": 1.5}, "larger strokes survive where fine grain does not")]
    if wish == "the photo's colours":
        return [_again(job, {"color": "luminance"}, "the photo's own colours stay")]
    if wish == "calmer":
        changes = {"strength": round(max(0.3, strength - 0.3), 2)} if quality == "draft" else {"preset": "faithful"}
        return [_again(job, changes, "nothing of the style picture is copied")]
    return (
        [_again(job, {"quality": "standard" if quality == "draft" else "fine"}, "finer work")]
        if quality != "fine"
        else []
    )


def _again(job: Job, changes: dict[str, Any], because: str) -> dict[str, Any]:
    """A call of stylize like the one that made the job, with one thing changed."""
    request = job.request
    kept = {name: value for name, value in request.settings.items() if name in _ARGUMENTS}
    quality = changes.get("quality", request.quality)
    if quality == "draft" or "preset" in changes:
        kept.pop("preset", None)
    styles = [style if len(style) < 64 else f"asset:{style}" for style in request.styles]
    arguments = {
        "content": f"asset:{request.content}",
        "style": styles[0] if len(styles) == 1 else styles,
        "quality": request.quality,
        **kept,
        **changes,
    }
    return {"tool": "stylize", "arguments": arguments, "change": changes, "because": because}


#: Settings that stylize takes as arguments of their own.
_ARGUMENTS: Final = ("preset", "strength", "color", "palette", "image_size", "style_scale", "seed")
