"""A campaign as a job: what is refused, that no row is done twice, and that one bad row never ends the others."""

from __future__ import annotations

import json
import signal
import time
from collections import Counter

import pytest
from tests.databases import database, postgres
from tests.unit.jobs.conftest import OWNER, picture

from impasto.errors import SettingsError
from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.campaign_chunks import CampaignChunk
from impasto.provenance.identity import make_identity
from impasto.provenance.signers import load_signer
from impasto.provenance.verification import verify

__all__ = ["database", "postgres"]

A, B = "a" * 64, "b" * 64
PACK = 'styles = ["mosaic"]\n'

#: Painting is written down; that of the picture named "bad" kills the worker.
NOTED = """
import os
from impasto.api import campaign_rows
painted = campaign_rows._painted
def _painted(run, began):
    with open(sys.argv[1] + "/begun", "a") as file: file.write(run.job.picture + chr(10))
    if run.job.picture == "bad": os.kill(os.getpid(), signal.SIGKILL)
    return painted(run, began)
campaign_rows._painted = _painted
"""


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pack": None}, "give either a pack or styles"),
        ({"styles": ("mosaic",)}, "give either a pack or styles"),
        ({"inputs": ()}, "inputs"),
        ({"inputs": ("../photo.jpg",)}, "asset"),
        ({"inputs": (A, A)}, "is there twice"),
        ({"inputs": ({"asset": A, "name": "../x"},)}, "name"),
        ({"inputs": ({"asset": A, "settings": {"vgg_weights": "/etc/passwd"}},)}, "names a file of the server"),
        ({"inputs": ({"asset": A, "settings": {"strenght": 1}},)}, "no setting named 'strenght'"),
        ({"inputs": ({"asset": A, "style": "/etc/passwd"},)}, "neither an asset's id"),
        ({"pack": "styles = ["}, "no TOML"),
        ({"pack": 'styles = ["../x.jpg"]'}, "neither an asset's id"),
        ({"pack": PACK + "colour = 1"}, "there is no 'colour'"),
        ({"pack": PACK + '[protect]\nmask = "/etc/{picture}.png"'}, "give each input its own"),
        ({"pack": PACK + '[settings]\nmodel = "x.onnx"'}, "names a file of the server"),
        ({"pack": PACK + 'engine = "optimize"\n[settings]\ninit = "/etc/passwd"'}, "init must be one of"),
        ({"pack": PACK + "[settings]\nimage_size = 9999"}, "at most 4096"),
        ({"pack": PACK + '[[channels]]\nname = "x"\nwidth = 9000\nheight = 90'}, "larger than 4096"),
    ],
)
def test_campaign_that_could_not_be_run_is_refused(change: dict, words: str) -> None:
    asked = {"pack": PACK, "inputs": (A,), **change}
    with pytest.raises((SettingsError, ValueError), match=words):
        CampaignRequest(**{name: value for name, value in asked.items() if value is not None}).rules()


def test_campaign_needs_what_its_pack_and_rows_name() -> None:
    rows = (A, {"asset": B, "style": "c" * 64, "mask": "d" * 64})
    asked = CampaignRequest(pack=f'styles = ["mosaic", "{"e" * 64}"]', inputs=rows)
    assert set(asked.assets) == {letter * 64 for letter in "abcde"}
    assert asked.library_styles == ("mosaic",)


@pytest.mark.slow
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_killed_worker_is_replaced_and_no_finished_row_is_done_twice(jobs, work, content, style) -> None:
    """One row kills every worker that begins it: it alone fails, with a reason."""
    names = ["one", "bad", "three"]
    photos = [jobs.store.keep(picture(content, (64 + number, 48)), owner=OWNER) for number in range(3)]
    painting = jobs.store.keep(picture(style, (72, 56)), owner=OWNER)
    rows = tuple({"asset": photo, "name": name} for photo, name in zip(photos, names, strict=True))
    pack = f'styles = ["{painting}"]\n[settings]\nimage_size = 64\n[[channels]]\nname = "web"\nwidth = 32\nheight = 32'
    job = jobs.submit_campaign(CampaignRequest(pack=pack, inputs=rows), owner=OWNER)
    place = jobs.store.job(job.id).campaign
    deaths = 0
    while not (now := jobs.campaign(job.id, owner=OWNER)).is_over:
        worker = work("one", before=NOTED)
        while worker.poll() is None and not jobs.campaign(job.id, owner=OWNER).is_over:
            time.sleep(0.02)
        deaths += worker.poll() == -signal.SIGKILL
        assert deaths <= 2
    assert (now.state, deaths) == ("done", 2), now.error
    assert (now.metrics["counts"]["done"], now.metrics["counts"]["failed"]) == (2, 1)
    assert Counter((jobs.store.home / "begun").read_text().split()) == {"one": 1, "bad": 2, "three": 1}
    lines = [json.loads(line) for line in (place / "campaign.jsonl").read_text().splitlines()]
    assert {line["picture"]: line["status"] for line in lines} == {"one": "done", "bad": "failed", "three": "done"}
    assert len(lines) == len(names)
    assert all((place / name).is_file() for line in lines for name in line["outputs"])
    page = (place / "report.html").read_text()
    assert "its process died twice" in page
    assert str(jobs.store.home) not in page


def test_levels_are_measured_once_however_often_the_chunk_ends(file_jobs, photograph) -> None:
    """A chunk of one row each: six measurements make a level, and the seventh chunk paints with it."""
    names = ("astronaut", "chelsea", "coffee", "rocket", "colorwheel", "retina")
    photos = [file_jobs.store.keep(picture(photograph(name, 48, 48), (48, 48)), owner=OWNER) for name in names]
    asked = CampaignRequest(styles=("mosaic",), inputs=tuple(photos))
    job = file_jobs.submit_campaign(asked, owner=OWNER)
    folder, said = file_jobs.store.job(job.id), []
    for _ in range(7):
        chunk = CampaignChunk(job, file_jobs.store, said.append, lambda: False, lambda: None, one_step=True)
        assert chunk.run() is None
    measured = [json.loads(line) for line in (folder.path / "measured.jsonl").read_text().splitlines() if line]
    assert len({row["key"] for row in measured}) == len(measured) == len(names)
    (target,) = json.loads((folder.campaign / "targets.json").read_text()).values()
    assert target in [round(row["values"]["style_gain"], 4) for row in measured]
    assert said[-1]["done"] == 1
    assert said[-1]["fraction"] == round(1 / 6, 4)


def test_rows_are_signed_and_those_that_a_safety_check_refuses_fail(file_jobs, content, style, tmp_path) -> None:
    photo = file_jobs.store.keep(picture(content, (64, 48)), owner=OWNER)
    painting = file_jobs.store.keep(picture(style, (72, 56)), owner=OWNER)
    pack = f'styles = ["{painting}"]\n[settings]\nimage_size = 64'
    job = file_jobs.submit_campaign(CampaignRequest(pack=pack, inputs=(photo,)), owner=OWNER)
    make_identity(tmp_path / "papers", name="A studio")
    checks = {"signer": load_signer(f"local:{tmp_path / 'papers'}"), "safety": "opennsfw:1e-12"}
    place = file_jobs.store.job(job.id).campaign

    def run(**checks: object) -> dict:
        CampaignChunk(job, file_jobs.store, lambda _: None, lambda: False, lambda: None, **checks).run()
        return json.loads((place / "campaign.jsonl").read_text().splitlines()[-1])

    refused = run(safety=checks["safety"])
    assert refused["status"] == "failed"
    assert "the painted picture is refused: the safety check takes it for" in refused["reason"]
    assert not list((place / "pictures").glob("*.png"))
    (file_jobs.store.job(job.id).path / "failed.jsonl").unlink()  # as the next run does
    done = run(signer=checks["signer"])
    assert done["status"] == "done"
    assert verify(place / done["outputs"][0]).signer == "A studio"
