"""The application: the interface and the pages, behind the guard."""

from __future__ import annotations

from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .api import Interface
from .engine import Engine
from .openapi import document
from .security import Guard

PAGES = Path(__file__).parent / "pages"


def make_app(engine: Engine, token: str | None = None) -> Starlette:
    """Returns the ASGI application.

    Args:
        engine: What answers.
        token: Secret that requests must carry; None for this machine alone.
    """
    endpoints = Interface(engine).endpoints()
    described = document(endpoints)

    async def first_page(request: Request) -> Response:
        return FileResponse(PAGES / "index.html", media_type="text/html; charset=utf-8")

    async def openapi(request: Request) -> Response:
        return JSONResponse(described)

    routes = [
        Route("/", first_page),
        Route("/api/openapi.json", openapi),
        *(Route(one.path, one.handler, methods=[one.method]) for one in endpoints),
        Mount("/pages", StaticFiles(directory=PAGES)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, token=token)],
        exception_handlers={HTTPException: _said, Exception: _failed},
    )


async def _said(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    """Says nothing of what broke: it stands in the server's log."""
    return JSONResponse({"error": "something broke; the server's log says what"}, 500)
