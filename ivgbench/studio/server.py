"""The studio's addresses. What a page may ask for is checked elsewhere: `guard` who asks, `requests` what."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, Response

from ivgbench import __version__, report
from ivgbench.errors import UserError
from ivgbench.files import canonical_json
from ivgbench.report.paper import print_name
from ivgbench.store.records import Damaged
from ivgbench.studio import commands, previews, requests
from ivgbench.studio.catalogue import Choice, described
from ivgbench.studio.guard import Guard, Rules
from ivgbench.studio.making import Maker
from ivgbench.studio.requests import Asked, FieldError
from ivgbench.studio.saving import Suites
from ivgbench.studio.tickets import Full, Queue, Take, Ticket
from ivgbench.texts import from_json

ASSETS = Path(__file__).parent / "assets"
#: Shared with the report and the leaderboard.
LOOK = Path(report.__file__).parent / "look" / "look.css"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
#: Seconds in which a step ends that is under way while the studio closes.
PATIENCE = 2.0


class Studio(NamedTuple):
    """What the addresses stand for. runs: the folder of runs as command lines name it; None for the default."""

    choices: dict[str, Choice]
    maker: Maker
    queue: Queue
    suites: Suites
    runs: Path | None = None


def application(studio: Studio, rules: Rules) -> Guard:
    """The ASGI application: the guard, and behind it everything. Its lifespan starts and ends the queue's thread."""

    @asynccontextmanager
    async def life(_: FastAPI) -> Any:
        studio.queue.start()
        yield
        await run_in_threadpool(studio.queue.close, PATIENCE)

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=life, title="ivgbench studio")
    app.add_exception_handler(UserError, _told)
    _pages(app)
    _requests(app, studio)
    _clips(app, studio)
    return Guard(app, rules)


async def _told(_: Request, fault: Exception) -> JSONResponse:
    """A mistake, with the field that it is in."""
    field = fault.field if isinstance(fault, FieldError) else ""
    return _plain({"field": field, "message": " ".join(str(fault).split())}, 429 if isinstance(fault, Full) else 422)


def _plain(value: Any, status: int = 200) -> Response:
    return Response(canonical_json(value), status, {"cache-control": "no-store"}, "application/json")


async def _posted(request: Request) -> dict[str, Any]:
    """The body, whose size the guard has seen to."""
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError:
        raise HTTPException(400, "not UTF-8") from None
    value = from_json(text, "the request")
    if not isinstance(value, dict):
        raise HTTPException(400, "not an object")
    return value


# ---- the page


def _pages(app: FastAPI) -> None:
    served = {path.name: path for path in (*ASSETS.iterdir(), LOOK) if path.suffix in KINDS}

    @app.get("/")
    def page() -> FileResponse:
        return _asset(served["studio.html"])

    @app.get("/assets/{name}")
    def asset(name: str) -> FileResponse:
        if name not in served:
            raise HTTPException(404)
        return _asset(served[name])


def _asset(path: Path) -> FileResponse:
    return FileResponse(path, media_type=f"{KINDS[path.suffix]}; charset=utf-8", headers={"cache-control": "no-cache"})


# ---- requests


def _requests(app: FastAPI, studio: Studio) -> None:
    told = described(studio.choices) | {"version": __version__}

    @app.get("/api/about")
    def about() -> Response:
        return _plain(told | {"suites": studio.suites.names()})

    async def asked(request: Request) -> tuple[dict[str, Any], Asked]:
        body = await _posted(request)
        return body, await run_in_threadpool(requests.read, body, studio.choices)

    @app.post("/api/tickets")
    async def add(request: Request) -> Response:
        _, one = await asked(request)
        return _plain(_ticket(studio.queue, studio.queue.add(request.state.session, one)), 201)

    @app.get("/api/tickets")
    def tickets(request: Request) -> Response:
        return _plain([_ticket(studio.queue, one) for one in studio.queue.of(request.state.session)])

    @app.get("/api/tickets/{id}")
    def ticket(request: Request, id: str) -> Response:
        return _plain(_ticket(studio.queue, _own(studio, request, id)))

    @app.post("/api/tickets/{id}/cancel")
    def cancel(request: Request, id: str) -> Response:
        one = _own(studio, request, id)
        studio.queue.cancel(one)
        return _plain(_ticket(studio.queue, one))

    @app.post("/api/commands")
    async def command(request: Request) -> Response:
        _, one = await asked(request)
        return _plain({"lines": commands.lines(one, studio.runs)})

    @app.post("/api/suites")
    async def save(request: Request) -> Response:
        body, one = await asked(request)
        path, suite = await run_in_threadpool(studio.suites.save, one, body.get("suite"), body.get("case"))
        run = commands.run(path, one, studio.runs)
        return _plain({"suite": suite.name, "cases": len(suite.cases), "path": str(path), "line": run}, 201)


def _own(studio: Studio, request: Request, id: str) -> Ticket:
    """The session's own ticket: of others it is not even told that there are any."""
    ticket = studio.queue.get(request.state.session, id)
    if ticket is None:
        raise HTTPException(404, "there is no such request any more")
    return ticket


def _ticket(queue: Queue, ticket: Ticket) -> dict[str, Any]:
    """A ticket as the page reads it."""
    asked = ticket.asked
    return {
        "id": ticket.id, "state": ticket.state, "failed": ticket.failed, "ahead": queue.ahead(ticket),
        "loading": queue.loading,
        "backbone": asked.backbone, "prompt": asked.case.prompt, "phrases": [phrase for phrase, _ in asked.keyframes],
        "takes": [_take(one) for one in ticket.takes],
    }  # fmt: skip


def _take(take: Take) -> dict[str, Any]:
    return {
        "method": take.method.method, "name": print_name(take.method.row), "seed": take.seed,
        "state": take.state, "done": take.done, "steps": take.steps, "failed": take.failed,
        "result": take.result or None,
    }  # fmt: skip


# ---- clips


def _clips(app: FastAPI, studio: Studio) -> None:
    def answer(request: Request, id: str, number: int, make: Callable[[Any], tuple[bytes, str]]) -> Response:
        """What is made of the clip of a session's own take, addressed by its number."""
        takes = _own(studio, request, id).takes
        if not 0 <= number < len(takes) or not takes[number].result:
            raise HTTPException(404, "there is no such clip")
        try:
            data, kind = make(studio.maker.store.clip(takes[number].result["job"]))
        except Damaged as fault:
            raise HTTPException(410, f"the clip is no longer there: {fault}; generate it again") from None
        return Response(data, 200, {"cache-control": "private, max-age=86400"}, kind)

    @app.get("/api/tickets/{id}/clips/{number}/frames")
    def frames(request: Request, id: str, number: int) -> Response:
        return answer(request, id, number, previews.picture)

    @app.get("/api/tickets/{id}/clips/{number}/clip.{ending}")
    def whole(request: Request, id: str, number: int, ending: str) -> Response:
        if ending not in previews.FILES:
            raise HTTPException(404)
        made = answer(request, id, number, lambda clip: (previews.file(clip, ending), previews.FILES[ending]))
        made.headers["content-disposition"] = f'attachment; filename="clip-{number}.{ending}"'
        return made
