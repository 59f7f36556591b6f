"""Writes the pages of docs/ that are made from the code: the command line's help, the settings, the metrics.

python docs/generate.py          writes them
python docs/generate.py --check  exits with 1 if they are out of date, naming the pages
"""

import os
import sys
from pathlib import Path

# Before Typer and rich look at the terminal: the pages must not depend on whose terminal it is.
os.environ.update(COLUMNS="100", TERMINAL_WIDTH="100", NO_COLOR="1", TERM="dumb")

import typer
from typer.testing import CliRunner

from impasto.cli.main import app
from impasto.evaluation.adapters.weights import FILES
from impasto.evaluation.gates import Gates
from impasto.evaluation.metrics import METRICS
from impasto.settings import ENGINES, VideoSettings

DOCS = Path(__file__).resolve().parent
NOTE = "<!-- made by docs/generate.py; change the code, then run `make docs` -->\n\n"


def cli_page() -> str:
    """Every command's help, as it prints."""
    parts = [NOTE, "# Command line\n"]
    for command in _commands(typer.main.get_command(app)):
        result = CliRunner().invoke(app, [*command, "--help"], prog_name="impasto")
        lines = [line.rstrip() for line in result.output.strip("\n").splitlines()]
        parts.append(f"\n## impasto {' '.join(command)}".rstrip() + "\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "".join(parts)


def _commands(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The command and everything below it, in the order of the help."""
    below = getattr(command, "commands", {}).items()
    return [path, *(one for name, child in below for one in _commands(child, (*path, name)))]


def _rules(rules: dict[str, object]) -> list[str]:
    """Thresholds as rows of a table; one that is switched off has none."""
    rows = ["| metric | review | reject | because |", "| - | - | - | - |"]
    for name, rule in rules.items():
        sides = (
            ("<", rule.review_below, rule.reject_below, rule.below),
            (">", rule.review_above, rule.reject_above, rule.above),
        )
        shown = [side for side in sides if side[1] is not None or side[2] is not None]
        for sign, review, reject, says in shown:
            bounds = ("" if bound is None else f"{sign} {bound:g}" for bound in (review, reject))
            rows.append(f"| `{name}` | {' | '.join(bounds)} | {says} |")
        if not shown:
            rows.append(f"| `{name}` | off | off | |")
    return rows


def metrics_page() -> str:
    """Every metric with how to read it, every threshold, and the weights that users may bring."""
    rows = [
        "| metric | says | better | range | reads | cost | blind to | source |",
        "| - | - | - | - | - | - | - | - |",
    ]
    rows += [
        f"| `{m.name}`{'' if m.default else ' *'} | {m.meaning} | {m.better} | {m.span} | {m.backbone} | {m.cost} | "
        f"{m.blind_to} | {m.source} |"
        for m in METRICS
    ]
    gates = [*_rules(Gates.load().rules)]
    special = []
    for title, rules in (
        ("of the engine `optimize`", Gates.load(engine="optimize").rules),
        ("of outputs that keep the content's colours", Gates.load(colors="content").rules),
        ("of outputs in a palette's colours", Gates.load(colors="palette").rules),
    ):
        other = {name: rule for name, rule in rules.items() if rule != Gates.load().rules.get(name)}
        special += [f"\n\nOther, {title}:\n\n", "\n".join(_rules(other))]
    weights = ["| file | what | from | SHA-256 |", "| - | - | - | - |"]
    weights += [
        f"| `{file.file}` | {file.what} ({file.licence}) | {file.home} | {(file.sha256 or 'not pinned')[:16]} |"
        for file in FILES.values()
    ]
    return "".join(
        [
            NOTE,
            "# Metrics and gates\n\n`impasto evaluate` computes those without a star. How far to trust each: "
            "[evaluation.md](evaluation.md).\n\n",
            "\n".join(rows),
            "\n\n\\* needs what only you have: a palette, or weights that cannot be shipped.\n\n## Gates\n\n"
            "Thresholds of `src/impasto/evaluation/gates.toml`; `--gates FILE` changes any of them, with the same "
            "tables.\n\n",
            "\n".join(gates),
            *special,
            "\n\n## Weights of your own\n\nPut the file into the folder that `IMPASTO_WEIGHTS` names, or where the "
            "message says. Nothing is downloaded.\n\n",
            "\n".join(weights),
            "\n",
        ]
    )


def settings_page() -> str:
    """Every setting of every engine with type, bounds, default and meaning."""
    parts = [
        NOTE,
        "# Settings\n\nThe same names in Python (`image_size=512`), on the command line (`--image-size 512`) and in a "
        "recipe.\n",
    ]
    engines = {f"Engine `{name}`": model for name, model in ENGINES.items()}
    for title, model in {**engines, "Videos": VideoSettings}.items():
        rows = ["| setting | default | allowed | meaning |", "| --- | --- | --- | --- |"]
        schema = model.model_json_schema()["properties"]
        for name, field in model.model_fields.items():
            default = field.default
            if isinstance(default, dict):
                default = ",".join(f"{key}={value:g}" for key, value in default.items())
            rows.append(f"| `{name}` | `{default}` | {_allowed(schema[name])} | {field.description} |")
        parts.append(f"\n## {title}\n\n" + "\n".join(rows) + "\n")
    return "".join(parts)


def _allowed(schema: dict[str, object]) -> str:
    """Bounds or choices in words."""
    for part in [schema, *schema.get("anyOf", [])]:
        if "enum" in part:
            return ", ".join(f"`{choice}`" for choice in part["enum"])
        bounds = [
            f"{sign} {part[key]:g}"
            for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤"))
            if key in part
        ]
        if bounds:
            return ", ".join(bounds)
    return ""


def main() -> int:
    pages = {DOCS / "cli.md": cli_page(), DOCS / "settings.md": settings_page(), DOCS / "metrics.md": metrics_page()}
    if "--check" not in sys.argv[1:]:
        for path, text in pages.items():
            path.write_text(text, encoding="utf-8")
        return 0
    stale = [path.name for path, text in pages.items() if not path.exists() or path.read_text("utf-8") != text]
    if stale:
        print(f"out of date: {', '.join(stale)}; run: make docs", file=sys.stderr)
    return bool(stale)


if __name__ == "__main__":
    sys.exit(main())
