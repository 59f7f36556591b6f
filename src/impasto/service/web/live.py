"""The webcam's page: the browser paints, with engine fast's network; pictures never leave it."""

import json
from functools import cache
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, RedirectResponse, Response

from impasto.browser import ISOLATED, SCRIPTS, WORKER_POLICY, script
from impasto.browser.ort_web import FILES, find_runtime
from impasto.errors import InputError, MissingExtraError
from impasto.service.problems import Problem
from impasto.service.web.entry import Visitor
from impasto.service.web.pages import POLICY, page
from impasto.styles import style_pictures

if TYPE_CHECKING:
    from impasto.engines.fast.onnx import Graphs

router = APIRouter(prefix="/live", include_in_schema=False)

_KINDS: Final = {".mjs": "text/javascript", ".wasm": "application/wasm"}
_PAGE: Final = {
    **ISOLATED,
    "Content-Security-Policy": f"{POLICY}; worker-src 'self'",
    "Permissions-Policy": "camera=(self)",
}
#: Workers must be isolated as their page is.
_WORKER: Final = {**ISOLATED, "Content-Security-Policy": WORKER_POLICY}


@router.get("")
def without_slash() -> Response:
    """Addresses on the page begin at its folder."""
    return RedirectResponse("/live/", 308)


@router.get("/")
def live(request: Request, owner: Visitor) -> Response:  # noqa: ARG001
    """The page, or what it lacks."""
    lacks = ""
    try:
        _graphs()
        find_runtime()
    except InputError:
        lacks = "ONNX Runtime Web is not in the cache of whoever runs the service: `impasto live --download` gets it."
    except MissingExtraError as error:
        lacks = str(error)
    return page(request, "live.html", headers=_PAGE, lacks=lacks, styles=list(style_pictures()))


@router.get("/about.json")
def about(owner: Visitor) -> Response:  # noqa: ARG001
    """What the network can do."""
    return _file(json.dumps({"any_style": True, "codes": {}}).encode(), "application/json")


@router.get("/{name}.onnx")
def graph(name: str, owner: Visitor) -> Response:  # noqa: ARG001
    """One of the network's two graphs."""
    found = {"transfer": _graphs().transfer, "encoder": _graphs().encoder}.get(name)
    if found is None:
        raise Problem(404, "not_found", "there is no such graph")
    return _file(found, "application/octet-stream")


@router.get("/ort/{name}")
def runtime(name: str, owner: Visitor) -> Response:  # noqa: ARG001
    """A file of ONNX Runtime Web."""
    if name not in FILES:
        raise Problem(404, "not_found", "there is no such file")
    path = find_runtime() / name
    return FileResponse(path, media_type=_KINDS[path.suffix], headers={**_WORKER, "Cache-Control": "no-cache"})


@router.get("/{name}")
def own_script(name: str, owner: Visitor) -> Response:  # noqa: ARG001
    """The page's script or its worker's."""
    if name not in SCRIPTS:
        raise Problem(404, "not_found", "there is no such script")
    return _file(script(name), "text/javascript; charset=utf-8")


def _file(data: bytes, kind: str) -> Response:
    return Response(data, media_type=kind, headers=_WORKER)


@cache
def _graphs() -> "Graphs":
    """Of the shipped any-style network: the same for everybody.

    Raises:
        MissingExtraError: the extra onnx is not installed.
    """
    from impasto.engines.fast.onnx import onnx_graphs

    return onnx_graphs()
