"""How far the judge can be trusted: makes the tables of docs/evaluation.md.

    python benchmarks/evaluation.py --contents DIR --styles DIR --work DIR --group set|checked
    python benchmarks/evaluation.py --work DIR --write

The first measures, for hours, and goes on where it ended; the second puts the tables into docs/evaluation.md. Every
content is painted in three styles at 512 px with the defaults. Thresholds may be set by looking at the group `set`,
never at `checked`, and the tables keep them apart. Beside each output stand its controls. Of the group `set`, six pairs
walk through strength, and three are attacked: the content changed by at most 4/255, in 100 steps of Adam on style_gain
itself.
"""

import argparse
import json
import statistics
import time
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from scipy.stats import spearmanr

import impasto
from impasto.evaluation.controls import CONTROLS, MUST_FAIL
from impasto.evaluation.gates import Gates
from impasto.evaluation.judge import judge, judge_views
from impasto.evaluation.metric import choose_metrics
from impasto.evaluation.view import views
from impasto.images import read
from impasto.vgg import activations, load_network
from sheet import ROOT, table

PAGE = ROOT / "docs" / "evaluation.md"
VOTES = ROOT / "benchmarks" / "content_votes.json"
PAIRS_A_CONTENT, STRENGTHS = 3, (0, 0.25, 0.5, 0.75, 1)
ATTACK_STEPS, ATTACK_BOUND = 100, 4 / 255
LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def rows_in(path):
    """What was measured so far; a line that was cut off by an interruption is measured again."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def pairs_of(contents, styles):
    """Every content with three styles, every style about equally often; the first of each content come first."""
    return [
        (content, styles[(i * 5 + k * 2 + i // len(styles)) % len(styles)])
        for k in range(PAIRS_A_CONTENT)
        for i, content in enumerate(contents)
    ]


def paint(content, style, output, size, **settings):
    """The saved picture, painted unless it is there."""
    if not output.exists():
        picture = read(content)
        longer = min(size, max(picture.width, picture.height))
        impasto.stylize(content, style, image_size=longer, **settings).save(output)
    return read(output)


def attack(content, style):
    """The content, changed so little that nobody sees it, with as much style gain as that can buy; float32 pixels."""
    net = load_network(device=torch.device("cpu"), dtype=torch.float32).net
    start = content.small.clone()

    def figures(pixels):
        found = activations(net, pixels, LAYERS)
        return [torch.cat([f.mean((2, 3)), (f.var((2, 3)) + 1e-6).sqrt()], 1) for f in found.values()]

    with torch.no_grad():
        target = figures(style.small)
    change = torch.zeros_like(start, requires_grad=True)
    adam = torch.optim.Adam([change], lr=1 / 255)
    for _ in range(ATTACK_STEPS):
        adam.zero_grad()
        found = figures((start + change).clamp(0, 1))
        torch.stack([(a - b).norm() / b.norm() for a, b in zip(found, target, strict=True)]).mean().backward()
        adam.step()
        change.data.clamp_(-ATTACK_BOUND, ATTACK_BOUND)
    return (start + change).detach().clamp(0, 1)


def measure(contents, styles, work, group):
    """A line of JSON for each pair, strength and attack, in rows.jsonl."""
    kept = work / "rows.jsonl"
    done = {row["id"] for row in rows_in(kept)}

    def keep(row):
        with kept.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row["id"], flush=True)

    pairs = pairs_of(contents, styles)
    for number, (content, style) in enumerate(pairs[:12:2] if group == "set" else ()):
        name = f"{content.stem}--{style.stem}"
        walked = [work / f"{name}-strength-{strength}.png" for strength in STRENGTHS]
        if f"{name} strength" not in done:
            values = []
            for strength, path in zip(STRENGTHS, walked, strict=True):
                output = paint(content, style, path, 256, strength=strength)
                values.append(judge_views(*views(output, read(content), [read(style)])))
            keep({"id": f"{name} strength", "kind": "strength", "values": values})
        if number % 2 == 0 and f"{name} attack" not in done:
            seen = views(paint(content, style, walked[-1], 256), read(content), [read(style)])
            changed = seen[1].with_pixels(seen[1].small)
            attacked = changed.with_pixels(attack(seen[1], seen[2]))
            recolored = CONTROLS["color_only"](seen)[0]
            both = recolored.with_pixels(attack(recolored, seen[2]))
            keep(
                {
                    "id": f"{name} attack",
                    "kind": "attack",
                    "attacked": judge_views(attacked, changed, seen[2]),
                    "recolored and attacked": judge_views(both, changed, seen[2]),
                }
            )
    for content, style in pairs:
        name = f"{content.stem}--{style.stem}"
        if name in done:
            continue
        trio = views(paint(content, style, work / f"{name}.png", 512), read(content), [read(style)])
        with torch.inference_mode():
            controls = {control: judge_views(*make(trio)) for control, make in CONTROLS.items()}
        keep({"id": name, "kind": "pair", "group": group, "output": judge_views(*trio), "controls": controls})
    content, style = pairs[0]
    output = read(work / f"{content.stem}--{style.stem}.png")
    seconds = []
    for controls in ((), (), CONTROLS):
        began = time.perf_counter()
        judge(output, read(content), [read(style)], controls=controls)
        seconds.append(time.perf_counter() - began)
    keep({"id": f"time {time.time():.0f}", "kind": "time", "seconds": seconds})


def agreement():
    """How often each content metric orders two outputs of one pair as a rater did: `content_votes.json`."""
    votes = json.loads(VOTES.read_text("utf-8"))
    preferences, pictures = votes["preferences"], votes["pictures"]

    def share(metric, chosen):
        sign = -1 if metric in ("content_distance", "self_similarity") else 1
        pairs = {}
        for one in chosen:
            better, worse = (pictures[f"{one['pair']}--{one[side]}"][metric] for side in ("better", "worse"))
            pairs.setdefault(one["pair"], []).append(sign * better > sign * worse)
        rng = np.random.default_rng(0)
        answers = list(pairs.values())
        drawn = [
            np.mean(np.concatenate([answers[i] for i in rng.integers(len(answers), size=len(answers))]))
            for _ in range(2000)
        ]
        low, high = np.quantile(drawn, [0.025, 0.975])
        return f"{np.mean(np.concatenate(answers)):.2f} [{low:.2f}, {high:.2f}]"

    def kind(variant):
        return "gram" if variant.startswith("gram") else "bent" if variant == "warp" else "redrawn"

    kinds = [(kind(one["better"]), kind(one["worse"])) for one in preferences]
    redrawn = [one for one, k in zip(preferences, kinds, strict=True) if k == ("redrawn", "gram")]
    in_place = [one for one, k in zip(preferences, kinds, strict=True) if k == ("gram", "redrawn")]
    lines = [
        {
            "metric": metric,
            f"all {len(preferences)}": share(metric, preferences),
            f"redrawn preferred to Gram ({len(redrawn)})": share(metric, redrawn),
            f"Gram preferred ({len(in_place)})": share(metric, in_place),
        }
        for metric in next(iter(pictures.values()))
        if metric != "sha256"
    ]
    return table(lines)


def outcomes(rows, gates):
    counted = Counter(gates.judge(row).outcome for row in rows)
    return {
        "ok": counted["ok"],
        "review": counted["review"],
        "reject": counted["reject"],
        "not ok": f"{1 - counted['ok'] / len(rows):.0%}",
    }


def spread(values):
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"


def tables(rows):
    """The tables as Markdown, by name."""
    gates = Gates.load(engine="optimize")
    pairs = [row for row in rows if row["kind"] == "pair"]
    found = {}
    for group in ("set", "checked"):
        of_group = [row for row in pairs if row["group"] == group]
        if not of_group:
            continue
        lines = [{"output": "optimize, defaults", **outcomes([row["output"] for row in of_group], gates)}]
        lines += [{"output": name, **outcomes([row["controls"][name] for row in of_group], gates)} for name in CONTROLS]
        must = [row["controls"][name] for row in of_group for name in MUST_FAIL]
        lines.append({"output": "all that must fail", **outcomes(must, gates)})
        found[f"gates {group}"] = f"{len(of_group)} pairs.\n\n{table(lines)}"
    metrics = [metric.name for metric in choose_metrics()]

    shown = ("identity", "color_only", "half_blend", "wrong_style", "style_copy", "shuffled_style")
    for title, names in (("pictures", shown), ("damage", tuple(name for name in CONTROLS if name not in shown))):
        found[f"values {title}"] = table(
            [
                {
                    "metric": metric,
                    "output": spread([row["output"][metric] for row in pairs]),
                    **{name: spread([row["controls"][name][metric] for row in pairs]) for name in names},
                }
                for metric in metrics
            ]
        )
    found |= walk_tables(rows, gates)
    found["agreement"] = agreement()
    times = [row["seconds"] for row in rows if row["kind"] == "time"]
    if times:
        first, again, controls = times[-1]
        found["time"] = (
            f"One output of 512 px on the machine that made these tables ({torch.get_num_threads()} threads, shared): "
            f"the first {first:.1f} s, any later one {again:.1f} s, with all {len(CONTROLS)} controls {controls:.1f} s."
        )
    return found


def walk_tables(rows, gates):
    """The tables of strength and of the attack."""
    found = {}
    walks = [row["values"] for row in rows if row["kind"] == "strength"]
    if walks:
        lines = []
        for metric in ("style_gain", "style_gain_efficientnet", "style_distance", "content_distance", "recognition"):
            correlations = [spearmanr(STRENGTHS, [step[metric] for step in walk]).statistic for walk in walks]
            medians = {f"{s:g}": statistics.median(walk[i][metric] for walk in walks) for i, s in enumerate(STRENGTHS)}
            lines.append({"metric": metric, **medians, "least |ρ|": min(map(abs, correlations))})
        found["strength"] = f"{len(walks)} pairs at 256 px, medians by strength.\n\n{table(lines)}"
    attacks = [row for row in rows if row["kind"] == "attack"]
    if attacks:
        lines = []
        for name in ("attacked", "recolored and attacked"):
            values = [row[name] for row in attacks]
            gains = {
                metric: spread([row[metric] for row in values])
                for metric in ("style_gain", "style_gain_efficientnet", "recognition", "visible_change")
            }
            lines.append({"output": name, **outcomes(values, gates), **gains})
        found["attack"] = f"{len(attacks)} pairs at 256 px.\n\n{table(lines)}"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--contents", type=Path, help="a folder of photos")
    parser.add_argument("--styles", type=Path, help="a folder of paintings")
    parser.add_argument("--work", type=Path, required=True, help="where pictures and figures are kept")
    parser.add_argument("--group", choices=("set", "checked"), default="checked")
    parser.add_argument("--write", action="store_true", help="only write the page from what is kept")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    if not chosen.write:
        measure(sorted(chosen.contents.iterdir()), sorted(chosen.styles.iterdir()), chosen.work, chosen.group)
    rows = rows_in(chosen.work / "rows.jsonl")
    page = PAGE.read_text("utf-8")
    for name, text in tables(rows).items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        head, _, rest = page.partition(begin)
        page = f"{head}{begin}{text}\n{end}{rest.partition(end)[2]}"
    PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    main()
