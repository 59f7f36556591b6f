"""Pages out of templates, with the policy that they stand under: everything from here, nothing inline, no eval."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi.templating import Jinja2Templates
from starlette.staticfiles import StaticFiles

if TYPE_CHECKING:
    from fastapi import Request
    from fastapi.responses import Response
    from starlette.types import Scope

    from impasto.service.config import ServiceConfig

_HERE: Final = Path(str(files("impasto.service.web")))
#: What browsers fetch: these folders and files.
_STATIC: Final = ("components", "vendor", "studio.css", "icon.svg")

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_templates: Final = Jinja2Templates(_HERE / "templates")
_templates.env.trim_blocks = _templates.env.lstrip_blocks = True


def page(
    request: Request, name: str, *, status: int = 200, headers: dict[str, str] | None = None, **known: Any
) -> Response:
    """A template, filled in; whatever is put into it is escaped."""
    config: ServiceConfig = request.app.state.context.config
    known |= {"static": f"/studio/static/{_version()}", "signed_in": config.needs_keys}
    # A form of a page without any referrer is sent as from nowhere, and the guard takes it for another site's.
    policy = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin", **(headers or {})}
    return _templates.TemplateResponse(request, name, known, status_code=status, headers=policy)


class Static(StaticFiles):
    """What pages fetch, under a name that changes with it: it is kept by browsers for ever."""

    def __init__(self) -> None:
        super().__init__(directory=_HERE)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file of those that are for browsers."""
        version, _, name = path.replace("\\", "/").partition("/")
        if name.partition("/")[0] not in _STATIC:
            name = "nothing"
        answer = await super().get_response(name, scope)
        fresh = version == _version()
        answer.headers["Cache-Control"] = "private, max-age=31536000, immutable" if fresh else "no-cache"
        return answer


@cache
def _version() -> str:
    """Of all that browsers fetch."""
    found = hashlib.sha256()
    for name in _STATIC:
        place = _HERE / name
        for file in sorted(place.iterdir()) if place.is_dir() else [place]:
            found.update(file.name.encode() + file.read_bytes())
    return found.hexdigest()[:12]
