"""Campaigns: how evenly one look comes out, and what workers, Ray and a second run cost.

    python benchmarks/campaign.py even PHOTOS… [--styles NAME …]      spread of style gain and colour, levelled or not
    python benchmarks/campaign.py speed PHOTOS… [--count 300]         one process, the local pool, and Ray

`speed` takes the photos again and again, each cropped a little otherwise, until there are enough. Whole runs are timed
as a user would see them; ratios count. Memory is the highest resident size of any worker, over the first and the last
third of its rows: a process that keeps something shows it there.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from PIL import Image

from impasto import api
from impasto.styles import make_pack
from sheet import table


def pack(styles, **rules):
    return make_pack({"styles": styles, "settings": {"image_size": 512}, **rules}, "benchmark")


def even(photos, styles, work):
    """For each style the spread of what came out, painted alone and as a campaign."""
    lines = []
    runs = {
        level: api.run_campaign(pack(styles, level=level), photos, output=work / f"level-{level}")
        for level in (False, True)
    }
    alone, together = ({one.style: one for one in runs[level].evenness} for level in (False, True))
    for style in alone:
        before, after = alone[style], together[style]
        lines.append(
            {
                "style": style,
                "pictures": before.pictures,
                "gain alone": before.gain[1],
                "gain": after.gain[1],
                "spread alone": before.gain_spread,
                "spread": after.gain_spread,
                "spread ÷ alone": after.gain_spread / before.gain_spread,
                "colour alone": before.color_spread,
                "colour": after.color_spread,
            }
        )
    middle = {"style": "median", "pictures": sum(line["pictures"] for line in lines)}
    middle |= {name: statistics.median(line[name] for line in lines) for name in lines[0] if name not in middle}
    return [*lines, middle]


def many(photos, count, folder):
    """Different pictures of 512 px from a few photos."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        with Image.open(photos[number % len(photos)]) as photo:
            shift = number // len(photos)
            box = (shift, shift, photo.width - shift, photo.height - shift)
            picture = photo.convert("RGB").crop(box)
            picture.thumbnail((512, 512))
            picture.save(folder / f"{number:04}.jpg", quality=92)
    return folder


def speed(photos, count, work):
    """Time and memory of the same campaign by one process, by two, and on Ray; and of a second run."""
    pictures = many(photos, count, work / "in")
    lines = []
    ways = {"one process": {"workers": 1}, "two processes": {"workers": 2}, "Ray": {"ray": "local", "workers": 2}}
    for way, about in ways.items():
        output = work / way.replace(" ", "-")
        rows = []
        began = time.perf_counter()
        api.run_campaign(
            pack(["mosaic"]),
            [pictures],
            output=output,
            on_result=lambda _, __, row, kept=rows: kept.append(row),
            **about,
        )
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        again = api.run_campaign(pack(["mosaic"]), [pictures], output=output, **about)
        peaks = [row.peak_memory_mb for row in rows]
        third = max(1, len(peaks) // 3)
        lines.append(
            {
                "way": way,
                "rows": len(rows),
                "time ÷ one process": seconds,
                "second run ÷ first": (time.perf_counter() - began) / seconds,
                "MiB, first third": max(peaks[:third]),
                "MiB, last third": max(peaks[-third:]),
                "failed": len(again.failed),
            }
        )
    first = lines[0]["time ÷ one process"]
    for line in lines:
        line["time ÷ one process"] /= first
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["even", "speed"])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--styles", nargs="+", default=["mosaic", "watercolour", "flow_strokes"])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="impasto-"))
    photos = [file for place in options.photos for file in (sorted(place.iterdir()) if place.is_dir() else [place])]
    rows = even(photos, options.styles, work) if options.what == "even" else speed(photos, options.count, work)
    print(table(rows))
    (work / f"{options.what}.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
