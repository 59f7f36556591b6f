"""Videos painted steadily, frame by frame, and by a peer with its smoothing: steadiness at what style, and speed.

    python benchmarks/video.py CLIP… [--styles FILE …] [--frames 60] [--work out/video]

The peer is styletransfer-lite 0.1.0, installed beside impasto: every frame by its any-style path, blended with the
frame before as its --smooth 0.5 does. All of them are written with the same codec, and judged as written by `impasto
evaluate --video`. Frames a second are those of painting, reading and writing together, one way after the other on the
same frames; the ratio to frame by frame counts. A strip of frames of each clip is kept in the work folder, to be looked
at before any number.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import numpy as np
from PIL import Image

import impasto
from impasto.video.footage import probe
from impasto.video.joining import join
from impasto.video.reading import FrameReader
from impasto.video.writing import SegmentWriter, choose_encoding
from sheet import HOUSE, paste_rows, table

PEER_SMOOTH = 0.5
MEASURES = ("warping_ratio", "long_warping_ratio", "flicker", "style_gain", "edge_content")


def by_peer(clip, style, output, longer):
    """Every frame by the peer's any-style path, with its smoothing on pixels."""
    from styletransfer_lite import StyleTransfer

    other, painting = StyleTransfer(device="cpu", threads=2), Image.open(style).convert("RGB")
    footage = probe(clip)
    encoding = choose_encoding(output, footage, footage.width, footage.height)
    segment, before = output.with_suffix(".nut"), None
    with FrameReader(footage) as reader, SegmentWriter(segment, encoding) as writer:
        for frame in reader:
            painted = other.stylize_with(Image.fromarray(frame.pixels), painting, max_size=longer)
            painted = painted.convert("RGB").resize((footage.width, footage.height), Image.Resampling.LANCZOS)
            values = np.asarray(painted, np.float32)
            before = values if before is None else PEER_SMOOTH * before + (1 - PEER_SMOOTH) * values
            writer.write(frame.pts, before.round().astype(np.uint8))
    join(output, [segment], footage, encoding, complete=True)
    segment.unlink()


def cut(clip, frames, longer, work):
    """The first frames of a clip at the size that is painted: what all ways start from."""
    target = work / f"{clip.stem}.mkv"
    if not target.exists():
        footage = probe(clip)
        end = float(frames / footage.rate)
        impasto.stylize_video(
            clip,
            "mosaic",
            target,
            strength=0,
            smooth=0,
            end=end,
            image_size=min(longer, max(footage.width, footage.height)),
            codec="ffv1",
        )
    return target


def measured(clip, style, work):
    """One row a way; pictures are kept, and what is there already is not painted again."""
    footage, rows = probe(clip), []
    longer = max(footage.width, footage.height)
    ways = {
        "frame by frame": lambda target: impasto.stylize_video(clip, style, target, smooth=0),
        "steady": lambda target: impasto.stylize_video(clip, style, target),
        "peer": lambda target: by_peer(clip, style, target, longer),
    }
    for way, paint in ways.items():
        target = work / f"{clip.stem}--{style.stem}--{way.replace(' ', '-')}.mp4"
        kept = target.with_suffix(".json")
        if not kept.exists():
            began = time.perf_counter()
            paint(target)
            seconds = time.perf_counter() - began
            found = impasto.evaluate_video(target, content=clip, style=style).to_dict()
            kept.write_text(json.dumps({"way": way, "clip": clip.stem, "seconds": seconds, **found}))
        rows.append(json.loads(kept.read_text()))
    strip(clip, [work / f"{clip.stem}--{style.stem}--{way.replace(' ', '-')}.mp4" for way in ways], work, style)
    return rows


def strip(clip, videos, work, style, count=5, height=160):
    """A row for each video: some frames, and behind them how the middle one differs from the next."""
    rows = []
    for path in (clip, *videos):
        footage = probe(path)
        with FrameReader(footage) as reader:
            frames = [frame.pixels for frame in reader]
        at = [round(index * (len(frames) - 2) / (count - 1)) for index in range(count)]
        middle = at[count // 2]
        change = np.abs(frames[middle + 1].astype(int) - frames[middle]).clip(0, 63) * 4
        pictures = [Image.fromarray(frames[index]) for index in at] + [Image.fromarray(change.astype(np.uint8))]
        rows.append([picture.resize((round(picture.width * height / picture.height), height)) for picture in pictures])
    paste_rows(rows).save(work / f"{clip.stem}--{style.stem}.png")


def summary(rows):
    """Medians over clips and styles, and each way's speed over that of frame by frame."""
    lines = []
    alone = {(row["clip"], row["style"]): row for row in rows if row["way"] == "frame by frame"}
    for way in ("frame by frame", "steady", "peer"):
        own = [row for row in rows if row["way"] == way]
        line = {"way": way, "videos": len(own)}
        line |= {name: statistics.median(row[name] for row in own if row[name] is not None) for name in MEASURES}
        pairs = [(row, alone[row["clip"], row["style"]]) for row in own]
        line["warping ÷ frame by frame"] = statistics.median(a["warping_error"] / b["warping_error"] for a, b in pairs)
        line["gain − frame by frame"] = statistics.median(a["style_gain"] - b["style_gain"] for a, b in pairs)
        line["fps ÷ frame by frame"] = statistics.median(b["seconds"] / a["seconds"] for a, b in pairs)
        lines.append(line)
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--styles", type=Path, nargs="+")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--longer", type=int, default=640)
    parser.add_argument("--work", type=Path, default=Path("out/video"))
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    styles = options.styles or [HOUSE / f"{n}.jpg" for n in ("mosaic", "watercolour")]
    rows = []
    for clip in options.clips:
        source = cut(clip, options.frames, options.longer, options.work)
        for style in styles:
            rows += [{**row, "style": style.stem} for row in measured(source, style, options.work)]
    print(table(summary(rows)))


if __name__ == "__main__":
    main()
