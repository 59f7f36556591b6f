"""``impasto verify`` and ``impasto provenance``: who vouches for a picture, and vouching for one's own."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from impasto.cli.arguments import Json, Quiet, Sign
from impasto.cli.terminal import one_line, print_json, printable, result_console, say
from impasto.errors import ImpastoError, SettingsError

if TYPE_CHECKING:
    from impasto.provenance.verification import Verification
    from impasto.recipe import Source

provenance_app = typer.Typer(
    help="Sign pictures (C2PA), with a key of one's own or a given one.",
    no_args_is_help=True,
    rich_markup_mode="rich",
)

_Files = Annotated[list[Path], typer.Argument(metavar="FILE", show_default=False, help="pictures")]
_Registry = Annotated[
    Path | None,
    typer.Option(
        "--registry",
        metavar="FILE",
        envvar="IMPASTO_REGISTRY",
        show_default="in the user's data folder",
        help="what was signed here, by which copies are known again",
    ),
]
_OUTCOMES: Final = {
    "trusted": "trusted: unchanged since it was signed, by somebody who is trusted here",
    "valid": "valid: unchanged since it was signed, but nobody who is trusted here has signed it",
    "invalid": "invalid",
    "not present": "not present: it is not signed",
}
_CHANGED: Final = "the file was changed after it was signed: its SHA-256 is not the signed one"
_PROBLEMS: Final = {
    "assertion.bmffHash.mismatch": _CHANGED,
    "assertion.dataHash.mismatch": _CHANGED,
    "assertion.hashedURI.mismatch": "what the signature tells was changed: its SHA-256 is not the signed one",
    "claimSignature.mismatch": "the signature is not that of the certificate",
    "signingCredential.expired": "the signer's certificate has expired",
    "signingCredential.untrusted": "no authority that is trusted here vouches for the signer",
}
_FROM: Final = {
    "signature": "told by the signature",
    "file": "told by the file, which anybody can write",
    "registry": "told by the registry",
}


def verify(
    files: _Files,
    *,
    trust: Annotated[
        list[Path] | None,
        typer.Option(
            "--trust",
            metavar="FILE",
            show_default=False,
            help="an authority's certificates, PEM, that are trusted besides one's own; once per file",
        ),
    ] = None,
    registry: _Registry = None,
    json: Json = False,
) -> None:
    """Say who vouches for pictures, what made them, and whether they were changed since.

    Ends with 0 if all are trusted, 1 if one is not, 2 if one cannot be read. Nothing is asked of the network.
    """
    from impasto import api

    code, documents = 0, []
    console = result_console()
    for file in files:
        try:
            found = api.verify(file, trust=trust or (), registry=registry)
        except ImpastoError as error:
            if len(files) == 1:
                raise
            say(f"impasto: error: {one_line(error)}")
            documents.append({"file": str(file), "error": one_line(error)})
            code = 2
            continue
        code = max(code, 0 if found.outcome == "trusted" else 1)
        documents.append({"file": str(file), **found.to_dict()})
        if not json:
            for line in [f"{printable(str(file))}", *_lines(found)]:
                console.print(line, markup=False, soft_wrap=True)
    if json:
        print_json({"files": documents})
    raise typer.Exit(code)


def _lines(found: "Verification") -> list[str]:
    """What was found, indented; the file's own words in quotes."""
    lines = [_OUTCOMES[found.outcome]]
    lines += [f"  {_PROBLEMS.get(problem, _quoted(problem))}" for problem in found.problems]
    if found.signer:
        by = f" of {_quoted(found.issuer)}" if found.issuer else ""
        when = f" at {_quoted(found.signed_at)}" if found.signed_at else ""
        claims = "" if found.outcome == "trusted" else ", as the certificate says"
        lines.append(f"signed by {_quoted(found.signer)}{by}{when}{claims}")
    if found.copy_of is not None:
        words = {"file": "is", "pixels": "has the pixels of", "similar": "is a re-saved copy of"}
        what = f"{_quoted(found.copy_of.name)}, signed here, SHA-256 {found.copy_of.sha256[:12]}"
        lines.append(f"it {words[found.copy_of.likeness]} {what}")
    if found.source_type:
        lines.append(f"kind of picture: {_quoted(found.source_type)}")
    if found.recipe is not None and found.recipe_from is not None:
        settings = ", ".join(f"{name} {value}" for name, value in found.recipe.settings.items() if value is not None)
        unknown = " of somebody unknown" if (found.outcome, found.recipe_from) == ("valid", "signature") else ""
        lines += [
            f"made by engine {_quoted(found.recipe.engine)} of impasto {_quoted(found.recipe.environment.impasto)}, "
            f"{_FROM[found.recipe_from]}{unknown}",
            f"content {_source(found.recipe.content)}",
            *(f"style {_source(style)}" for style in found.recipe.all_styles),
            f"settings {_quoted(settings)}",
        ]
    return [f"  {line}" for line in lines]


def _source(source: "Source") -> str:
    return f"{_quoted(source.name)}, SHA-256 {_quoted(source.sha256[:12])}"


def _quoted(text: str) -> str:
    """Words of a file: in quotes, in one line, unable to steer the terminal."""
    return f"“{printable(' '.join(text.split()))}”"


@provenance_app.command("init")
def init(
    *,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--folder",
            metavar="DIR",
            envvar="IMPASTO_PROVENANCE",
            show_default="in the user's configuration",
            help="where the papers go",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="who signs, as it is shown")] = "impasto",
    renew: Annotated[
        bool, typer.Option("--renew", help="a new key and certificate by the authority that is there")
    ] = False,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", show_default=False, help="a given key, PEM, in place of a new one"),
    ] = None,
    certificates: Annotated[
        Path | None,
        typer.Option(
            "--certificates", metavar="FILE", show_default=False, help="its certificate, PEM, then those above it"
        ),
    ] = None,
) -> None:
    """Make a key, a certificate and an authority of one's own to sign with; or take given ones.

    An authority of one's own shows that a file is unchanged since whoever has the key signed it, to those who trust
    its certificate. To everybody else it shows nothing of who that is.
    """
    from impasto import api

    place = folder or api.identity_folder()
    if (key is None) != (certificates is None):
        raise SettingsError("--key and --certificates belong together; give both, or neither for new ones")
    if key is not None and certificates is not None:
        if renew:
            raise SettingsError("--renew makes a key and --key gives one; leave one of them out")
        made = api.keep_identity(place, key=key, certificates=certificates)
    else:
        made = api.make_identity(place, name=name, renew=renew)
    say(f"{place}: {printable(made.signer)} can sign until {made.until:%Y-%m-%d}, with --sign local")
    say(f"whoever verifies has to trust {place / 'authority.pem'}: impasto verify --trust, or in its folder trusted/")


@provenance_app.command("sign")
def sign(files: _Files, *, sign: Sign = "local", registry: _Registry = None, quiet: Quiet = False) -> None:
    """Sign pictures that impasto has written, in place."""
    from impasto import api

    signer = api.load_signer(sign or "local")
    for file in files:
        api.sign(file, signer, registry=registry)
        if not quiet:
            say(f"{file}: signed")
