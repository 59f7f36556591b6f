"""``impasto train dreambooth``, ``generate`` and ``export --lora-names`` from the command line, on the tiny hub."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from safetensors.torch import load_file
from tests.cli.conftest import save_picture

pytest.importorskip("diffusers")

Run = Callable[..., CompletedProcess[str]]

TINY = ("--size", "64", "--accumulation", "1", "--rank", "2", "--sample-every", "0", "--dtype", "float32")
TRAIN = ("train", "dreambooth", "pictures", "-o", "mine", *TINY)
QUICK = ("--steps", "1", "--dtype", "float32", "--quiet")


@pytest.fixture
def pictures(hub: Path, folder: Path) -> Path:
    """Three pictures without captions."""
    place = folder / "pictures"
    place.mkdir()
    for seed in range(3):
        save_picture(place / f"{seed}.png", width=64, height=64, seed=seed)
    return place


def test_training_that_is_terminated_goes_on_and_paints(pictures: Path, folder: Path, run: Run) -> None:
    def terminate() -> None:
        while not (folder / "mine.work" / "lock").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    ender = threading.Thread(target=terminate)
    ender.start()
    ended = run(*TRAIN, "--steps", "3")
    ender.join()
    assert ended.returncode == 143, ended.stderr
    assert "cancelled; the same command goes on from mine.work" in ended.stderr
    assert (folder / "mine.work" / "checkpoint.safetensors").is_file()
    assert not (folder / "mine").exists()

    done = run(*TRAIN, "--steps", "3", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["steps"], document["trigger"], document["model"]) == (3, "mine style", "sdxl")
    assert "the pictures have no captions" in done.stderr
    assert "step 3/3: loss " in done.stderr

    painted = run("generate", "--style", "mine", "--prompt", "a harbour", "-o", "g.png", *QUICK, "--json")
    assert painted.returncode == 0, painted.stderr
    assert json.loads(painted.stdout)["recipe"]["settings"]["lora"] == "diffusion.safetensors"
    photo = ("stylize", "content.png", "mine", "-o", "s.png", "--engine", "diffusion", "--image-size", "64")
    assert run(*photo, "--control", "none", *QUICK).returncode == 0
    styles = [word for each in range(1, 4) for word in ("--style", f"mine/references/0{each}-{each - 1}.png")]
    again = run("rerun", "s.png", "--lora", "mine/diffusion.safetensors", *styles)
    assert again.returncode == 0, again.stderr
    assert "identical to s.png" in again.stderr

    exported = run("export", "mine", "--lora-names", "kohya", "-o", "k.safetensors")
    assert exported.returncode == 0, exported.stderr
    assert {float(tensor) for name, tensor in load_file("k.safetensors").items() if name.endswith(".alpha")} == {2.0}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("train", "dreambooth", "pictures/0.png", "-o", "mine"), "a style takes 3 at least"),
        ((*TRAIN, "--captions", "pictures"), "0.png, 1.png, 2.png of 3 pictures have no caption"),
        ((*TRAIN, "--model", "sdxl-turbo"), "forbids commercial use"),
        (
            ("export", "mosaic", "--lora-names", "kohya", "-o", "k.safetensors"),
            "nothing was trained for engine diffusion",
        ),
        (("export", "--lora-names", "kohya", "-o", "k.safetensors"), "takes a style with a LoRA"),
        (("generate", "--style", "nowhere", "--prompt", "x", "-o", "g.png"), "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(pictures: Path, folder: Path, run: Run, words: tuple[str, ...], said: str) -> None:
    done = run(*words)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("impasto: error: ") == 1
    assert not (folder / "mine").exists()
