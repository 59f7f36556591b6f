"""The API described: as OpenAPI, and as a page to read, which has no script and asks nobody else for anything."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from impasto.service.documents import NAMED, errors
from impasto.service.guard import PAGE_POLICY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

router = APIRouter()

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_CODE: Final = re.compile("`+([^`]+)`+")
_SCHEMAS: Final = "#/components/schemas/"


@router.get("/openapi.json", include_in_schema=False)
def document(request: Request) -> JSONResponse:
    """The API as OpenAPI 3.1."""
    return JSONResponse(described(request.app))


@router.get("/docs", include_in_schema=False)
def page(request: Request) -> HTMLResponse:
    """The same as a page."""
    about = described(request.app)
    html = _template().render(
        about=about["info"],
        groups=_groups(about),
        schemas=about["components"]["schemas"],
        phrases={status.phrase for status in HTTPStatus if status >= 400},
    )
    return HTMLResponse(html, headers={"Content-Security-Policy": PAGE_POLICY})


@router.get("/docs/reference.css", include_in_schema=False)
def style_sheet() -> Response:
    """How the page looks."""
    text = files("impasto.service").joinpath("reference.css").read_text(encoding="utf-8")
    return Response(text, media_type="text/css", headers={"Cache-Control": "max-age=3600"})


def described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the shapes that answers name and the way to show a key."""
    made = app.openapi()  # FastAPI keeps it
    schemas = made["components"]["schemas"]
    for shape in NAMED:
        schemas.setdefault(shape.__name__, shape.model_json_schema(ref_template=_SCHEMAS + "{model}"))
    for shape in NAMED:  # what those name in turn
        schemas.update(schemas[shape.__name__].pop("$defs", {}))
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for path in made["paths"].values():
        for operation in path.values():
            operation["summary"] = operation.get("description", operation["summary"]).partition("\n")[0]
            if "500" not in operation["responses"] and "422" in operation["responses"]:
                # Nothing was said of its errors: they are as everywhere, and not as FastAPI has them.
                operation["responses"] |= {str(status): said for status, said in errors(404, 409).items()}
    made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    made["security"] = [{"key": []}, {}]
    return made


@lru_cache(maxsize=1)
def _template() -> Any:
    loader = PackageLoader("impasto.service", ".")
    environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["json"] = lambda value: json.dumps(value, indent=2, ensure_ascii=False)
    environment.filters["kind"] = _kind
    environment.filters["prose"] = _prose
    return environment.get_template("reference.html.jinja")


def _groups(about: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Operations by tag, in the order of the routes."""
    found: dict[str, list[dict[str, Any]]] = {}
    for path, entry in about["paths"].items():
        for method, operation in entry.items():
            if method in _METHODS:
                tag = operation.get("tags", ["other"])[0]
                found.setdefault(tag, []).append({"method": method, "path": path, **_readable(operation)})
    return found


def _readable(operation: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of an operation."""
    body = operation.get("requestBody", {}).get("content", {})
    return {
        "id": operation["operationId"],
        "summary": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": operation.get("parameters", []),
        "bodies": [{"type": kind, **_body(entry)} for kind, entry in body.items()],
        "responses": [
            {"status": status, "description": said["description"], "content": list(_examples(said))}
            for status, said in sorted(operation["responses"].items())
        ],
    }


def _body(entry: dict[str, Any]) -> dict[str, Any]:
    schema = entry.get("schema", {})
    examples = [*schema.get("examples", []), *(one["value"] for one in entry.get("examples", {}).values())]
    example = entry.get("example", examples[0] if examples else None)
    return {"schema": _name(schema), "properties": schema.get("properties", {}), "example": example}


def _examples(said: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for kind, entry in said.get("content", {}).items():
        yield {"type": kind, "schema": _name(entry.get("schema", {})), "example": entry.get("example")}


def _name(schema: dict[str, Any]) -> str | None:
    return schema["$ref"].removeprefix(_SCHEMAS) if "$ref" in schema else None


def _prose(text: str) -> Markup:
    """Text in which words between backticks are code."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(text))))  # noqa: S704 — escaped, and our own


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if (name := _name(schema)) is not None:
        return name
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_kind(one) for one in schema["anyOf"]))
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")
