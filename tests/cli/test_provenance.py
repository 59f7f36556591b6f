"""A user signs, passes on and verifies; what files say stays quoted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin

import impasto


@pytest.fixture(autouse=True)
def _own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMPASTO_PROVENANCE", str(tmp_path / "papers"))
    monkeypatch.setenv("IMPASTO_REGISTRY", str(tmp_path / "registry.sqlite"))


def paint(run, *more: str) -> object:
    words = ("stylize", "content.png", "style.png", "--engine", "fast", "--image-size", "64")
    return run(*words, "-o", "out.png", "--quiet", *more)


def test_user_signs_and_others_verify(run, folder) -> None:
    refused = paint(run, "--sign", "local")
    assert refused.returncode == 2
    assert "`impasto provenance init` makes a key" in refused.stderr
    assert not Path("out.png").exists()  # said before anything is painted

    made = run("provenance", "init", "--name", "Ada")
    assert made.returncode == 0
    assert "Ada can sign until 20" in made.stderr
    assert paint(run, "--sign", "local").returncode == 0
    trusted = run("verify", "out.png")
    assert trusted.returncode == 0
    for line in ("trusted: unchanged since", "signed by “Ada” of “impasto, self-issued”", "made by engine “fast”"):
        assert line in trusted.stdout

    with Image.open("out.png") as image:
        image.save("stripped.jpg", quality=85)
    Path("damaged.png").write_bytes(Path("out.png").read_bytes()[:-1] + b"?")
    several = run("verify", "out.png", "stripped.jpg", "damaged.png", "none.png", "--json")
    assert several.returncode == 2  # one cannot be read
    first, stripped, damaged, none = json.loads(several.stdout)["files"]
    assert (first["outcome"], first["recipe"]["engine"]) == ("trusted", "fast")
    assert (stripped["outcome"], stripped["copy_of"]["name"]) == ("not present", "out.png")
    assert damaged["outcome"] == "invalid"
    assert "there is no such file" in none["error"]
    told = run("verify", "stripped.jpg")
    assert told.returncode == 1
    assert "it is a re-saved copy of “out.png”" in told.stdout
    assert "told by the registry" in told.stdout
    assert "the file was changed after it was signed" in run("verify", "damaged.png").stdout


def test_signature_in_a_file_that_shall_tell_nothing_is_a_contradiction(run, folder) -> None:
    done = paint(run, "--sign", "local", "--metadata", "none")
    assert done.returncode == 2
    assert "--sign puts a manifest into the file and --metadata none nothing; use minimal" in done.stderr


def test_pictures_that_are_there_are_signed_and_a_stranger_is_named_as_such(run, folder, tmp_path, monkeypatch) -> None:
    assert run("provenance", "init", "--name", "Mallory\x1b[31m").returncode == 0
    assert paint(run).returncode == 0
    Path("signed.png").write_bytes(Path("out.png").read_bytes())
    assert run("provenance", "sign", "signed.png").returncode == 0
    assert paint(run, "--metadata", "minimal").returncode == 0
    assert run("provenance", "sign", "out.png").returncode == 0
    monkeypatch.setenv("IMPASTO_PROVENANCE", str(tmp_path / "others"))
    done = run("verify", "out.png")
    assert done.returncode == 1
    assert r"signed by “Mallory\x1b[31m” of “impasto, self-issued”, as the certificate says" in done.stdout
    assert "no authority that is trusted here vouches for the signer" in done.stdout
    assert run("verify", "out.png", "--trust", tmp_path / "papers/authority.pem").returncode == 0
    assert run("verify", "out.png", "--trust", "out.png").returncode == 2
    again = run("rerun", "signed.png")
    assert "identical to signed.png, pixel for pixel; what stands beside" in again.stderr


def test_words_of_a_file_are_quoted_and_cannot_steer_the_terminal(run, folder) -> None:
    assert paint(run).returncode == 0
    recipe = json.loads(impasto.read_recipe("out.png").to_json())
    recipe["engine"] = "fast\x1b]0;owned\x07\n  trusted: unchanged since it was signed"
    recipe["content"]["name"] = "[bold]‮gnp.x"
    chunks = PngImagePlugin.PngInfo()
    chunks.add_itxt("impasto", json.dumps(recipe))
    with Image.open("out.png") as image:
        image.save("forged.png", pnginfo=chunks)
    done = run("verify", "forged.png")
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert "‮" not in done.stdout
    lines = done.stdout.splitlines()
    assert not [line for line in lines if line.strip().startswith("trusted")]
    assert any("[bold]" in line for line in lines)
    assert "told by the file, which anybody can write" in done.stdout


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--key", "k.pem"), "--key and --certificates belong together"),
        (("--key", "k.pem", "--certificates", "c.pem"), "cannot read 'k.pem'"),
        (("--renew",), "leave out --renew"),
        (("--name", "n" * 80), "cannot be a signer's name"),
    ],
)
def test_papers_that_cannot_be_made_are_told_in_a_sentence(run, folder, words, says) -> None:
    done = run("provenance", "init", *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not Path("papers").exists()
