"""Makes every picture of docs/engines/optimize.md: strips of one control each, from free pictures.

    python benchmarks/gallery.py [NAME …]     all strips, or those named

Contents are photos that scikit-image ships, styles are impasto's own house styles.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import impasto
from sheet import HOUSE, ROOT, free_contents, options, paste_rows, thumbnail

OUT = ROOT / "docs" / "pictures" / "optimize"
SIZE, HEIGHT = 288, 200

#: Strip → content, style, settings of each picture.
STRIPS = {
    "style-losses": (
        "coffee",
        "flow_strokes",
        [
            "style_loss=w2",
            "style_loss=gram",
            "style_loss=moments",
            "style_loss=swd",
            "style_loss=w2,nn",
            "style_loss=moments,remd=4",
        ],
    ),
    "content-losses": (
        "chelsea",
        "palette_knife",
        ["", "content_loss=self_similarity", "content_loss=mse=1,self_similarity=1"],
    ),
    "presets": (
        "astronaut",
        "woodcut_waves",
        [f"preset={name}" for name in ("faithful", "balanced", "painterly", "texture", "abstract")],
    ),
    "strength": ("coffee", "woodcut_waves", [f"strength={s}" for s in (0, 0.25, 0.5, 0.75, 1)]),
    "color": (
        "coffee",
        "flow_strokes",
        [
            "",
            "color=luminance",
            "color=linear",
            "color=histogram",
            "color=palette,palette=#1d3557,#e63946,#f1faee",
            "color=linear,color_when=before",
        ],
    ),
    "scale-and-rotation": (
        "chelsea",
        "woodcut_waves",
        ["style_scale=0.5", "style_scale=1", "style_scale=2", "style_rotation=45"],
    ),
}


def labelled(path, text):
    image = thumbnail(path, HEIGHT)
    drawn = ImageDraw.Draw(image)
    box = drawn.textbbox((4, 3), text)
    drawn.rectangle((box[0] - 3, box[1] - 2, box[2] + 3, box[3] + 2), fill="white")
    drawn.text((4, 3), text, fill="black")
    return image


def mask(path, size, draw):
    """A soft-edged mask, drawn in coordinates of 0 to 1."""
    width, height = size
    image = Image.new("L", size)
    draw(ImageDraw.Draw(image), width, height)
    image.resize((width // 16, height // 16)).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def regions(folder, contents):
    """The plate and cup in one style, the table in another; and a cut-out cat on nothing."""
    coffee = contents["coffee"]
    plate = mask(
        folder / "plate.png",
        Image.open(coffee).size,
        lambda d, w, h: d.ellipse((0.13 * w, 0.02 * h, 0.8 * w, 0.92 * h), fill=255),
    )
    one, other = HOUSE / "stained_glass.jpg", HOUSE / "watercolour.jpg"
    yield "content", coffee
    yield "mask", plate
    yield (
        "plate: stained glass, rest: watercolour",
        impasto.stylize(coffee, other, regions=[(plate, one)], image_size=SIZE),
    )
    yield "plate alone, no other style", impasto.stylize(coffee, regions=[(plate, one)], image_size=SIZE)
    cat = np.asarray(Image.open(contents["chelsea"]).convert("RGB"))
    y, x = np.mgrid[-1 : 1 : cat.shape[0] * 1j, -1 : 1 : cat.shape[1] * 1j]
    alpha = (255 * np.clip(8 * (1 - np.hypot(x / 0.75, y / 0.9)), 0, 1)).astype(np.uint8)
    cut = folder / "cut.png"
    Image.fromarray(np.dstack([cat, alpha])).save(cut)
    yield "alpha", impasto.stylize(cut, HOUSE / "palette_knife.jpg", image_size=SIZE)


def shown(picture, folder, name, text):
    if not isinstance(picture, Path):
        picture = picture.save(folder / f"{name}.png")
    image = Image.open(picture)
    if image.mode == "RGBA":
        ground = Image.new("RGBA", image.size, "white")
        ground.alpha_composite(image)
        ground.convert("RGB").save(picture)
    return labelled(picture, text)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    wanted = sys.argv[1:] or [*STRIPS, "regions"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        contents = {path.stem: path for path in free_contents(folder)}
        for strip in wanted:
            if strip == "regions":
                row = [shown(p, folder, f"r{i}", text) for i, (text, p) in enumerate(regions(folder, contents))]
            else:
                content, style, candidates = STRIPS[strip]
                style = HOUSE / f"{style}.jpg"
                row = [labelled(contents[content], "content"), labelled(style, "style")]
                for i, candidate in enumerate(candidates):
                    result = impasto.stylize(contents[content], style, image_size=SIZE, **options(candidate))
                    row.append(shown(result, folder, f"{strip}{i}", candidate or "defaults"))
            half = (len(row) + 1) // 2 if len(row) > 5 else len(row)
            rows = [row[:half], row[half:]] if half < len(row) else [row]
            while len(rows[-1]) < len(rows[0]):
                rows[-1].append(Image.new("RGB", (1, 1), "white"))
            paste_rows(rows).save(OUT / f"{strip}.jpg", quality=82)
            print(strip, flush=True)


if __name__ == "__main__":
    main()
