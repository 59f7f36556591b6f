"""Campaigns: how evenly one look comes out, and what workers, Ray and a second run cost.

    python benchmarks/campaign.py even PHOTOS… [--styles NAME …]      spread of style gain and colour, levelled or not
    python benchmarks/campaign.py speed PHOTOS… [--styles NAME …]     one process, the local pool, a Ray cluster

Whole runs are timed, as a user would see them; ratios count. Memory is the highest resident size of any worker so far,
in the middle and the last third of the rows: a process that keeps something shows it there. Each folder stays, with
its report.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path

# As the command line does, before PyTorch is there: threads that wait sleep soon.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

from impasto import api
from impasto.styles import make_pack
from sheet import table

WAYS = ("one process, one core", "one process", "two processes", "Ray, two nodes")


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


def speed(photos, styles, work, ways):
    """Time and memory of the same campaign by one process, by two, and on Ray; and of a second run."""
    lines = []
    for way in ways:
        output, rows = work / way.replace(" ", "-"), []
        about = {"workers": 1 if "one process" in way else 2, "ray": "auto" if "Ray" in way else None}
        place = two_nodes() if about["ray"] else one_core() if "one core" in way else nullcontext()
        with place:
            began = time.perf_counter()
            api.run_campaign(
                pack(styles), photos, output=output, on_result=lambda _, __, row, kept=rows: kept.append(row), **about
            )
            seconds = time.perf_counter() - began
        began = time.perf_counter()
        again = api.run_campaign(pack(styles), photos, output=output, workers=2)
        peaks = [row.peak_memory_mb for row in rows]
        third = max(1, len(peaks) // 3)
        lines.append(
            {
                "way": way,
                "rows": len(rows),
                "time": seconds,
                "rows ÷ time, of the first": 1.0,
                "second run ÷ first": (time.perf_counter() - began) / seconds,
                "MiB, middle third": max(peaks[third : 2 * third]),
                "MiB, last third": max(peaks[-third:]),
                "failed": len(again.failed),
            }
        )
        lines[-1]["rows ÷ time, of the first"] = (len(rows) / seconds) / (lines[0]["rows"] / lines[0]["time"])
    return lines


@contextmanager
def one_core():
    """What is started meanwhile has one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def two_nodes():
    """A cluster of two nodes with a CPU each, as far as one machine can be one."""
    import ray
    from ray.cluster_utils import Cluster

    Path("/tmp/ray").mkdir(exist_ok=True)  # noqa: S108 — Ray expects it there
    one = {"num_cpus": 1, "object_store_memory": 200 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args={**one, "include_dashboard": False})
    cluster.add_node(**one)
    ray.init(address=cluster.address, log_to_driver=False)
    try:
        yield
    finally:
        ray.shutdown()
        cluster.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["even", "speed"])
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("--styles", nargs="+", default=["mosaic", "watercolour", "flow_strokes"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--work", type=Path)
    options = parser.parse_args()
    work = options.work or Path(tempfile.mkdtemp(prefix="impasto-"))
    photos = [file for place in options.photos for file in (sorted(place.iterdir()) if place.is_dir() else [place])]
    rows = (
        even(photos, options.styles, work)
        if options.what == "even"
        else speed(photos, options.styles, work, options.ways)
    )
    print(table(rows))
    (work / f"{options.what}.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
