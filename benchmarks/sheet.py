"""Contact sheets: contents × styles, side by side, to look at before any number.

    python benchmarks/sheet.py                               the sheet in docs/pictures (free photos × house styles)
    python benchmarks/sheet.py --contents a.jpg b.jpg --styles x.jpg y.jpg --out sheet.jpg
    python benchmarks/sheet.py … --with content_weight=0.05 --with style_loss=gram   one column per candidate and style

The defaults were chosen with it: pairs × candidates, by eye first.
"""

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from skimage import data

import impasto
from impasto.settings import OptimizeSettings

ROOT = Path(__file__).resolve().parent.parent
HOUSE = ROOT / "src" / "impasto" / "styles" / "house"


def free_contents(folder):
    """Photos that scikit-image ships: NASA's and CC0."""
    paths = []
    for name in ("astronaut", "coffee", "chelsea"):
        paths.append(folder / f"{name}.png")
        Image.fromarray(getattr(data, name)()).save(paths[-1])
    return paths


def options(text):
    """``a=1,b=x`` as settings; values are parsed by the settings model.

    A part without a setting's name goes on with the value before it: ``layers=relu1_1=4,relu2_1,scales=128,256``.
    """
    found = {}
    for part in filter(None, text.split(",")):
        name, equals, value = part.partition("=")
        if equals and name in OptimizeSettings.model_fields:
            found[name] = value
        else:
            found[list(found)[-1]] += f",{part}"
    return {name: value.split(",") if name in ("scales", "style_weights") else value for name, value in found.items()}


def thumbnail(source, height):
    image = source if isinstance(source, Image.Image) else Image.open(source)
    image = image.convert("RGB")
    return image.resize((round(image.width * height / image.height), height), Image.Resampling.LANCZOS)


def paste_rows(rows, gap=8):
    """Rows of pictures on white, columns aligned to their widest."""
    widths = [max(row[i].width for row in rows) for i in range(len(rows[0]))]
    sheet = Image.new(
        "RGB",
        (sum(widths) + gap * (len(widths) - 1), sum(row[0].height + gap for row in rows) - gap),
        "white",
    )
    y = 0
    for row in rows:
        x = 0
        for image, width in zip(row, widths, strict=True):
            sheet.paste(image, (x + (width - image.width) // 2, y))
            x += width + gap
        y += row[0].height + gap
    return sheet


def table(rows):
    """Rows of equal keys as Markdown."""

    def cell(value):
        return f"{value:.2f}" if isinstance(value, float) else str(value)

    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(cell(row[name]) for name in head) + " |" for row in rows])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contents", type=Path, nargs="*")
    parser.add_argument(
        "--styles",
        type=Path,
        nargs="*",
        default=[HOUSE / f"{name}.jpg" for name in ("flow_strokes", "woodcut_waves", "watercolour", "stained_glass")],
    )
    parser.add_argument("--with", dest="candidates", action="append", default=[], metavar="NAME=VALUE,…")
    parser.add_argument("--image-size", type=int, default=512)
    parser.add_argument("--height", type=int, default=320, help="of each picture on the sheet")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "sheet.jpg")
    parser.add_argument("--keep", type=Path, help="also write every picture at full size into this folder")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        contents = chosen.contents or free_contents(Path(name))
        blank = Image.new("RGB", (thumbnail(contents[0], chosen.height).width, chosen.height // 2), "white")
        columns = [(style, candidate) for style in chosen.styles for candidate in chosen.candidates or [""]]
        rows = [[blank, *(thumbnail(style, chosen.height // 2) for style, _ in columns)]]
        for content in contents:
            row = [thumbnail(content, chosen.height)]
            longer = min(chosen.image_size, max(Image.open(content).size))
            for style, candidate in columns:
                result = impasto.stylize(content, style, **{"image_size": longer, **options(candidate)})
                stem = "-".join(filter(None, (content.stem, style.stem, candidate)))
                saved = result.save((chosen.keep or Path(name)) / f"{stem}.png")
                print(f"{saved.name}  {result.timings['total']:.0f} s  loss {result.recipe.loss:.4f}", flush=True)
                row.append(thumbnail(saved, chosen.height))
            rows.append(row)
            chosen.out.parent.mkdir(parents=True, exist_ok=True)
            paste_rows(rows).save(chosen.out, quality=90, subsampling=0)


if __name__ == "__main__":
    main()
