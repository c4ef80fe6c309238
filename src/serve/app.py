"""The web page: python -m src.serve.app.

    python -m src.serve.app                                     # nano model, demo county, http://127.0.0.1:7860
    python -m src.serve.app --workspace county --model-path output/merged
    python -m src.serve.app --host 0.0.0.0 --auth users.htpasswd

The page stands first; model and county load behind it, and /healthz answers 503
until both are there. Sessions live below $LANDUSE_STATE, else the user's state
folder. TLS belongs to a proxy in front.
"""

# Light at import: child processes import it again, and the page's libraries take seconds.
import argparse
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import InputError, run_command
from src.serve.context import NANO_DIR, Loading, PageContext, ServeOptions, is_loopback

if TYPE_CHECKING:
    from fastapi import FastAPI

    from src.geo.workspace import Workspace
    from src.model.backend import Backend
    from src.serve.auth import Gate
    from src.serve.sessions import SessionStore

# Jobs at once and waiting; one more is told that the page is busy.
CONCURRENCY, WAITING = 16, 64
# Set before the libraries are imported: nothing is sent anywhere, nothing is looked up.
_ENVIRONMENT = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
}


def parse(arguments: list[str] | None = None) -> ServeOptions:
    """Options from the command line.

    Raises:
        InputError: flags that do not go together.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model-path", default=str(NANO_DIR), help="model or adapter (default: the bundled nano model)"
    )
    parser.add_argument("--model-base", help="base of an adapter (default: the one it names)")
    parser.add_argument("--workspace", type=Path, help="county to ask about (default: the simulated demo county)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1")
    parser.add_argument("--temperature", type=float, default=0.7, help="of the chat; 0 is always the same answer")
    parser.add_argument("--max-new-tokens", type=int, default=1024, help="longest answer of the chat")
    bits = parser.add_mutually_exclusive_group()
    bits.add_argument("--load-4bit", action="store_true", help="weights in 4 bits")
    bits.add_argument("--load-8bit", action="store_true", help="weights in 8 bits")
    parser.add_argument(
        "--disable_flash_attention", action="store_true", help="use sdpa even where flash-attn is there"
    )
    parser.add_argument("--backend", choices=("transformers", "openai"), default="transformers")
    parser.add_argument("--api-base", help="address of an OpenAI-compatible server, such as http://127.0.0.1:8000/v1")
    parser.add_argument("--host", default="127.0.0.1", help="other than this machine's own needs --auth")
    parser.add_argument("--port", type=int, default=7860, help="0 takes any free one")
    parser.add_argument("--auth", type=Path, help="htpasswd file with bcrypt hashes (htpasswd -B)")
    parser.add_argument("--repetition-penalty", type=float, default=1.0, help="of the chat; 1 is none")
    parser.add_argument("--debug", action="store_true", help="log more")
    return ServeOptions(**vars(parser.parse_args(arguments)))


def prepare(options: ServeOptions) -> "Gate | None":
    """Check what can be checked before anything heavy is imported; the gate for --auth.

    Raises:
        InputError: an open door, a bad file, or a workspace that is none.
    """
    if not is_loopback(options.host) and options.auth is None:
        raise InputError(
            f"--host {options.host} opens the page to the network; give --auth FILE (htpasswd -B) with it, "
            "or leave --host out"
        )
    gate = None
    if options.auth is not None:
        from src.serve.auth import Gate, read_htpasswd

        gate = Gate(read_htpasswd(options.auth))
    if options.workspace is not None and not (options.workspace / "workspace.yaml").is_file():
        raise InputError(
            f"--workspace {options.workspace}: has no workspace.yaml; make one with "
            f"python -m src.geo.workspace init {options.workspace}"
        )
    return gate


def make_context(options: ServeOptions, store: "SessionStore") -> PageContext:
    """The page's context; nothing loads yet."""

    def county(tell: Callable[[str, float], None]) -> "Workspace":
        if options.workspace is not None:
            from src.geo.workspace import open_workspace

            return open_workspace(options.workspace)
        from src.assistant.demo import demo_workspace

        return demo_workspace(progress=tell)

    def model(tell: Callable[[str, float], None]) -> "Backend":
        from src.model.backend import load_backend

        return load_backend(
            options.model_path,
            options.model_base,
            backend=options.backend,
            api_base=options.api_base,
            device=options.device,
            bits=4 if options.load_4bit else 8 if options.load_8bit else 16,
            disable_flash_attention=options.disable_flash_attention,
        )

    shared = options.workspace if options.workspace is not None else store.root / "demo"
    return PageContext(
        options=options,
        backend=Loading(model, "model"),
        county=Loading(county, "county"),
        sessions=store,
        reviews=shared,
        demo=options.workspace is None,
    )


def make_app(context: PageContext, gate: "Gate | None") -> "FastAPI":
    """The page in a FastAPI app, with /healthz; loading begins when the server starts.

    Args:
        context: from ``make_context``.
        gate: who may sign in; None for everybody on this machine.
    """
    import gradio as gr
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

    from src.serve.auth import TEXT
    from src.serve.ui import build_page, page_options
    from src.serve.uploads import DATA_BYTES
    from src.serve.web import Guard, blocked_paths, keep_clean

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        threading.Thread(target=_load, args=(context,), name="load", daemon=True).start()
        keep_clean(context.sessions)
        yield
        if context.backend.state == "ready":
            # Joins its thread, which may be in the middle of a long step; the program does not wait for it.
            threading.Thread(target=context.backend.get().close, daemon=True).start()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)

    @app.get("/healthz")
    def healthz() -> JSONResponse:
        status = context.status()
        return JSONResponse(status, 200 if status["ready"] else 503, headers={"cache-control": "no-store"})

    page = build_page(context)
    page.queue(max_size=WAITING, default_concurrency_limit=CONCURRENCY)
    gr.mount_gradio_app(
        app,
        page,
        path="/",
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        auth=gate.login if gate is not None else None,
        auth_message="<br>".join(TEXT["login"].values()) if gate is not None else None,
        blocked_paths=blocked_paths(context.sessions),
        max_file_size=DATA_BYTES,
        footer_links=[],
        run_history=False,
        enable_monitoring=False,
        show_error=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        **page_options(),
    )
    app.add_middleware(
        Guard, store=context.sessions, gate=gate, upload_bytes=DATA_BYTES + (64 << 20), local=gate is None
    )
    return app


def _load(context: PageContext) -> None:
    """County and upload helpers first: measured questions need no model."""
    from src.serve.upload_jobs import preload

    context.county.start()
    preload()
    context.backend.start()


def main() -> None:
    """Check, say what will be done, serve until a signal comes."""
    started = time.monotonic()
    options = parse()
    gate = prepare(options)
    os.environ.update(_ENVIRONMENT)
    from src.geo.untrusted import harden_process
    from src.serve.sessions import SessionStore, state_folder
    from src.serve.web import Server, bind

    harden_process()
    level = logging.INFO if options.debug else logging.WARNING
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # GDAL's warnings name files and places of the asker, and drivers that were switched off on purpose.
    for name in ("rasterio", "pyogrio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not options.debug:
        warnings.simplefilter("ignore", DeprecationWarning)
    store = SessionStore(state_folder())
    os.environ["GRADIO_TEMP_DIR"] = str(store.received)
    with bind(options.host, options.port) as sock:
        _say_plan(options, store, sock.getsockname()[1])
        import uvicorn

        app = make_app(make_context(options, store), gate)
        config = uvicorn.Config(
            app,
            log_level="info" if options.debug else "warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        print(f"Page ready after {time.monotonic() - started:.1f} s; Ctrl+C ends it.", flush=True)
        Server(config).run(sockets=[sock])
    print("Ended.", flush=True)
    sys.stderr.flush()
    # Measurements and generations in other threads are not waited for: their files appear whole or not at all.
    os._exit(0)


def _say_plan(options: ServeOptions, store: "SessionStore", port: int) -> None:
    host = f"[{options.host}]" if ":" in options.host else options.host
    where = f"server at {options.api_base}" if options.backend == "openai" else f"device {options.device}"
    lines: dict[str, Any] = {
        "Address": f"http://{host}:{port}",
        "Model": f"{options.model_path} ({where})",
        "County": options.workspace or "demo county (simulated; made once in the user's cache)",
        "Sign-in": options.auth or "none; only this machine can reach the page",
        "State": store.root,
    }
    for name, value in lines.items():
        print(f"{name + ':':<9} {value}", flush=True)


if __name__ == "__main__":
    run_command(main)
