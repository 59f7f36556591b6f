"""Jobs and campaigns by engine diffusion: only where the service's owner offers it, and only with his models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.unit.jobs.conftest import OWNER, picture

import impasto
from impasto.errors import SettingsError
from impasto.jobs.admission import Limits
from impasto.jobs.campaign import CampaignRequest
from impasto.jobs.campaign_chunks import CampaignChunk
from impasto.jobs.chunks import Chunk
from impasto.jobs.config import CONFIG_FILE
from impasto.jobs.durable import DurableJobs
from impasto.jobs.job import JobRequest

pytest.importorskip("diffusers", reason="needs the extra diffusion")

TOY = Path(__file__).parents[2] / "assets" / "tiny-style-sdxl"
PACK = 'engine = "diffusion"\nstyles = ["{style}"]\n[settings]\nimage_size = 32\nsteps = 1'


@pytest.fixture
def offering(tmp_path: Path):
    """A service whose owner offers the toy model."""
    home = tmp_path / "offering"
    home.mkdir()
    (home / CONFIG_FILE).write_text(f"[diffusion]\nmodel = {json.dumps(str(TOY))}\n")
    engine = DurableJobs(home, limits=Limits(free_disk_mb=0, free_memory_mb=0))
    yield engine
    engine.close()


def pictures(jobs: DurableJobs, content, style) -> tuple[str, str]:
    first, second = (jobs.store.keep(picture(array, (32, 32)), owner=OWNER) for array in (content, style))
    return first, second


def test_service_paints_with_its_owners_model(offering: DurableJobs, content, style) -> None:
    photo, painting = pictures(offering, content, style)
    request = JobRequest.of(
        content=photo, styles=(painting,), engine="diffusion", settings={"image_size": 16, "steps": 1}
    )
    job = offering.submit(request, owner=OWNER)
    own = offering.config.settings_for("diffusion")
    facts = Chunk(job, offering.store, lambda _: None, own=own).run()
    assert (facts["width"], facts["height"]) == (16, 16)
    recipe = impasto.read_recipe(offering.store.job(job.id).result("png"))
    assert (recipe.engine, recipe.settings["model"]) == ("diffusion", TOY.name)


def test_campaign_is_painted_with_it_too(offering: DurableJobs, content, style) -> None:
    photo, painting = pictures(offering, content, style)
    request = CampaignRequest(pack=PACK.format(style=painting), inputs=(photo,))
    job = offering.submit_campaign(request, owner=OWNER)
    own = offering.config.settings_for("diffusion")
    CampaignChunk(job, offering.store, lambda _: None, lambda: False, lambda: None, own=own).run()
    (row,) = map(json.loads, (offering.store.job(job.id).campaign / "campaign.jsonl").read_text().splitlines())
    assert (row["status"], row["reason"]) == ("done", "")


def test_service_that_does_not_offer_it_says_so(file_jobs: DurableJobs, content, style) -> None:
    photo, painting = pictures(file_jobs, content, style)
    with pytest.raises(SettingsError, match=r"does not offer engine diffusion.*\[diffusion\] in impasto.toml"):
        file_jobs.submit(JobRequest.of(content=photo, styles=(painting,), engine="diffusion"), owner=OWNER)
    with pytest.raises(SettingsError, match="does not offer engine diffusion"):
        file_jobs.submit_campaign(CampaignRequest(pack=PACK.format(style=painting), inputs=(photo,)), owner=OWNER)
    assert file_jobs.waiting() == 0


@pytest.mark.parametrize(
    "settings",
    [
        {"model": "/etc"},
        {"lora": "/etc/passwd"},
        {"ip_adapter": "x.safetensors"},
        {"control_model": "/etc"},
        {"accept_license": True},
    ],
)
def test_client_names_no_files_and_accepts_no_licence(settings: dict) -> None:
    with pytest.raises(SettingsError, match=f"the setting {next(iter(settings))} cannot be given to a service"):
        JobRequest.of(content="a" * 64, styles=("mosaic",), engine="diffusion", settings=settings)
