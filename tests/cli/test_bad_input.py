"""Whatever is wrong with the input: one sentence, exit code 2, and nothing written."""

import os
from collections.abc import Callable
from hashlib import sha256
from itertools import product
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from impasto.cli.main import main
from impasto.errors import DivergedError

Run = Callable[..., CompletedProcess[str]]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def make_bad(kind: str, folder: Path) -> Path:
    path = folder / f"{kind}.png"
    whole = (folder / "content.png").read_bytes()
    match kind:
        case "empty":
            path.write_bytes(b"")
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "text":
            path.write_text("this is no picture\n" * 20)
        case "noise":
            path.write_bytes(b"".join(sha256(bytes([i])).digest() for i in range(120)))
        case "folder":
            path.mkdir()
        case "tiny":
            Image.new("RGB", (3, 3)).save(path)
    return path


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        *product(("content", "style", "init"), ("missing", "empty", "truncated", "text", "noise", "folder")),
        ("style", "tiny"),
    ],
)
def test_unusable_picture_is_refused_in_one_sentence(
    run: Run, folder: Path, fast: tuple[str, ...], role: str, kind: str
) -> None:
    bad = make_bad(kind, folder)
    content, style = (bad if role == name else folder / f"{name}.png" for name in ("content", "style"))
    before = files(folder)
    extra = ("--init", bad) if role == "init" else ()
    outcome = run("stylize", content, style, "-o", "out.png", "--save-every", "1", *fast, *extra)
    assert outcome.returncode == 2
    assert outcome.stdout == ""
    assert outcome.stderr.startswith("impasto: error: ")
    assert outcome.stderr.count("\n") == 1
    assert "Traceback" not in outcome.stderr
    assert files(folder) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--layers", "relu9_9"], "no layer named 'relu9_9'"),
        (["--layers", "relu1_1=nan"], "finite"),
        (["--layers", ""], "layers="),
        (["--content-weight", "nan"], "content_weight='nan'"),
        (["--style-weight", "-1"], "greater than or equal to 0"),
        (["--style-weights", "1,x"], "style_weights='x'"),
        (["--style-weights", "0"], "above 0"),
        (["--style-weights", "1,2,3"], "style"),
        (["--image-size", "1.5"], "image_size='1.5'"),
        (["--image-size", "99999"], "16384"),
        (["--scales", "256,128"], "ascend"),
        (["--optimizer", "sgd"], "'adam' or 'lbfgs'"),
        (["--device", "toaster"], "device='toaster'"),
        (["--device", "cuda:77"], "cuda:77"),
        (["--init", "there-is-none.png"], "there-is-none.png"),
        (["--bit-depth", "12"], "8 or 16"),
        (["--palette", "#ffffff"], "belong together"),
        (["--color", "palette"], "belong together"),
        (["--color", "palette", "--palette", "#ggg"], "'#ggg'"),
        (["--style-loss", "l2"], "no style loss named 'l2'"),
        (["--preset", "ugly"], "'faithful'"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_unusable_setting_is_refused_in_one_sentence(run: Run, options: list[str], said: str) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", *options)
    assert outcome.returncode == 2
    assert said in outcome.stderr
    assert outcome.stderr.startswith("impasto: error: ")
    assert outcome.stderr.count("\n") == 1
    assert not Path("out.png").exists()


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("out.xyz", "no output format"),
        ("out", "no output format"),
        ("nowhere/out.png", "there is no folder"),
        ("a-folder.png", "is a folder"),
        ("x" * 300 + ".png", "name"),
        ("locked/out.png", "permission"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_unusable_output_is_refused_before_any_computing(run: Run, output: str, said: str) -> None:
    Path("a-folder.png").mkdir()
    Path("locked").mkdir(mode=0o500)
    if said == "permission" and os.access("locked", os.W_OK):
        pytest.skip("nothing is locked for this user")
    outcome = run("stylize", "content.png", "style.png", "-o", output, "--steps", "100000")
    assert outcome.returncode == 2
    assert said in outcome.stderr.lower()
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("output", ["out.jpg", "out.webp", "out.avif"])
@pytest.mark.usefixtures("folder")
def test_16_bits_for_a_format_that_has_8_are_refused_before_any_computing(run: Run, output: str) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", output, "--bit-depth", "16", "--steps", "100000")
    assert outcome.returncode == 2
    assert "cannot be written with 16 bits per channel" in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert not Path(output).exists()


@pytest.mark.parametrize("name", ["content.png", "style.png", "./style.png", "link.png"])
def test_output_that_is_an_input_is_refused(run: Run, folder: Path, fast: tuple[str, ...], name: str) -> None:
    Path("link.png").symlink_to("content.png")
    before = files(folder)
    outcome = run("stylize", "content.png", "style.png", "-o", name, *fast)
    assert outcome.returncode == 2
    assert "is also an input" in outcome.stderr
    assert files(folder) == before


@pytest.mark.usefixtures("folder")
def test_style_weights_of_another_number_than_styles_are_refused(run: Run, fast: tuple[str, ...]) -> None:
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--style-weights", "1,1", *fast)
    assert outcome.returncode == 2


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (DivergedError("the loss is not finite"), 1, "impasto: error: the loss is not finite\n"),
        (MemoryError(), 1, "impasto: error: there is not enough memory"),
        (ZeroDivisionError("1/\n0"), 1, "impasto: internal error: ZeroDivisionError: 1/ 0; run again with"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_failure_becomes_one_line_and_its_exit_code(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("impasto.api.stylize", fail)
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png")
    assert outcome.returncode == code
    assert outcome.stderr.startswith(said)
    assert outcome.stderr.count("\n") == 1
    assert not Path("out.png").exists()


@pytest.mark.usefixtures("folder")
def test_internal_error_shows_its_traceback_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("impasto.api.stylize", fail)
    monkeypatch.setenv("IMPASTO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["stylize", "content.png", "style.png", "-o", "out.png"])


@pytest.mark.usefixtures("folder")
def test_failure_keeps_the_last_preview_and_says_so(
    run: Run, fast: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DivergedError("the disk is full")

    monkeypatch.setattr("impasto.engines.base.Stylization.save", fail)
    outcome = run("stylize", "content.png", "style.png", "-o", "out.png", "--save-every", "1", *fast)
    assert outcome.returncode == 1
    assert "the last preview is kept: out.preview.png" in outcome.stderr
    with Image.open("out.preview.png") as image:
        assert image.size == (64, 48)
