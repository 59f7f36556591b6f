"""Who may see the pages: anybody where no keys are asked for, otherwise whoever signed in with one."""

from http import HTTPStatus
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response
from starlette.exceptions import HTTPException

from impasto.jobs.keys import find_key
from impasto.service.context import KEY_COOKIE, Service, caller, owner_of
from impasto.service.problems import Problem
from impasto.service.web.pages import page

router = APIRouter(include_in_schema=False)

#: Signed in for so long; the key itself may be revoked at any time.
_STAYS_S: Final = 30 * 24 * 3600


async def _visitor(request: Request, service: Service) -> str:
    """Whose pages they are.

    Raises:
        HTTPException: nobody has signed in; it leads to the form.
    """
    try:
        return await owner_of(request, await caller(request, service))
    except Problem as problem:
        if problem.status != HTTPStatus.UNAUTHORIZED:
            raise
        if "hx-request" in request.headers:  # a part of a page: the whole page goes there
            raise HTTPException(401, "sign in again", headers={"HX-Redirect": "/signin"}) from None
        raise HTTPException(303, "sign in first", headers={"Location": "/signin"}) from None


Visitor = Annotated[str, Depends(_visitor)]


@router.get("/signin")
def form(request: Request, service: Service) -> Response:
    """Asks for a key where one is needed."""
    if not service.config.needs_keys:
        return RedirectResponse("/", 303)
    return page(request, "signin.html", wrong=False)


@router.post("/signin")
def sign_in(request: Request, service: Service, key: Annotated[str, Form(max_length=200)]) -> Response:
    """Keeps the key in a cookie that no script can read and no other site's page can send."""
    if find_key(service.jobs.engine, key.strip()) is None:
        return page(request, "signin.html", status=401, wrong=True)
    answer = RedirectResponse("/", 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(KEY_COOKIE, key.strip(), max_age=_STAYS_S, httponly=True, samesite="strict", secure=secure)
    return answer


@router.post("/signout")
def sign_out() -> Response:
    """Forgets the key."""
    answer = RedirectResponse("/signin", 303)
    answer.delete_cookie(KEY_COOKIE, httponly=True, samesite="strict")
    return answer
