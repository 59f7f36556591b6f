"""Campaigns from pictures to report: each row once, whatever ends a run, goes wrong, or is decided."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import numpy as np
import platformdirs
import pytest
from PIL import Image
from skimage import data
from tests.unit.batch.conftest import STORY, cut_off, pack_of, save_photo

import impasto
from impasto import api
from impasto.api.campaigns import plan_campaign, read_campaign, run_campaign
from impasto.batch.journal import Decision, Journal
from impasto.batch.plan import style_source
from impasto.errors import InputError, OutputError, SettingsError
from impasto.progress import Cancelled, CancelToken
from impasto.styles import make_pack

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from impasto.batch.job import Result
    from impasto.batch.summary import Campaign
    from impasto.styles import Pack

OUT = Path("out")
CHANNEL = {"channels": [STORY]}


@pytest.fixture
def plain(style: Path) -> Pack:
    """One style, one channel, every picture for itself."""
    return pack_of(style, level=False, **CHANNEL)


def run(pack: Pack | Path | str, given: Any, output: Any = OUT, **about: Any) -> Campaign:
    """A run in this process."""
    return run_campaign(pack, given, output=output, workers=1, **about)


def lines() -> list[dict[str, Any]]:
    """The journal."""
    return [json.loads(line) for line in (OUT / "campaign.jsonl").read_text().splitlines()]


def times() -> dict[str, int]:
    """When each output was written."""
    return {
        str(path.relative_to(OUT)): path.stat().st_mtime_ns
        for folder in ("pictures", "story")
        for path in sorted((OUT / folder).iterdir())
    }


def pixels(path: str | Path) -> NDArray[np.int64]:
    """Of a file."""
    with Image.open(path) as picture:
        return np.asarray(picture).astype(np.int64)


def ending(end: Callable[[], None], after: int = 1) -> Callable[[int, int, Result], None]:
    """What ends a run after some rows."""
    return lambda *row: end() if row[0] == after else None


def decide(slot: str, **about: Any) -> None:
    """Write a decision where the next run looks."""
    path = OUT / "decisions.json"
    before = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(before | {slot: about}))


def test_second_run_paints_nothing(plain: Pack, photos: Path) -> None:
    plan = plan_campaign(plain, [photos], output=OUT, workers=1)
    assert len(plan.jobs) == 4
    assert not OUT.exists()
    first = run(plain, [photos])
    assert first.counts["done"] == 4
    assert [row.outputs for row in first.rows] == [job.outputs for job in plan.jobs]
    assert sorted(times()) == sorted(name for job in plan.jobs for name in job.outputs)
    before, journal = times(), lines()
    seen: list[int] = []
    again = run(plain, photos, on_result=lambda *row: seen.append(row[0]))
    assert (times(), lines(), seen) == (before, journal, [])
    assert again.rows == first.rows
    assert plan_campaign(plain, photos, output=OUT).jobs == ()
    assert [row.slot for row in read_campaign(OUT).rows] == [row.slot for row in first.rows]


def test_report_is_drawn_again_only_where_it_shows_something_else(plain: Pack, photos: Path) -> None:
    first = run(plain, photos)
    report = OUT / "report.html"

    def drawn() -> int:
        run(plain, photos)
        return report.stat().st_mtime_ns

    before = report.stat().st_mtime_ns
    assert drawn() == before
    decide(first.rows[0].slot, decision="approve", key=first.rows[0].key)
    after = drawn()
    assert after > before
    assert drawn() == after


def test_what_is_missing_is_painted_and_nothing_else(plain: Pack, photos: Path) -> None:
    first = run(plain, photos)
    before = times()
    (OUT / first.rows[1].outputs[0]).unlink()  # the picture
    (OUT / first.rows[2].outputs[1]).unlink()  # the channel's file
    save_photo(photos / "new.png", 10)
    assert [job.picture for job in plan_campaign(plain, photos, output=OUT).jobs] == ["1", "2", "new"]
    again = run(plain, photos)
    assert again.counts["done"] == 5
    assert {row["picture"] for row in lines()[4:]} == {"1", "2", "new"}
    for name, time in before.items():
        assert (times()[name] == time) is (name in first.rows[0].outputs + first.rows[3].outputs)


def test_changed_pack_paints_again_and_so_does_the_way_back(style: Path, plain: Pack, photos: Path) -> None:
    for path in sorted(photos.iterdir())[1:]:
        path.unlink()
    story = OUT / "story" / "0--wave.jpg"
    run(plain, photos)
    first = story.read_bytes()
    other = pack_of(style, level=False, settings={"strength": 0.3}, **CHANNEL)
    run(other, photos)
    assert story.read_bytes() != first
    # The picture is there under its own name, but the channel's file is the other pack's.
    run(plain, photos)
    assert story.read_bytes() == first
    assert len(lines()) == 3
    assert run(plain, photos).counts["done"] == 1
    assert len(lines()) == 3


def test_bad_file_loses_no_other_and_is_tried_again(plain: Pack, photos: Path) -> None:
    for path in photos.iterdir():
        path.unlink()
    save_photo(photos / "a.png", 0, width=64, height=48)
    cut_off(photos / "b.png")  # of middle size: it would stand for all in the plan
    save_photo(photos / "c.png", 1, width=96, height=72)
    (photos / "d.png").write_text("no picture")
    campaign = run(plain, photos)
    assert campaign.counts == {
        "done": 2, "ok": 0, "review": 0, "reject": 2, "failed": 1, "missing": 0, "left_out": 0, "unusable": 1,
    } | {name: campaign.counts[name] for name in ("ok", "review", "reject")}  # fmt: skip
    assert [row.picture for row in campaign.done] == ["a", "c"]
    [failed] = campaign.failed
    assert failed.picture == "b"
    assert "b.png" in failed.reason
    assert failed.outputs == ()
    page = (OUT / "report.html").read_text()
    assert "d.png" in page
    assert "b as wave" in page
    run(plain, photos)
    assert [row["picture"] for row in lines()] == ["a", "b", "c", "b"]
    save_photo(photos / "b.png", 5)  # mended
    save_photo(photos / "e.png", 6)
    only = run(plain, photos, failed_only=True)
    assert lines()[-1]["picture"] == "b"
    assert [row.picture for row in only.done] == ["a", "b", "c"]
    assert run(plain, photos, failed_only=True).counts["done"] == 3
    assert run(plain, photos).counts["done"] == 4


def test_refused_run_leaves_nothing(plain: Pack, photos: Path, style: Path) -> None:
    with pytest.raises(InputError, match="lies in the input"):
        run(plain, photos, output=photos / "out")
    assert not (photos / "out").exists()
    with pytest.raises(InputError, match="there is no picture that can be used; nowhere: there is no such file or"):
        run(plain, "nowhere")
    with pytest.raises(InputError, match="give either pictures, or a manifest that names them"):
        run(plain, ())
    with pytest.raises(InputError, match=r"there are no decisions 'mine.json'; save them on the campaign's page"):
        run(plain, photos, decisions="mine.json")
    with pytest.raises(SettingsError, match="workers=0 cannot be used: at least 1 is needed"):
        run_campaign(plain, photos, output=OUT, workers=0)
    with pytest.raises(InputError, match="there is no style 'nowhere'"):
        run("nowhere", photos)
    with pytest.raises(SettingsError, match="nope"):
        run(pack_of(style, gates={"nope": {"review_below": 1.0}}), photos)
    Path("file").write_text("no folder")
    with pytest.raises(OutputError, match="'file' is a file; give a folder with --output"):
        run(plain, photos, output="file")
    assert not OUT.exists()


def test_two_runs_on_one_folder_are_refused(plain: Pack, photos: Path) -> None:
    with Journal(OUT), pytest.raises(InputError, match="another run works in 'out'"):
        run(plain, photos)
    assert not (OUT / "pictures").exists()


def test_file_of_somebody_else_is_refused_or_replaced_if_that_is_said(plain: Pack, photos: Path) -> None:
    foreign = OUT / "story" / "1--wave.jpg"
    foreign.parent.mkdir(parents=True)
    foreign.write_text("mine")
    with pytest.raises(OutputError, match=r"'out/story/1--wave.jpg' is there already and is not this campaign's"):
        run(plain, photos)
    assert foreign.read_text() == "mine"
    with pytest.raises(OutputError, match="is not this campaign's"):
        plan_campaign(plain, photos, output=OUT)
    assert run(plain, photos, overwrite=True).counts["done"] == 4
    assert pixels(foreign).shape == (40, 24, 3)
    run(plain, photos)


def test_files_of_runs_that_were_ended_are_the_campaigns_own(style: Path, plain: Pack, photos: Path) -> None:
    """A run that is killed between a file and its line in the journal leaves a file that nobody claims."""
    other = pack_of(style, level=False, naming="{style}--{picture}", **CHANNEL)
    for pack in (plain, other):
        token = CancelToken()
        with pytest.raises(Cancelled):
            run(pack, photos, cancel=token, on_result=ending(token.cancel))
    for name in ("3--wave.jpg", "wave--3.jpg"):
        (OUT / "story" / name).write_text("half")
    assert run(plain, photos).counts["done"] == 4
    assert run(other, photos).counts["done"] == 4


def test_stopped_run_keeps_what_is_finished_and_the_next_does_the_rest(plain: Pack, photos: Path) -> None:
    token = CancelToken()
    first = run(plain, photos, cancel=token, on_result=ending(token.stop, after=2))
    assert (first.counts["done"], first.counts["missing"]) == (2, 2)
    assert (OUT / "report.html").exists()
    before = times()
    assert run(plain, photos).counts["done"] == 4
    assert {name: times()[name] for name in before} == before
    assert [row["picture"] for row in lines()] == ["0", "1", "2", "3"]


def test_row_whose_files_were_lost_is_missing_in_a_run_that_is_stopped(plain: Pack, photos: Path) -> None:
    first = run(plain, photos)
    for row in first.rows[:2]:
        (OUT / row.outputs[0]).unlink()
    token = CancelToken()
    again = run(plain, photos, cancel=token, on_result=ending(token.stop))
    assert (again.counts["done"], again.counts["missing"]) == (3, 1)


def test_line_that_was_cut_off_is_painted_again(plain: Pack, photos: Path) -> None:
    run(plain, photos)
    path = OUT / "campaign.jsonl"
    path.write_bytes(path.read_bytes()[:-10])
    assert run(plain, photos).counts["done"] == 4
    assert [row["picture"] for row in lines()] == ["0", "1", "2", "3"]


def test_full_disk_is_refused_before_the_first_picture(
    plain: Pack, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(OutputError, match=r"the outputs take up to 0 MiB and 0 are free at 'out'; free some space"):
        run(plain, photos)
    assert not (OUT / "pictures").exists()


def test_folder_that_cannot_be_made_fails_the_row_with_a_reason(plain: Pack, photos: Path) -> None:
    OUT.mkdir()
    (OUT / "story").write_text("no folder")
    campaign = run(plain, photos / "0.png")
    assert [row.reason for row in campaign.failed] == [
        f"cannot make the folder '{Path('out/story').absolute()}': File exists"
    ]
    assert not campaign.done


def test_approved_picture_stays_whatever_the_pack_says(style: Path, plain: Pack, photos: Path) -> None:
    first = run(plain, [photos / "0.png", photos / "1.png"])
    kept = first.rows[0]
    decide(kept.slot, decision="approve", key=kept.key)
    before = times()
    other = pack_of(style, level=False, settings={"strength": 0.4}, **CHANNEL)
    second = run(other, [photos / "0.png", photos / "1.png"])
    assert [row.strength for row in second.rows] == [1.0, 0.4]
    assert second.rows[0] == kept
    assert all(times()[name] == before[name] for name in kept.outputs)
    # What was approved and lost is painted by the pack of today.
    (OUT / kept.outputs[0]).unlink()
    assert run(other, [photos / "0.png", photos / "1.png"]).rows[0].strength == 0.4


def test_rejected_picture_is_set_aside_with_all_its_versions(style: Path, plain: Pack, photos: Path) -> None:
    given = [photos / "0.png", photos / "1.png"]
    first = run(plain, given)
    second = run(pack_of(style, level=False, settings={"strength": 0.4}, **CHANNEL), given)
    old, new = first.rows[0], second.rows[0]
    decide(old.slot, decision="reject", key=new.key)
    campaign = run(plain, given)
    assert [row.picture for row in campaign.rows] == ["1"]
    assert [row.picture for row in campaign.left_out] == ["0"]
    for name in {*old.outputs, *new.outputs}:
        assert not (OUT / name).exists()
        assert (OUT / "rejected" / name).exists()
    assert f'data-slot="{old.slot}"' in (OUT / "report.html").read_text()
    count = len(lines())
    run(plain, given)
    assert len(lines()) == count
    (OUT / "decisions.json").unlink()  # taken back
    assert [row.picture for row in run(plain, given).rows] == ["0", "1"]


def test_redone_picture_has_the_strength_that_was_asked_for(plain: Pack, photos: Path, tmp_path: Path) -> None:
    first = run(plain, [photos / "0.png", photos / "1.png"])
    path = tmp_path / "mine.json"
    path.write_text(json.dumps({first.rows[0].slot: {"decision": "redo", "key": "", "strength": 0.25}}))
    second = run(plain, [photos / "0.png", photos / "1.png"], decisions=path)
    assert [row.strength for row in second.rows] == [0.25, 1.0]
    assert second.rows[0].slot == first.rows[0].slot
    assert api.read_recipe(OUT / second.rows[0].outputs[0]).settings["strength"] == 0.25
    # They are in the campaign's folder now, and the next run needs no word of them.
    third = run(plain, [photos / "0.png", photos / "1.png"])
    assert third.rows == second.rows
    assert third.decisions == {first.rows[0].slot: Decision(decision="redo", strength=0.25)}


def test_decisions_about_other_pictures_are_told(plain: Pack, photos: Path) -> None:
    OUT.mkdir()
    decide("elsewhere", decision="approve", key="k")
    [note] = plan_campaign(plain, photos, output=OUT).notes
    assert note == "1 of the decisions are about pictures or styles that are not among these"


def crops(folder: Path, count: int) -> Path:
    """Pieces of photographs, which take a style more or less."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        whole = (data.astronaut, data.coffee)[number % 2]()
        top, left = 40 * (number // 2), 60 * (number // 2)
        Image.fromarray(whole[top : top + 260, left : left + 260]).resize((80, 80)).save(folder / f"{number}.png")
    return folder


def test_levelled_pictures_take_one_strength_of_style(tmp_path: Path) -> None:
    photos, rules = crops(tmp_path / "crops", 7), {"styles": ["watercolour"]}
    [free] = run(make_pack(rules | {"level": False}, "x"), photos, output="free").evenness
    campaign = run(make_pack(rules, "x"), photos)
    [level] = campaign.evenness
    assert level.gain_spread <= 0.7 * free.gain_spread
    [target] = json.loads((OUT / "targets.json").read_text()).values()
    assert free.gain[0] <= target <= free.gain[1]
    assert min(row.strength for row in campaign.rows) < 1
    # The target stays when pictures come, and so does what is painted.
    before = lines()
    crops(photos, 8)
    run(make_pack(rules, "x"), photos)
    assert list(json.loads((OUT / "targets.json").read_text()).values()) == [target]
    assert lines()[: len(before)] == before
    assert len(lines()) == len(before) + 1


def test_target_below_that_of_the_photo_changes_nothing(style: Path, photos: Path) -> None:
    """Noise in the style of noise has less of it than before."""
    with Journal(OUT) as journal:
        journal.keep_targets({style_source(str(style)).identity: -0.05})
    assert {row.strength for row in run(pack_of(style), photos).done} == {1.0}
    assert run(pack_of(style), photos).counts["done"] == 4


def test_few_pictures_are_not_levelled(style: Path, photos: Path) -> None:
    campaign = run(pack_of(style), photos / "0.png")
    assert [row.strength for row in campaign.rows] == [1.0]
    assert not (OUT / "targets.json").exists()


@pytest.mark.parametrize("alpha", [False, True])
def test_masked_part_stays_the_photo_and_the_recipe_makes_the_file_again(
    style: Path, photos: Path, alpha: bool, tmp_path: Path
) -> None:
    photo = photos / "0.png"
    if alpha:
        with Image.open(photo) as picture:
            picture.putalpha(Image.linear_gradient("L").resize(picture.size))
            picture.save(photo)
    mask = np.zeros((64, 80), np.uint8)
    mask[:, :40] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks" / "0.png")
    rules = {"protect": {"mask": str(tmp_path / "masks" / "{picture}.png"), "feather": 0}}
    campaign = run(pack_of(style, level=False, **rules), [photo, photos / "1.png"])
    masked, bare = campaign.rows
    assert (masked.protected, bare.protected, bare.mask) == (0.5, 0.0, "")
    painted, before = pixels(OUT / masked.outputs[0]), pixels(photo)
    assert np.abs(painted - before)[:, :40].max() <= 1
    assert np.abs(painted - before)[:, 40:, :3].mean() > 5
    recipe = api.read_recipe(OUT / masked.outputs[0])
    again = impasto.rerun(recipe, photo, regions=[(OUT / masked.mask, style)])
    again.save(tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (OUT / masked.outputs[0]).read_bytes()


def test_kept_colour_stays_the_photo(style: Path, tmp_path: Path) -> None:
    photo = save_photo(tmp_path / "photos" / "0.png", 0)
    with Image.open(photo) as picture:
        picture.paste((227, 0, 19), (8, 8, 40, 40))
        picture.save(photo)
    rules = {"colors": {"keep": ["#e30013"]}, "protect": {"feather": 0}}
    [row] = run(pack_of(style, level=False, **rules), photo).rows
    painted = pixels(OUT / row.outputs[0])
    assert np.abs(painted[8:40, 8:40] - [227, 0, 19]).max() <= 1
    assert np.abs(painted - pixels(photo)).mean() > 5


def test_face_stays_the_photo(style: Path, tmp_path: Path) -> None:
    Image.fromarray(data.astronaut()).resize((160, 160), Image.Resampling.LANCZOS).save(tmp_path / "face.png")
    [row] = run(pack_of(style, level=False, protect={"faces": True, "feather": 0}), "face.png").rows
    difference = np.abs(pixels(OUT / row.outputs[0]) - pixels("face.png")).mean(-1)
    assert difference[30:40, 64:74].max() <= 1  # between the eyes
    assert difference[100:].mean() > 5
    assert 0.02 < row.protected < 0.2


def test_picture_that_is_protected_all_over_says_so(style: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), "#e30013").save(tmp_path / "red.png")
    campaign = run(pack_of(style, level=False, colors={"keep": ["#e30013"]}), "red.png")
    assert [row.reason for row in campaign.failed] == [
        "all of the picture is protected, so nothing is left to paint; protect less of it"
    ]


def test_channels_have_their_size_format_and_the_recipe(style: Path, photos: Path) -> None:
    channels = [
        STORY | {"format": "webp"},
        {"name": "shop", "width": 50, "height": 30, "fit": "pad", "background": "#00ff00", "format": "png"},
        {"name": "mail", "width": 40, "height": 40, "fit": "fit", "quality": 60},
    ]
    pack = pack_of(style, level=False, channels=channels, naming="{channel}_{picture}", format="jpg")
    [row] = run(pack, photos / "0.png").rows
    main, *files = row.outputs
    assert files == ["story/story_0.webp", "shop/shop_0.png", "mail/mail_0.jpg"]
    found = {}
    for name in row.outputs:
        with Image.open(OUT / name) as picture:
            found[name] = (picture.format, picture.size)
        assert api.read_recipe(OUT / name) == api.read_recipe(OUT / main)
    assert found == {
        main: ("JPEG", (80, 64)),
        "story/story_0.webp": ("WEBP", (24, 40)),
        "shop/shop_0.png": ("PNG", (50, 30)),
        "mail/mail_0.jpg": ("JPEG", (40, 32)),
    }
    assert pixels(OUT / "shop/shop_0.png")[15, 0].tolist() == [0, 255, 0]


def test_rows_of_a_manifest_have_their_own_style_and_settings(style: Path, plain: Pack, photos: Path) -> None:
    other = save_photo(Path("other.png"), 1001)
    Path("rows.csv").write_text(
        f"picture,style,strength,image_size\n{photos}/0.png,,0.50,\n{photos}/1.png,{other.name},,64.0\n{photos}/none.png,,,\n"
    )
    campaign = run(plain, (), manifest="rows.csv")
    assert [(row.style, row.strength, row.width) for row in campaign.rows] == [("wave", 0.5, 80), ("other", 1.0, 64)]
    assert [problem.name for problem in campaign.problems] == [f"{photos}/none.png"]
    count = len(lines())
    rows = [
        {"picture": f"{photos}/0.png", "strength": 0.5},
        {"picture": f"{photos}/1.png", "style": "other.png", "image_size": 64},
    ]
    Path("rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(plain, (), manifest="rows.jsonl")  # the same rows as numbers
    assert len(lines()) == count
    Path("rows.csv").write_text(f"picture,strength\n{photos}/0.png,2\n")
    with pytest.raises(SettingsError, match=r"the manifest's row of 0.png: strength='2' cannot be used"):
        run(plain, (), manifest="rows.csv")


def test_style_stands_for_a_pack_without_rules(photos: Path) -> None:
    campaign = run("mosaic", photos / "0.png")
    assert (campaign.name, [row.style for row in campaign.rows]) == ("mosaic", ["mosaic"])


def test_campaign_at_an_address_goes_on_from_any_machine(plain: Pack, photos: Path) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    for number in range(2):
        memory.put_file(str(photos / f"{number}.png"), f"/shop/photos/{number}.png")

    def there() -> dict[str, bytes]:
        return {name.removeprefix("/shop/out/"): memory.cat(name) for name in memory.find("/shop/out")}

    def elsewhere() -> None:
        shutil.rmtree(platformdirs.user_cache_path("impasto"))

    about = {"given": "memory://shop/photos", "output": "memory://shop/out"}
    first = run(plain, **about)
    assert first.counts["done"] == 2
    outputs = {name for row in first.rows for name in row.outputs}
    assert outputs | {"campaign.jsonl", "planned.json", "report.html"} == set(there())
    elsewhere()
    assert plan_campaign(plain, "memory://shop/photos", output="memory://shop/out").jobs == ()
    before = there()
    run(plain, **about)
    assert {name: there()[name] for name in outputs} == {name: before[name] for name in outputs}
    assert there()["campaign.jsonl"] == before["campaign.jsonl"]
    # A decision that somebody put there counts here, where there is an older one or none.
    memory.pipe_file("/shop/out/decisions.json", json.dumps({first.rows[0].slot: {"decision": "reject"}}).encode())
    second = run(plain, **about)
    assert [row.picture for row in second.left_out] == ["0"]
    assert {f"rejected/{name}" for name in first.rows[0].outputs} <= set(there())
    assert not set(first.rows[0].outputs) & set(there())


def test_file_that_cannot_be_sent_fails_its_row_only(
    plain: Pack, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    put = type(memory).put_file

    def refuse(self: Any, source: str, target: str, **about: Any) -> None:
        if "/1--" in target:
            raise PermissionError(13, "Permission denied")
        put(self, source, target, **about)

    monkeypatch.setattr(type(memory), "put_file", refuse)
    campaign = run(plain, [photos / "0.png", photos / "1.png"], output="memory://shop/out")
    assert [row.picture for row in campaign.done] == ["0"]
    assert "cannot write memory://shop/out/" in campaign.failed[0].reason
    monkeypatch.undo()


def test_names_that_other_systems_refuse_are_painted(plain: Pack, photos: Path) -> None:
    names = ["x" * 240, "con", "a:b", "<img src=x onerror=alert(1)>"]
    for number, name in enumerate(names):
        (photos / f"{number}.png").rename(photos / f"{name}.png")
    save_photo(Path("photos/text.png"), 9).rename(b"photos/caf\xe9.png".decode(errors="surrogateescape"))
    campaign = run(plain, photos)
    assert campaign.counts["done"] == 4
    assert [(one.name, one.reason) for one in campaign.problems] == [("caf?.png", "its name is no text; rename it")]
    page = (OUT / "report.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
