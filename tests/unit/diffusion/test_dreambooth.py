"""A training on the tiny hub: the loss by hand, exact resume, what is refused, what comes of it."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load
from torch.testing import assert_close

import impasto
from impasto import api
from impasto.engines.diffusion.training.encoded import Batches, Encoded, Text
from impasto.engines.diffusion.training.objective import snr_weights, weighted_loss
from impasto.engines.diffusion.training.pictures import TrainingPicture, buckets, look_at
from impasto.progress import Cancelled, CancelToken, TrainingProgress
from impasto.styles import library_folder, read_style

if TYPE_CHECKING:
    from collections.abc import Callable

#: A training of seconds.
TINY: dict[str, Any] = {
    "model": "sdxl", "size": 64, "steps": 4, "batch": 2, "accumulation": 1, "rank": 2, "learning_rate": 1e-2,
    "sample_every": 0, "trigger": "ink", "dtype": "float32", "checkpointing": "off",
}  # fmt: skip


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures in two shapes, with captions."""
    folder = tmp_path_factory.mktemp("pictures")
    for index, size in enumerate([(64, 64), (96, 64), (64, 64), (72, 64)]):
        coarse = np.random.default_rng(index).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"thing {index}\n")
    return folder


@pytest.fixture
def train(pictures: Path, tmp_path: Path) -> Callable[..., Any]:
    """``api.train_dreambooth`` on them, with tiny settings, which a test may change."""

    def call(*, given: Any = None, output: str = "mine", cancel_at: int = 0, **changes: Any) -> Any:
        token = CancelToken()

        def watch(progress: TrainingProgress) -> None:
            if progress.step == cancel_at:
                token.cancel()

        return api.train_dreambooth(
            [pictures] if given is None else given,
            tmp_path / output,
            **{"on_progress": watch, "cancel": token, **TINY, **changes},
        )

    return call


def test_min_snr_weights_are_those_of_the_paper() -> None:
    alphas = torch.tensor([0.99, 0.9, 0.5, 0.1, 0.0])
    times = torch.arange(5)
    noise = snr_weights(alphas, times, gamma=5, prediction="epsilon")
    assert_close(noise, torch.tensor([5 / 99, 5 / 9, 1.0, 1.0, 1.0]), rtol=1e-4, atol=1e-6)
    velocity = snr_weights(alphas, times, gamma=5, prediction="v_prediction")
    assert_close(velocity, torch.tensor([5 / 100, 5 / 10, 1 / 2, 1 / 10, 0.0]), rtol=1e-4, atol=1e-6)
    assert torch.equal(snr_weights(alphas, times, gamma=0, prediction="epsilon"), torch.ones(5))


@pytest.mark.parametrize("count", [1, 2])
def test_weight_meets_the_loss_of_its_own_picture_alone(count: int) -> None:
    found, wanted = torch.zeros(count, 4, 2, 2), torch.arange(1.0, count + 1)[:, None, None, None].expand(-1, 4, 2, 2)
    weights = torch.tensor([0.5, 3.0][:count])
    by_hand = sum(w * (i + 1) ** 2 for i, w in enumerate(weights.tolist())) / count
    assert float(weighted_loss(found, wanted, weights)) == pytest.approx(by_hand)


@pytest.mark.parametrize("batch", [1, 2])
def test_prior_has_a_term_of_its_own_beside_min_snr(train, pictures: Path, batch: int) -> None:
    """Whatever the batch, the style's term is what it is without a prior, and the prior's goes with its weight."""
    one = {"steps": 1, "batch": batch, "snr_gamma": 5.0}
    alone = train(output="a", **one).history[0]
    prior = {"prior": [pictures / "3.png"]}
    light = train(output="b", prior_weight=1.0, **one, **prior).history[0]
    heavy = train(output="c", prior_weight=3.0, **one, **prior).history[0]
    assert set(alone) == {"style"}
    assert light["style"] == heavy["style"] == alone["style"]
    assert heavy["prior"] == pytest.approx(3 * light["prior"], rel=1e-6)
    assert light["prior"] > 0


def test_interrupted_training_goes_on_bit_for_bit(train, tmp_path: Path) -> None:
    """Cancelled and gone on from, with a full disk between, with activations computed again: the same bytes."""
    prior = {"prior_prompt": "a photo", "prior_count": 1, "sample_steps": 1}
    straight = train(output="straight", **prior)
    work = tmp_path / "work"
    with pytest.raises(Cancelled):
        train(cancel_at=2, workdir=work, checkpointing="on", **prior)
    assert not (tmp_path / "mine").exists()
    kept = (work / "checkpoint.safetensors").read_bytes()
    with pytest.raises(impasto.InputError, match="of another run"):
        train(workdir=work, learning_rate=1e-3, **prior)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))  # the kernel cuts the checkpoint off here
    try:
        with pytest.raises(impasto.OutputError, match=r"cannot write a checkpoint.*free some space"):
            train(workdir=work, **prior)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (work / "checkpoint.safetensors").read_bytes() == kept
    assert not list(work.glob("*.tmp"))
    resumed = train(workdir=work, **prior)
    assert [len(run.history) for run in (straight, resumed)] == [4, 4]
    assert resumed.history == straight.history
    one, other = load(straight.file), load(resumed.file)
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name
    assert any(bool(tensor.any()) for name, tensor in one.items() if "lora_B" in name), "it learned something"


def test_bad_numbers_are_left_out_and_end_a_training_that_has_only_them(train, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = Batches.batch
    spoiled: set[int] = {1}

    def batch(self: Batches, number: int) -> Any:
        found = taken(self, number)
        return found._replace(means=found.means * float("nan")) if number in spoiled else found

    monkeypatch.setattr(Batches, "batch", batch)
    run = train(steps=3)
    assert run.history[1] == run.history[0], "the step counts, its numbers do not"
    assert all(bool(tensor.isfinite().all()) for tensor in load(run.file).values())
    spoiled.update(range(100))
    with pytest.raises(impasto.DivergedError, match="use a learning_rate below"):
        train(output="worse", steps=50)


def test_style_of_a_training_is_found_by_name_and_paints(train, tmp_path: Path, content, monkeypatch) -> None:
    run = train(target="style_block", sample_every=2, sample_steps=1, dtype="bfloat16", alpha=4)
    style = read_style(tmp_path / "mine")
    assert set(style.trained) == {"diffusion"}
    assert 1 <= len(style.references) <= 4
    assert run.about["captions"]
    assert all("up_blocks.0.attentions.1." in name for name in load(run.file))
    work = tmp_path / "mine.work"
    assert {"samples-000002.png", "lora-000004.safetensors", "losses.csv", "preview.png"} <= {
        path.name for path in work.iterdir()
    }
    with Image.open(work / "preview.png") as preview:
        assert preview.size == (4 * 64, 2 * 64)
    card = (tmp_path / "mine" / "MODEL_CARD.md").read_text()
    assert "CreativeML Open RAIL++-M" in card
    assert str(tmp_path) not in card
    library_folder().mkdir(parents=True, exist_ok=True)
    shutil.copytree(tmp_path / "mine", library_folder() / "ink-lora")
    quick = {"steps": 1, "dtype": "float32"}
    try:
        painted = impasto.stylize(content, "ink-lora", engine="diffusion", image_size=64, control="none", **quick)
        assert painted.recipe.settings["lora"] == "diffusion.safetensors"
        from_words = [
            api.generate("ink-lora", "a harbour", width=64, height=48, lora_scale=scale, **quick) for scale in (0, 1)
        ]
        assert (from_words[0].picture.width, from_words[0].picture.height) == (64, 48)
        assert not torch.equal(*(each.picture.pixels for each in from_words))
        with pytest.raises(impasto.SettingsError, match="trained as one style"):
            impasto.stylize(content, ["ink-lora", content], engine="diffusion", image_size=64)
        api.export_lora("ink-lora", tmp_path / "k.safetensors", names="kohya")
        alphas = {float(t) for name, t in load((tmp_path / "k.safetensors").read_bytes()).items() if "alpha" in name}
        assert alphas == {4.0}
    finally:
        shutil.rmtree(library_folder() / "ink-lora")


def test_stable_diffusion_15_is_trained_and_painted_with_by_its_own_model(train, tmp_path: Path) -> None:
    """Trained without its LoRA for few steps, painted with it."""
    run = train(model="sd15-lcm", target="style_block", steps=1, sample_every=1, sample_steps=1, accumulation=2)
    assert all("unet.up_blocks.1." in name for name in load(run.file))
    painted = api.generate(tmp_path / "mine", "a harbour", steps=1, dtype="float32")
    assert painted.recipe.weights.source.startswith("sd15-lcm")


def test_generate_refuses_what_is_about_a_content() -> None:
    with pytest.raises(impasto.SettingsError, match="strength is about the content"):
        api.generate("any", "words", strength=0.5)
    with pytest.raises(impasto.SettingsError, match="give both or neither"):
        api.generate("any", "words", width=64)
    with pytest.raises(impasto.SettingsError, match="width=8 cannot be used"):
        api.generate("any", "words", width=8, height=64)


def test_too_few_pictures_are_refused(train, pictures: Path) -> None:
    with pytest.raises(impasto.InputError, match=r"2 picture\(s\) were given, but a style takes 3 at least"):
        train(given=[pictures / "0.png", pictures / "1.png"])
    with pytest.raises(impasto.InputError, match="no picture or folder 'nowhere'"):
        train(given=["nowhere"])


def test_captions_that_are_missing_are_named(train, pictures: Path, tmp_path: Path) -> None:
    folder = tmp_path / "captions"
    with pytest.raises(impasto.InputError, match="is no folder"):
        train(captions=folder)
    folder.mkdir()
    (folder / "0.txt").write_text("one")
    with pytest.raises(impasto.InputError, match=r"1\.png, 2\.png, 3\.png of 4 pictures have no caption"):
        train(captions=folder)
    for index in range(4):
        (folder / f"{index}.txt").write_text("" if index == 2 else "one")
    with pytest.raises(impasto.InputError, match=r"2\.txt' is empty"):
        train(captions=folder)
    (folder / "2.txt").write_text("word " * 40)
    with pytest.raises(impasto.SettingsError, match="tokens with the trigger, but the model reads 75"):
        train(captions=folder)
    assert not (tmp_path / "mine").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "sdxl-turbo"}, "forbids commercial use; give accept_license"),
        ({"steps": 1_000_000, "batch": 256, "accumulation": 64}, "would take about .* hours; train on a GPU"),
        ({"size": 512}, "more than twice that; use a larger picture, or a smaller size"),
        ({"trigger": " "}, "trigger is empty"),
        ({"rank": 0}, "rank=0 cannot be used"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_is_loaded(train, tmp_path: Path, changes, said: str) -> None:
    with pytest.raises(impasto.SettingsError if "size" not in changes else impasto.ImageTooSmallError, match=said):
        train(**changes)
    assert not (tmp_path / "mine.work").exists()


def test_prior_pictures_need_words(train, pictures: Path, tmp_path: Path) -> None:
    shutil.copy(pictures / "0.png", tmp_path / "bare.png")
    with pytest.raises(impasto.SettingsError, match="without words for them; give prior_prompt"):
        train(prior=[tmp_path / "bare.png"])


def test_output_that_is_no_style_is_left_alone(train, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("x")
    with pytest.raises(impasto.OutputError, match="is there already and is no style"):
        train()
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "x"


def test_buckets_have_about_as_many_pixels_as_the_square() -> None:
    found = buckets(1024, 8)
    assert (1024, 1024) in found
    for height, width in found:
        assert height % 64 == width % 64 == 0
        assert 0.9 * 1024**2 < height * width <= 1024**2
        assert (width, height) in found


def test_picture_is_seen_in_its_own_proportions_with_little_cut_off(tmp_path: Path) -> None:
    gradient = np.linspace(0, 255, 300 * 200 * 3).reshape(300, 200, 3).astype(np.uint8)
    Image.fromarray(gradient).save(tmp_path / "tall.png")
    (picture,) = look_at([tmp_path / "tall.png"], ["a"], size=64, multiple=8)
    assert picture.bucket == (80, 48)
    assert picture.pixels().shape == (1, 3, *picture.bucket)
    assert picture.times[:2] == (300, 200)
    assert max(picture.times[2:4]) <= 4


def test_every_picture_is_seen_in_a_round_in_an_order_of_its_own() -> None:
    shapes = [(8, 8)] * 5 + [(8, 16)] * 2 + [(16, 8)]
    seen = [TrainingPicture(Path(str(i)), "", "", *shape, shape) for i, shape in enumerate(shapes)]
    encoded = Encoded(seen, [torch.zeros(1)] * 8, [None] * 8, [Text(torch.zeros(1), None)] * 8)
    batches = Batches(encoded, 2, seed=1)
    rounds = [[batches.indices(number) for number in range(first, first + 5)] for first in (0, 5)]
    for around in rounds:
        assert {index for batch in around for index in batch} == set(range(8))
        assert all(len(batch) == 2 and len({shapes[index] for index in batch}) == 1 for batch in around)
    assert rounds[0] != rounds[1]
    assert batches.indices(3) == Batches(encoded, 2, seed=1).indices(3)
