"""How soon the service takes and begins jobs, what random kills cost, and whether its memory stays flat.

    python benchmarks/service.py load  [--rate 50] [--seconds 10] [--no-worker]
    python benchmarks/service.py chaos [--jobs 20] [--minutes 3] [--database URL] [--seed 0]
    python benchmarks/service.py soak  [--minutes 15] [--seed 0]

`load` starts `impasto serve` in a temporary folder and sends jobs at an even rate while its worker computes. `chaos`
kills the service, its worker or both (SIGKILL) at random moments and starts it again, until every accepted job has
ended; then every result is compared, byte by byte, with what the library paints of the same request in one go. `soak`
keeps the worker busy with pictures of many shapes by two engines, while a client looks at everything, and prints the
resident sizes of the service and its worker by thirds of the time.
"""

import argparse
import asyncio
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path

import httpx2
import psutil
import skimage.data
import torch
from PIL import Image

from impasto import api

#: Two scales of many cheap steps: some seconds on one core.
SMALL = {"image_size": 64, "scales": [48, 64], "layers": ["relu1_1", "relu2_1"], "style_loss": "w2", "steps": 40}
ENDLESS = {"image_size": 96, "optimizer": "adam", "steps": 100_000}


def start(home, *options):
    """A service that answers; gives its process and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "impasto", "serve", "--home", home, "--port", "0", *options],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (found := re.search(r"serves at (http://\S+);", process.stderr.readline())):
        if process.poll() is not None:
            raise SystemExit("the service does not start")
    return process, found[1]


def picture(array, size):
    kept = BytesIO()
    Image.fromarray(array).resize(size).save(kept, "PNG")
    return kept.getvalue()


PICTURES = picture(skimage.data.astronaut(), (64, 48)), picture(skimage.data.coffee(), (72, 56))


async def load(address, rate, seconds, with_worker):
    """Send jobs at an even rate; seconds until each was answered."""
    limits = httpx2.Limits(max_connections=50)
    async with httpx2.AsyncClient(base_url=address, timeout=30, limits=limits) as client:
        content, style = [(await client.post("/v1/assets", files={"file": one})).json()["id"] for one in PICTURES]
        body = {"content": content, "styles": [style], "engine": "optimize", "settings": ENDLESS}
        if with_worker:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.2)
            began = time.perf_counter()
            place = (await client.post("/v1/jobs", json=body)).headers["location"]
            while (await client.get(place)).json()["state"] != "running":
                await asyncio.sleep(0.02)
            print(f"a job begins after {time.perf_counter() - began:.2f} s")
            while (await client.get(f"{place}/preview")).status_code != 200:
                await asyncio.sleep(0.02)
            print(f"its first preview comes after {time.perf_counter() - began:.2f} s")
        took, codes = [], {}

        async def send():
            began = time.perf_counter()
            answer = await client.post("/v1/jobs", json=body)
            took.append(time.perf_counter() - began)
            codes[answer.status_code] = codes.get(answer.status_code, 0) + 1

        began, sent = time.perf_counter(), []
        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            sent.append(asyncio.create_task(send()))
        await asyncio.gather(*sent)
    took.sort()
    print(f"answers {codes}, load of the machine {os.getloadavg()[0]:.1f}")
    shown = (statistics.median(took), took[int(0.99 * len(took))], took[-1])
    print("accepted: median {:.0f} ms, 99 % within {:.0f} ms, slowest {:.0f} ms".format(*(1e3 * one for one in shown)))


def chaos(home, jobs, minutes, options, dice):
    """Kill at random until all jobs have ended; then compare."""
    process, address = start(home, *options)
    with httpx2.Client(base_url=address, timeout=60) as client:
        content, style = (client.post("/v1/assets", files={"file": one}).json()["id"] for one in PICTURES)
        asked = {}
        for seed in range(jobs):
            body = {"content": content, "styles": [style], "settings": {**SMALL, "seed": seed, "init": "noise"}}
            asked[client.post("/v1/jobs", json=body).json()["id"]] = body
    kills, end = 0, time.monotonic() + 60 * minutes
    while True:
        with httpx2.Client(base_url=address, timeout=60) as client:
            states = {job["id"]: job for job in client.get("/v1/jobs", params={"limit": 200}).json()["jobs"]}
        if all(states[job]["state"] in ("done", "failed", "cancelled") for job in asked):
            break
        # Seldom enough: a job that is killed three times before its first step is poison, by chance too.
        time.sleep(dice.uniform(0.5, 20.0))
        if time.monotonic() > end:
            continue
        workers = psutil.Process(process.pid).children()
        victims = dice.choice(("worker", "service", "both"))
        if victims != "service":
            for worker in workers:
                worker.kill()
        if victims != "worker":
            process.kill()
            process.wait()
            process.stderr.close()
            process, address = start(home, *options)
        kills += 1
    process.send_signal(signal.SIGTERM)
    process.wait()
    found = [states[job]["state"] for job in asked]
    print({state: found.count(state) for state in set(found)}, f"of {jobs} jobs after {kills} kills")
    torch.set_num_threads(1)  # as the workers
    same = 0
    folder = Path(home) / "again"
    folder.mkdir()
    for name, data in zip((content, style), PICTURES, strict=True):
        (folder / name).write_bytes(data)
    for job, body in asked.items():
        if states[job]["state"] != "done":
            print(job, states[job]["error"])
            continue
        whole = api.stylize(folder / content, [folder / style], **body["settings"]).save(folder / "whole.png")
        same += whole.read_bytes() == (Path(home) / "jobs" / job / "result.png").read_bytes()
    print(f"{same} of {jobs} results have the bytes of an undisturbed run")


def soak(home, minutes, options, dice):
    """Memory by thirds of the time while jobs of many shapes are sent, watched and fetched."""
    process, address = start(home, *options)
    photos = [getattr(skimage.data, name)() for name in ("astronaut", "coffee", "chelsea", "rocket")]
    sizes, ended, end = {"service": [], "worker": []}, 0, time.monotonic() + 60 * minutes
    with httpx2.Client(base_url=address, timeout=60) as client:
        while time.monotonic() < end:
            shape = dice.randrange(160, 520), dice.randrange(160, 520)
            pictures = (picture(dice.choice(photos), size) for size in (shape, (256, 256)))
            content, style = (client.post("/v1/assets", files={"file": one}).json()["id"] for one in pictures)
            about = {"engine": "fast"} if dice.random() < 0.8 else {"settings": {"image_size": 128, "steps": 20}}
            job = client.post("/v1/jobs", json={"content": content, "styles": [style], **about}).json()["id"]
            while (state := client.get(f"/v1/jobs/{job}").json()["state"]) not in ("done", "failed"):
                time.sleep(0.2)
            if state == "failed":
                raise SystemExit(client.get(f"/v1/jobs/{job}").text)
            for page in (f"/v1/jobs/{job}/result", f"/v1/jobs/{job}/preview", "/v1/jobs?limit=200", "/", "/metrics"):
                client.get(page).raise_for_status()
            ended += 1
            sizes["service"].append(psutil.Process(process.pid).memory_info().rss >> 20)
            sizes["worker"].append(max(one.memory_info().rss >> 20 for one in psutil.Process(process.pid).children()))
    process.send_signal(signal.SIGTERM)
    process.wait()
    third = ended // 3
    for who, seen in sizes.items():
        thirds = (seen[:third], seen[third : 2 * third], seen[2 * third :])
        shown = ", ".join(f"{statistics.median(part):.0f} (highest {max(part)})" for part in thirds)
        print(f"{who}: MiB by thirds of {ended} jobs, median: {shown}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("load", "chaos", "soak"))
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--no-worker", action="store_true")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--database")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    more = ["--queue", "100000", *(["--database", given.database] if given.database else [])]
    with tempfile.TemporaryDirectory() as home:
        if given.what == "load":
            process, address = start(home, *more, *(["--no-worker"] if given.no_worker else []))
            try:
                asyncio.run(load(address, given.rate, given.seconds, not given.no_worker))
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait()
        elif given.what == "soak":
            soak(home, given.minutes, more, random.Random(given.seed))
        else:
            chaos(home, given.jobs, given.minutes, more, random.Random(given.seed))
