"""`featx serve`: the explorer."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from featx.errors import FeatxError
from featx.help_pages import CommandLine
from featx.output.console import say
from featx.settings import gather, with_options
from featx.signals import interruptible

from .settings import TOKEN_VARIABLE, ServeSettings

app = CommandLine()
MOST_CONNECTIONS = 1000


@app.command()
@with_options(ServeSettings)
def serve(
    store: Annotated[Path, typer.Argument(help="Feature store, made by featx extract.")],
    **options: Any,
) -> None:
    """Serves the explorer: search STORE in a browser, play what is found, and see what the store holds.

    Only this machine can reach it unless --host and --token are given. docs/serve.md describes the pages and the HTTP interface. Ctrl-C stops it.

    Examples:
        featx serve features/mine
        featx serve features/mine --videos /media/videos --manifest mine.jsonl
    """
    if options.get("token") is None and os.environ.get(TOKEN_VARIABLE):
        options["token"] = os.environ[TOKEN_VARIABLE]
    settings = gather(ServeSettings, None, options, [])
    if not settings.is_local and settings.token is None:
        raise FeatxError(
            f"--host {settings.host}: others could reach it; give --token (or {TOKEN_VARIABLE}), or leave --host out"
        )
    try:
        import uvicorn

        from .app import make_app
        from .running import run_until_signal
    except ImportError as error:
        raise FeatxError(
            f"featx serve: needs {error.name}, which is not installed; install it with: pip install 'featx[serve]'"
        ) from error
    from .engine import Engine

    with interruptible("stopped"):
        if settings.videos is not None and not settings.videos.is_dir():
            raise FeatxError(f"--videos {settings.videos}: no such folder")
        listening = _listen(settings)
        engine = Engine(store, settings)
        took_s = engine.warm()
        host, port = listening.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host

        def ready() -> None:
            say(f"{len(engine.store):,} videos, ready after {took_s:.1f} s: http://{shown}:{port}/")
            if settings.token is not None:
                say("open it with /?token=TOKEN at the end, once")

        config = uvicorn.Config(
            make_app(engine, settings.token),
            log_level="warning",
            server_header=False,
            proxy_headers=False,  # whoever asks cannot say to be somebody else
            ws="none",
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=3,
        )
        run_until_signal(config, listening, ready)


def _listen(settings: ServeSettings) -> socket.socket:
    """Opens the address before anything is loaded."""
    kind = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(kind, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        listening.close()
        raise FeatxError(
            f"--host {settings.host} --port {settings.port}: cannot listen there ({error.strerror}); take another --port, "
            "or 0 for any"
        ) from error
    listening.listen(128)
    return listening
