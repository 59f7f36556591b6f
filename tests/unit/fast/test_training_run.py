"""Trainings from files to a model, at tiny size: what they make, what they refuse, what they list."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from tests.unit.fast.conftest import networks, picture

from impasto.engines.fast.model import load_model, save_model
from impasto.engines.fast.training import contents as module
from impasto.engines.fast.training.collection import Collection, Crops
from impasto.engines.fast.training.contents import make_contents
from impasto.engines.fast.training.objective import Objective
from impasto.engines.fast.training.report import model_card, write_losses
from impasto.engines.fast.training.run import train_any_style, train_one_style
from impasto.engines.fast.training.samples import Samples
from impasto.errors import ImageTooSmallError, InputError, OutputError, SettingsError
from impasto.images import Picture, read, write
from impasto.progress import CancelToken
from impasto.settings import AnyStyleTraining, OneStyleTraining

if TYPE_CHECKING:
    from impasto.engines.fast.training.run import TrainedModel
    from impasto.vgg import VGG19

TINY = {"steps": 2, "batch": 2, "size": 64, "device": "cpu", "dtype": "float32", "stability_weight": 0}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``photos`` and ``paintings``, two each."""
    place = tmp_path_factory.mktemp("pictures")
    for number in range(4):
        folder = place / ("photos" if number < 2 else "paintings")
        folder.mkdir(exist_ok=True)
        write(Picture(picture(72, 80, number)[0]), folder / f"{number}.png")
    return place


def _one_style(style: Path, photos: Path, workdir: Path, stop_after: int | None = None, **options: Any) -> TrainedModel:
    token = CancelToken()
    return train_one_style(
        [style],
        [str(photos)],
        OneStyleTraining.of(**TINY | options),
        workdir=workdir,
        on_progress=lambda progress: token.stop() if progress.step == stop_after else None,
        cancel=token,
    )


def test_any_style_makes_a_model_and_lists_what_it_left_out(pictures: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    write(Picture(picture(20, 20)[0]), photos / "tiny.png")
    (photos / "broken.jpg").write_bytes(b"no picture")
    (photos / "notes.txt").write_text("no picture, and not one by its name")
    model = train_any_style(
        [f"{pictures / 'photos'}", f"{photos}=20"],
        [str(pictures / "paintings")],
        AnyStyleTraining.of(**TINY),
        workdir=tmp_path / "work",
        cancel=CancelToken(),
    )
    assert set(model.skipped) == {"tiny.png", "broken.jpg"}
    assert "20x20 px, but 48 px are needed" in model.skipped["tiny.png"]
    assert (len(model.history), model.stopped_early) == (2, False)
    (tmp_path / "m.safetensors").write_bytes(model.file)
    loaded = load_model(tmp_path / "m.safetensors")
    assert loaded.encoder is not None
    assert loaded.about["steps"] == 2
    card = model_card("mine", model.about, model.skipped, "impasto train any-style")
    assert "4 photos and 2 style pictures" in card
    assert "broken.jpg" in card
    assert str(tmp_path) not in card + str(loaded.about)


def test_code_alone_leaves_the_network_and_all_changes_it(pictures: Path, tmp_path: Path) -> None:
    shipped = load_model()
    for trains in ("code", "all"):
        style = pictures / "paintings" / "2.png"
        model = _one_style(style, pictures / "photos", tmp_path / trains, trains=trains, batch=1)
        (tmp_path / "m.safetensors").write_bytes(model.file)
        found = load_model(tmp_path / "m.safetensors")
        same = [torch.equal(a, b) for a, b in zip(found.net.parameters(), shipped.net.parameters(), strict=True)]
        assert all(same) if trains == "code" else not any(same)
        assert found.encoder is None


def test_every_crop_asks_for_the_whole_style_if_one_is_given(pictures: Path, net: VGG19) -> None:
    objective = Objective(net, OneStyleTraining.of())
    target = objective.style_target([picture(64, 96, 7)])
    photos, style = (Collection.find([str(pictures / kind)], Crops(64), seed=0) for kind in ("photos", "paintings"))
    given = Samples(photos, style, objective, seed=0, cache_mb=8, style_target=target).batch(0, 3, 0)
    assert all(found is target for found in given.style_targets)
    own = Samples(photos, style, objective, seed=0, cache_mb=8).batch(0, 3, 0)
    assert torch.equal(given.styles, own.styles)
    assert not any(torch.equal(found.means[0], target.means[0]) for found in own.style_targets)


def test_folder_without_pictures_is_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no picture is in .*empty.*give a folder"):
        _one_style(pictures / "paintings" / "2.png", tmp_path / "empty", tmp_path / "work")
    with pytest.raises(InputError, match=r"nowhere.*check its name"):
        _one_style(pictures / "paintings" / "2.png", tmp_path / "nowhere", tmp_path / "work")


def test_folder_of_pictures_that_cannot_be_used_is_refused(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"hardly any of the 1 pictures can be used, such as broken\.jpg"):
        _one_style(pictures / "paintings" / "2.png", tmp_path / "photos", tmp_path / "work")


def test_style_that_is_too_small_is_refused(pictures: Path, tmp_path: Path) -> None:
    small = write(Picture(picture(60, 90)[0]), tmp_path / "small.png")
    with pytest.raises(ImageTooSmallError, match=r"small\.png is 90x60 px, but 64 px"):
        _one_style(small, pictures / "photos", tmp_path / "work")


def test_model_of_one_style_is_nothing_to_start_from(pictures: Path, tmp_path: Path) -> None:
    net, _ = networks()
    save_model(tmp_path / "one.safetensors", net, torch.zeros(1, net.code_size), {})
    with pytest.raises(SettingsError, match="is a model of one style"):
        train_any_style(
            [str(pictures / "photos")],
            [str(pictures / "paintings")],
            AnyStyleTraining.of(**TINY),
            workdir=tmp_path,
            start=tmp_path / "one.safetensors",
            cancel=CancelToken(),
        )


def test_training_of_another_style_does_not_go_on(pictures: Path, tmp_path: Path) -> None:
    one, other = (pictures / "paintings" / name for name in ("2.png", "3.png"))
    stopped = _one_style(one, pictures / "photos", tmp_path, stop_after=1, batch=1, trains="code")
    assert stopped.stopped_early
    with pytest.raises(InputError, match=r"of another run.*another workdir"):
        _one_style(other, pictures / "photos", tmp_path, batch=1, trains="code")
    finished = _one_style(one, pictures / "photos", tmp_path, batch=1, trains="code")
    assert len(finished.history) == 2


@pytest.mark.parametrize("chance", ["0", "-1", "nan", "inf"])
def test_chance_that_is_none_is_refused(pictures: Path, chance: str) -> None:
    with pytest.raises(InputError, match="give a number above 0"):
        Collection.find([f"{pictures / 'photos'}={chance}"], Crops(64), seed=0)


def test_crop_is_the_same_for_its_key_and_another_for_another(pictures: Path) -> None:
    source, crops = [str(pictures / "photos")], Crops(64, variants=8)
    found, again = (Collection.find(source, crops, seed=0) for _ in range(2))
    drawn = [found.crop((0, variant)) for variant in range(8)]
    assert all(crop is not None and crop.shape == (3, 64, 64) for crop in drawn)
    assert all(torch.equal(crop, again.crop((0, variant))) for variant, crop in enumerate(drawn))
    assert len({crop.numpy().tobytes() for crop in drawn}) > 4


def test_digest_tells_collections_apart(pictures: Path) -> None:
    one, again, other = (
        Collection.find([str(pictures / name)], Crops(64), seed=0).digest for name in ("photos", "photos", "paintings")
    )
    assert one == again != other
    assert one != Collection.find([f"{pictures / 'photos'}=2"], Crops(64), seed=0).digest


def test_chances_are_those_that_were_given(pictures: Path) -> None:
    sources = [str(pictures / "photos"), f"{pictures / 'paintings'}=9"]
    drawn = Collection.find(sources, Crops(64), seed=0).draw(random.Random(0), 1000)  # noqa: S311
    paintings = sum(index >= 2 for index, _ in drawn) / 1000
    assert 0.86 < paintings < 0.94


def test_files_that_are_left_out_are_not_there(pictures: Path) -> None:
    found = Collection.find([str(pictures)], Crops(64), seed=0, leave_out=["0", "3.png"])
    assert [path.name for path in found.files] == ["2.png", "1.png"]


def test_made_up_contents_have_edges_and_the_spectrum_of_photographs(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_COUNT", 3)
    monkeypatch.setattr(module, "_SIDE", 96)
    folder, photo = make_contents(tmp_path, seed=0)
    found = [read(path).pixels for path in sorted(Path(folder).iterdir())]
    assert len(found) == 3
    assert Path(photo.rpartition("=")[0]).is_file()
    slopes = []
    for pixels in found:
        gray = pixels.mean(0).numpy()
        assert gray.std() > 0.05
        power = np.abs(np.fft.fft2(gray - gray.mean())) ** 2
        radius = np.round(np.hypot(*np.meshgrid(*[np.fft.fftfreq(96) * 96] * 2))).astype(int)
        radial = np.bincount(radius.ravel(), power.ravel()) / np.bincount(radius.ravel())
        slopes.append(np.polyfit(np.log(np.arange(2, 40)), np.log(radial[2:40]), 1)[0])
    assert all(-3.5 < slope < -1 for slope in slopes)  # natural images: about −2
    make_contents(tmp_path / "again", seed=0)
    assert (tmp_path / "again" / "leaves-00.png").read_bytes() == (tmp_path / "leaves-00.png").read_bytes()


def test_losses_are_a_table_and_a_plot(tmp_path: Path) -> None:
    write_losses(tmp_path, [{"content": 1.0}, {}, {"content": 0.5, "stability": 0.1}])
    assert (tmp_path / "losses.csv").read_text() == "step,content,stability\n1,1.0,\n2,,\n3,0.5,0.1\n"
    assert read(tmp_path / "losses.png").width > 300
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        write_losses(tmp_path / "file", [{"content": 1.0}])
