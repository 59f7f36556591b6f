"""``impasto models``, and a picture by engine diffusion from the command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: A run of a moment.
QUICK = ("--engine", "diffusion", "--image-size", "64", "--steps", "2", "--control", "none")


def test_models_list_names_licences_sizes_and_places(run, hub: Path) -> None:
    text = run("models", "list").stdout
    assert "sdxl-base" in text
    assert "CreativeML Open RAIL++-M" in text
    assert "no commercial use" in text
    assert "--model sd15-lcm: 6.0 GiB of" in text
    entries = {entry["id"]: entry for entry in json.loads(run("models", "list", "--json").stdout)["models"]}
    assert entries["sdxl-base"]["path"].startswith(str(hub))
    assert entries["sdxl-turbo-base"]["path"] is None
    assert entries["sdxl-turbo-base"]["commercial"] is False


def test_models_path_and_verify(run, hub: Path) -> None:
    done = run("models", "path", "taesd-15")
    assert (done.returncode, done.stdout.split()) == (0, ["taesd-15", str(hub / "madebyollin/taesd")])
    done = run("models", "verify", "taesd-15")
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["unknown", "taesd-15", "config.json"]
    assert run("models", "verify", "sdxl-turbo").returncode == 1
    done = run("models", "path", "sdxl-turbo")
    assert done.returncode == 1
    assert "impasto models download sdxl-turbo-base" in done.stderr


def test_models_download_asks_for_licences(run, hub: Path) -> None:
    done = run("models", "download", "sdxl-turbo")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--accept-license" in done.stderr
    done = run("models", "download", "sdxl-turbo", "--accept-license")
    assert done.returncode == 1
    assert "HF_HUB_OFFLINE" in done.stderr
    assert run("models", "download", "sd99").returncode == 2


def test_stylize_info_and_rerun_with_diffusion(run, folder: Path, hub: Path) -> None:
    done = run("stylize", "content.png", "style.png", "-o", "out.png", *QUICK, "--prompt", "a house", "--json")
    assert done.returncode == 0, done.stderr
    recipe = json.loads(done.stdout)["recipe"]
    assert recipe["engine"] == "diffusion"
    assert recipe["settings"]["prompt"] == "a house"
    assert "sdxl-base: CreativeML Open RAIL++-M" in recipe["weights"]["source"]
    assert "diffusion" in run("info", "out.png").stdout
    done = run("rerun", "out.png")
    assert done.returncode == 0, done.stderr
    assert (folder / "out-rerun.png").read_bytes() == (folder / "out.png").read_bytes()


def test_rerun_of_a_users_model_takes_its_folder(run, folder: Path, hub: Path) -> None:
    model = hub / "stabilityai/stable-diffusion-xl-base-1.0"
    done = run("stylize", "content.png", "style.png", "-o", "out.png", *QUICK[:-2], "--model", model)
    assert done.returncode == 0, done.stderr
    done = run("rerun", "out.png")
    assert done.returncode == 2
    assert "stable-diffusion-xl-base-1.0" in done.stderr
    assert run("rerun", "out.png", "--model", model).returncode == 0
    assert (folder / "out-rerun.png").read_bytes() == (folder / "out.png").read_bytes()


def test_plan_of_diffusion_says_size_memory_and_time(run, folder: Path, hub: Path) -> None:
    done = run("plan", "content.png", "style.png", *QUICK)
    assert done.returncode == 0
    assert "64×48 px, 2 steps" in done.stdout
    assert "memory" in done.stdout


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--blocks", "up_blocks.7"), 2, "no block"),
        (("--model", "nowhere"), 2, "no model named 'nowhere'"),
        (("--model", "style.png"), 1, "style.png"),
        (("--preserve", "much"), 2, "preserve='much'"),
        (("--prompt", "x" * 99), 2, "prompt has 99 tokens"),
        (("--steps", "-1"), 2, "steps="),
        (("--init", "missing.png"), 2, "missing.png"),
        (("--layers", "relu1_1"), 2, "no setting named 'layers'"),
    ],
    ids=str,
)
def test_bad_input_is_one_sentence_and_leaves_nothing(run, folder: Path, hub: Path, words, code, message) -> None:
    done = run("stylize", "content.png", "style.png", "-o", "out.png", *QUICK, *words)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert done.stderr.count("impasto: error:") == 1
    assert "Traceback" not in done.stderr
    assert not (folder / "out.png").exists()


def test_model_that_is_told_what_to_do(run, folder: Path, hub: Path, photograph) -> None:
    from PIL import Image

    Image.fromarray(photograph("coffee", 80, 96)).save(folder / "table.png")
    quick = ("--engine", "diffusion", "--model", "flux2-klein", "--image-size", "64", "--steps", "2")
    done = run("stylize", "content.png", "table.png", "table.png", "-o", "told.png", *quick, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["recipe"]["settings"]["prompt"]
    assert "the other 2 images" in told
    assert "flux2-klein-base: Apache-2.0" in run("info", "told.png").stdout
    before = (folder / "told.png").read_bytes()
    done = run("rerun", "told.png", "-o", "again.png")
    assert done.returncode == 0, done.stderr
    assert (folder / "again.png").read_bytes() == before
    done = run("plan", "content.png", "table.png", *quick)
    assert done.returncode == 0, done.stderr
    done = run("stylize", "content.png", "table.png", "-o", "no.png", *quick, "--ip-adapter-scale", "0.5")
    assert done.returncode == 2
    assert "ip_adapter_scale cannot be used with model flux2-klein" in done.stderr
    assert not (folder / "no.png").exists()
    assert "--model flux2-klein: 14.9 GiB of flux2-klein-base" in run("models", "list").stdout
