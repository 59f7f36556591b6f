"""Jobs of a campaign: what their keys depend on, what their files are called, and which cannot be."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.unit.batch.conftest import STORY, pack_of, save_photo

from impasto.batch.inputs import Input, inputs_of
from impasto.batch.journal import Decision
from impasto.batch.plan import disk_mb, make_jobs, style_source
from impasto.errors import InputError
from impasto.styles import add_style, make_look

if TYPE_CHECKING:
    from collections.abc import Sequence

    from impasto.batch.job import Job
    from impasto.styles import Pack

OUT = Path("out")


def inputs(*words: str | Path) -> list[Input]:
    """The pictures that words mean."""
    found, problems = inputs_of([str(word) for word in words], OUT)
    assert not problems
    return found


def one_job(pack: Pack, given: Sequence[Input], **about: Any) -> Job:
    """The first job."""
    known: dict[str, Any] = {"place": OUT, "targets": {}, "decisions": {}}
    return make_jobs(pack, given, **known | about)[0]


def test_every_picture_in_every_style_once(photos: Path, style: Path) -> None:
    other = save_photo(Path("other.png"), 1001)
    jobs = make_jobs(pack_of(style, styles=[str(style), str(other)]), inputs(photos), OUT, {}, {})
    assert [(job.picture, job.style) for job in jobs] == [
        (str(number), name) for number in range(4) for name in ("wave", "other")
    ]
    assert len({job.key for job in jobs}) == len({job.slot for job in jobs}) == len({job.output for job in jobs}) == 8
    assert jobs[0].output == f"pictures/0--wave--{jobs[0].key[:10]}.png"
    assert all(Path(path).is_absolute() for job in jobs for path in (job.content, job.source, job.place))


@pytest.mark.parametrize(
    "rules",
    [
        {"settings": {"strength": 0.5}},
        {"colors": {"keep": ["#ff0000"]}},
        {"colors": {"reach": ["#ff0000"]}},
        {"protect": {"faces": True}},
        {"protect": {"feather": 0.02}},
        {"protect": {"mask": "mask.png"}},
        {"channels": [STORY]},
        {"channels": [STORY], "naming": "{key}"},
        {"gates": {"style_gain": {"review_below": 0.1}}},
        {"format": "jpg"},
        {"quality": "standard"},
    ],
)
def test_every_rule_that_shows_gives_another_key_and_the_same_slot(
    photos: Path, style: Path, rules: dict[str, Any]
) -> None:
    save_photo(Path("mask.png"), 50)
    given = inputs(photos)
    plain, channel = one_job(pack_of(style), given), one_job(pack_of(style, channels=[STORY]), given)
    job = one_job(pack_of(style, **rules), given)
    assert job.key not in {plain.key} | ({channel.key} if "naming" in rules else set())
    assert job.slot == plain.slot


def test_key_is_of_what_files_hold_and_not_of_where_they_lie(photos: Path, style: Path, tmp_path: Path) -> None:
    (tmp_path / "net").write_bytes(b"weights")
    save_photo(Path("masks/0.png"), 50)
    rules = {"settings": {"model": str(tmp_path / "net")}, "protect": {"mask": "masks/{picture}.png"}}
    before = one_job(pack_of(style, **rules), inputs(photos))
    for name in ("photos", "wave.png", "net", "masks"):
        shutil.move(tmp_path / name, tmp_path / f"moved-{name}")
    rules = {"settings": {"model": str(tmp_path / "moved-net")}, "protect": {"mask": "moved-masks/{picture}.png"}}
    pack = pack_of(tmp_path / "moved-wave.png", **rules)
    moved = one_job(pack, inputs("moved-photos"), place=Path("elsewhere"))
    assert (moved.key, moved.slot) == (before.key, before.slot)
    (tmp_path / "moved-net").write_bytes(b"others")
    other_net = one_job(pack, inputs("moved-photos"))
    save_photo(Path("moved-masks/0.png"), 51)
    other_mask = one_job(pack, inputs("moved-photos"))
    assert len({before.key, other_net.key, other_mask.key}) == 3


def test_row_has_its_own_style_and_settings(photos: Path, style: Path) -> None:
    first, second = inputs(photos)[:2]
    rows = [replace(first, style="mosaic", overrides={"strength": 0.5}), replace(second, overrides={"strength": 0.5})]
    own, packs = make_jobs(pack_of(style, settings={"image_size": 64}), rows, OUT, {}, {})
    assert (own.style, own.settings) == ("mosaic", {"image_size": 64, "strength": 0.5})
    assert (packs.style, packs.settings) == ("wave", {"image_size": 64, "strength": 0.5})


def test_target_is_for_rows_without_a_strength_of_their_own(photos: Path, style: Path) -> None:
    given = inputs(photos)[:2]
    given[1] = replace(given[1], overrides={"strength": 0.5})
    targets = {style_source(str(style)).identity: 0.3}
    assert [job.target for job in make_jobs(pack_of(style), given, OUT, targets, {})] == [0.3, None]
    assert [job.target for job in make_jobs(pack_of(style, level=False), given, OUT, targets, {})] == [None, None]
    slow = pack_of(style, engine="optimize")
    assert [job.target for job in make_jobs(slow, given, OUT, targets, {})] == [None, None]
    slot = one_job(pack_of(style), given).slot
    again = {slot: Decision(decision="redo", strength=0.7)}
    job = one_job(pack_of(style), given, targets=targets, decisions=again)
    assert (job.target, job.settings) == (None, {"strength": 0.7})


def test_thresholds_of_the_style_stand_below_those_of_the_brand(photos: Path, style: Path) -> None:
    look = make_look(thresholds={"style_gain": {"review_below": 0.2, "reject_below": 0.1}})
    add_style("spring", [style], look)
    pack = pack_of(style, styles=["spring"], gates={"style_gain": {"review_below": 0.3}}, colors={"reach": ["#123456"]})
    assert one_job(pack, inputs(photos)).gates == {
        "style_gain": {"review_below": 0.3, "reject_below": 0.1},
        "palette_distance": {"review_above": 0.08},
    }


def test_pictures_of_one_name_are_told_apart(photos: Path, style: Path) -> None:
    save_photo(Path("more/0.png"), 10)
    save_photo(Path("more/1.PNG"), 11).rename("more/1.png")
    jobs = make_jobs(pack_of(style, channels=[STORY]), inputs(photos, "more"), OUT, {}, {})
    assert len({job.picture for job in jobs}) == 6
    assert jobs[0].picture.startswith("0-")
    assert jobs[2].picture == "2"
    assert jobs[2].files == ("story/2--wave.jpg",)


def test_two_rows_for_one_file_are_refused(photos: Path, style: Path) -> None:
    [first, *_] = inputs(photos)
    rows = [replace(first, overrides={"strength": strength}) for strength in (0.4, 0.6)]
    pack = pack_of(style, channels=[STORY], naming="{picture}")
    with pytest.raises(InputError) as caught:
        make_jobs(pack, rows, OUT, {}, {})
    assert "would be written for" in str(caught.value)
    assert str(caught.value).endswith("put {key} into the pack's naming")
    assert len(make_jobs(pack_of(style, channels=[STORY], naming="{key}"), rows, OUT, {}, {})) == 2


def test_styles_of_one_name_for_one_file_are_refused(photos: Path, style: Path) -> None:
    other = save_photo(Path("other/Wave.png"), 1001)  # one name where capitals do not count
    pack = pack_of(style, styles=[str(style), str(other)], channels=[STORY])
    with pytest.raises(InputError, match=r"'story/0--Wave.jpg' would be written for '.*0.png' as 'wave' and for"):
        make_jobs(pack, inputs(photos), OUT, {}, {})


def test_same_row_twice_is_refused(photos: Path, style: Path) -> None:
    shutil.copy(style, "copy.png")
    pack = pack_of(style, styles=[str(style), "copy.png"])  # the same picture under two names
    with pytest.raises(InputError, match=r"'.*0.png' would be painted as 'copy' twice in the same way; leave one out"):
        make_jobs(pack, inputs(photos), OUT, {}, {})


def test_masks_are_found_by_the_pictures_name(photos: Path, style: Path) -> None:
    save_photo(Path("masks/1.png"), 50)
    jobs = make_jobs(pack_of(style, protect={"mask": "masks/{picture}.png"}), inputs(photos), OUT, {}, {})
    assert [job.mask and Path(job.mask).name for job in jobs] == [None, "1.png", None, None]
    save_photo(Path("more/1.png"), 60)
    with pytest.raises(InputError, match=r"the mask '.*1.png' would be that of '.*1.png' and of '.*1.png'; rename one"):
        make_jobs(pack_of(style, protect={"mask": "masks/{picture}.png"}), inputs(photos, "more"), OUT, {}, {})
    with pytest.raises(InputError, match=r"there is no mask '.*logo.png'; put {picture} into it"):
        make_jobs(pack_of(style, protect={"mask": "logo.png"}), inputs(photos), OUT, {}, {})


@pytest.mark.parametrize("stem", ["x" * 240, "ü" * 120, "con", "a:b?c", "two\nlines", "{style}", "{key}"])
def test_names_are_such_that_every_disk_holds_them(style: Path, stem: str) -> None:
    save_photo(Path("photos") / f"{stem}.png", 0)
    job = one_job(pack_of(style, channels=[STORY], naming="{picture}"), inputs("photos"))
    for name in job.outputs:
        _, _, name = name.partition("/")
        assert len(name.encode()) < 230
        assert not set(name) & set('/\\:*?"<>|\n')
        assert name.split(".")[0].lower() != "con"
    if stem == "{style}":
        assert job.files == ("story/{style}.jpg",)


def test_style_that_is_none_is_refused(photos: Path, style: Path) -> None:
    with pytest.raises(InputError, match="there is no style 'nowhere'; give a picture, or a style by name, folder or"):
        make_jobs(pack_of(style, styles=["nowhere"]), inputs(photos), OUT, {}, {})


def test_disk_is_counted_for_pictures_and_channels(photos: Path, style: Path) -> None:
    given = inputs(photos)[:1]
    sizes = {str(one.path): (one.width, one.height) for one in given}

    def of(**rules: Any) -> float:
        return disk_mb(make_jobs(pack_of(style, **rules), given, OUT, {}, {}), sizes) * 2**20

    assert of() == pytest.approx(80 * 64 * 3)
    assert of(settings={"image_size": 160}) == pytest.approx(4 * 80 * 64 * 3)
    assert of(settings={"bit_depth": 16}) == pytest.approx(2 * 80 * 64 * 3)
    assert of(channels=[STORY]) == pytest.approx(80 * 64 * 3 + 24 * 40)
