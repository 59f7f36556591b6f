"""What can be read by its address: styles, and what is known of a job; and prompts that show how to use the tools."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from impasto.errors import InputError
from impasto.jobs.job import JOB

if TYPE_CHECKING:
    from impasto.agents.tools import Tools

#: Clients take messages of a megabyte; base64 makes a third more of a file.
MOST_BYTES: Final = 700_000

_JOB: Final = re.compile(rf"impasto://jobs/({JOB.pattern})/(result|recipe|explain)")
_STYLE: Final = re.compile(r"impasto://styles/([a-z0-9][a-z0-9_-]{0,63})")


@dataclass(frozen=True)
class Content:
    """What lies at an address."""

    data: str | bytes
    kind: str
    """Its media type."""


@dataclass(frozen=True)
class Place:
    """An address, or a form of addresses."""

    uri: str
    name: str
    description: str
    kind: str


PLACES: Final = (
    Place("impasto://styles", "styles", "the library's styles with their colours", "application/json"),
    Place("impasto://styles/{name}", "style", "a picture that gives the style, small", "image/webp"),
    Place("impasto://jobs/{id}/result", "result", "the whole picture, up to 700 kB", "image/png"),
    Place("impasto://jobs/{id}/recipe", "recipe", "everything that is needed to make it again", "application/json"),
    Place("impasto://jobs/{id}/explain", "explain", "what was done, and why so", "text/markdown"),
)


def read(tools: Tools, uri: str) -> Content:
    """What lies at an address.

    Raises:
        InputError: nothing does, or it is too large for a message.
    """
    if uri == "impasto://styles":
        return Content(json.dumps(tools.list_styles(limit=50).data), "application/json")
    if style := _STYLE.fullmatch(uri):
        from impasto import api
        from impasto.jobs.previews import preview

        return Content(preview(api.get_style(style[1]).references[0]), "image/webp")
    found = _JOB.fullmatch(uri)
    if found is None:
        raise InputError(f"there is nothing at {uri[:80]!r}; there are {', '.join(place.uri for place in PLACES)}")
    job = tools.jobs.get(found[1], owner=tools.owner)
    if found[2] == "explain":
        return Content(tools.talk.explanation(job), "text/markdown")
    path = tools.pictures.result(job.id)
    if found[2] == "recipe":
        from impasto import api

        return Content(api.read_recipe(path).to_json(), "application/json")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(
            f"the picture has {path.stat().st_size >> 10} KiB, more than fits into a message; "
            f"open {tools.talk.link(job).uri} instead, or ask for format webp"
        )
    return Content(path.read_bytes(), f"image/{job.request.format}")


@dataclass(frozen=True)
class Prompt:
    """A way to go that a user can choose."""

    name: str
    description: str
    arguments: dict[str, str]
    """By name, what each is."""
    text: str

    def filled(self, given: dict[str, Any]) -> str:
        """The text with the arguments in it, each visibly a quotation.

        Raises:
            InputError: one is missing.
        """
        missing = [name for name in self.arguments if not given.get(name)]
        if missing:
            raise InputError(f"the prompt {self.name} needs {', '.join(missing)}")
        return self.text.format(**{name: json.dumps(str(given[name])[:500]) for name in self.arguments})


PROMPTS: Final = {
    prompt.name: prompt
    for prompt in (
        Prompt(
            "brand_style",
            "Give photos the look of a brand",
            {"photos": "the photos: paths, asset:IDs or data URLs", "look": "a style's name, or a picture that has it"},
            "Give these photos one look: {photos}. The look: {look}. Paint the first one with stylize and "
            'avoid=["slow"], show me the preview, and ask whether the look is right. When it is, paint it with '
            'faithfulness="high" and evaluate it; change what the verdict names. Then paint the others with the same '
            "settings, and compare them. Name every picture that a person should look at.",
        ),
        Prompt(
            "reinterpret_product",
            "Show a product in several styles, still recognisable",
            {"photo": "the product's photo: a path, asset:ID or data URL", "idea": "what it shall feel like"},
            "Show this product in new ways: {photo}. It shall feel like {idea}. Choose three styles from list_styles, "
            'paint it in each with avoid=["slow", "lost_detail"], and compare them. Show me the sheet and say which '
            'one you would take. Paint that one with quality="standard" and avoid=["lost_detail"], and evaluate it.',
        ),
    )
}
