"""The campaigns' pages: many photos in the same styles, and what becomes of each picture."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from impasto.service import campaigns
from impasto.service.context import Service
from impasto.service.web.entry import Visitor
from impasto.service.web.pages import page
from impasto.styles import style_pictures

router = APIRouter(prefix="/campaigns", include_in_schema=False)


@router.get("")
def list_all(request: Request, service: Service, owner: Visitor) -> Response:
    """All campaigns, and the form for another."""
    found = campaigns.list_campaigns(service, owner, limit=50)["campaigns"]
    return page(request, "campaigns.html", campaigns=found, styles=list(style_pictures()))


@router.get("/{campaign_id}")
def one(request: Request, service: Service, owner: Visitor, campaign_id: str) -> Response:
    """One campaign, picture by picture."""
    found = campaigns.get_campaign(campaign_id, service, owner)
    decided = campaigns.decisions_of(service, campaign_id, owner)
    known: dict[str, Any] = {"campaign": found, "decided": decided, "has_ended": "run" in found["links"]}
    return page(request, "campaign.html", **known)
