"""A local server that speaks the contracts of GigaChat and OpenRouter, and misbehaves on request.

For tests, benchmarks and developers without keys::

    python -m chatai_assets_tests.support.providers.server --port 8900 --latency 0.5
    curl -X POST localhost:8900/_behave -d '{"shares": {"429": 0.1, "cut": 0.1}, "next": {"503": 3}}'
    curl localhost:8900/_counts

What it can do wrong, by share of calls or for the next so many: see ``KINDS``.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen
from uuid import UUID

from chatai_assets_tests.support.providers.answers import chat_content, contains_instructions, embedding
from chatai_assets_tests.support.providers.http_server import Request, Response, serve, serving

REFUSALS = ("401", "402", "403", "404", "413", "422", "429", "429_retry_after", "500", "502", "503", "529", "cut")
"""Calls that are not worked on."""
SPOILED = (
    "lost_ack",
    "cut_short",
    "error_in_200",
    "empty",
    "not_json",
    "no_choices",
    "blacklist",
    "wrong_dimensions",
    "shuffled",
    "no_index",
    "obey",
    "taboo",
)
"""Calls that are worked on, and paid for, and answered badly or not at all."""
KINDS = (*REFUSALS, *SPOILED)
OF_CHAT = {"empty", "not_json", "no_choices", "blacklist", "obey", "taboo"}
OF_EMBEDDINGS = {"wrong_dimensions", "shuffled", "no_index"}


@dataclass
class Behaviour:
    """How the server behaves; can be changed while it runs.

    Attributes:
        latency_s: seconds that each call to a model takes.
        shares: kind -> share of calls that are spoiled so.
        next: kind -> the next so many calls, before any share.
        token_life_s: of OAuth tokens.
        dimensions: of embeddings.
        retry_after_s: what ``429_retry_after`` says.
        max_texts: of a request for embeddings; more is 413.
        max_chars: of all texts of a request together; more is 413.
        dollars: what OpenRouter says each call cost.
        json_schema: whether ``response_format`` is understood by GigaChat's model; otherwise it is 422.
    """

    latency_s: float = 0.0
    shares: dict[str, float] = field(default_factory=dict)
    next: dict[str, int] = field(default_factory=dict)
    token_life_s: float = 1_800.0
    dimensions: int = 1024
    retry_after_s: float = 1.0
    max_texts: int = 90
    max_chars: int = 1_000_000
    dollars: float = 0.0001
    json_schema: bool = True


class ProviderServer:
    """Both providers behind one port; paths of OpenRouter start with ``/openrouter``."""

    def __init__(self) -> None:
        self.port = 0
        self._tokens: dict[str, float] = {}
        self.reset()

    def reset(self) -> None:
        """Forget what happened, and behave well; tokens stay valid."""
        self.calls: Counter[str] = Counter()
        self.spoiled: Counter[str] = Counter()
        self.paid: Counter[str] = Counter()
        self.lost: Counter[str] = Counter()
        self.arrivals: list[float] = []
        self.requests: list[dict[str, Any]] = []
        self.most_at_once = 0
        self._at_once = 0
        self.behave()

    def behave(self, **how: Any) -> None:
        """Behave like this from now on, and well otherwise."""
        if unknown := {*how.get("shares", {}), *how.get("next", {})} - {*KINDS}:
            raise ValueError(f"Nobody can misbehave like {sorted(unknown)}; see KINDS.")
        self.behaviour = Behaviour(**how)
        self._dice = random.Random(1)

    @property
    def url(self) -> str:
        """Base address."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables with which the project uses this server."""
        return {
            "GIGACHAT_API_KEY": "a2V5OnNlY3JldA==",
            "GIGACHAT_SCOPE": "GIGACHAT_API_CORP",
            "GIGACHAT_AUTH_URL": f"{self.url}/api/v2/oauth",
            "GIGACHAT_BASE_URL": f"{self.url}/api/v1",
            "OPENROUTER_API_KEY": "sk-or-secret",
            "OPENROUTER_BASE_URL": f"{self.url}/openrouter/api/v1",
            "OPENROUTER_EMBEDDING_DIMENSIONS": "1024",
        }

    def counts(self) -> dict[str, Any]:
        """Return what happened so far."""
        minutes = Counter(int(at // 60) for at in self.arrivals)
        return {
            "calls": dict(self.calls),
            "model_calls": len(self.arrivals),
            "span_s": max(self.arrivals) - min(self.arrivals) if self.arrivals else 0.0,
            "spoiled": dict(self.spoiled),
            "paid": self.paid.total(),
            "paid_repeats": sum(count - 1 for count in self.paid.values()),
            "lost": self.lost.total(),
            "most_at_once": self.most_at_once,
            "minutes": {str(minute): count for minute, count in sorted(minutes.items())},
            "most_in_60_s": _most_within(sorted(self.arrivals), 60.0),
        }

    async def handle(self, request: Request) -> Response:
        """Answer one request."""
        path = request.path.partition("?")[0]
        if path == "/_counts":
            return Response(self.counts())
        if path == "/_behave":
            self.behave(**request.json)
            return Response({"behaviour": vars(self.behaviour)})
        self.calls[path] += 1
        if path == "/api/v2/oauth":
            return self._oauth(request)
        if path == "/api/v1/models":
            refused = self._refusal(request, {}, "", router=False)
            return refused or Response({"object": "list", "data": [{"id": "GigaChat", "object": "model"}]})
        if path == "/openrouter/api/v1/key":
            return Response({"data": {"limit": None, "usage": 0, "is_free_tier": False}})
        if not path.endswith(("/chat/completions", "/embeddings")):
            return Response({"status": 404, "message": "Not Found"}, 404)
        return await self._model_call(request, path)

    def _oauth(self, request: Request) -> Response:
        try:
            UUID(request.headers.get("rquid", ""))
        except ValueError:
            return Response({"code": 1, "message": "RqUID is no uuid"}, 400)
        if not request.headers.get("authorization", "").startswith("Basic "):
            return Response({"code": 6, "message": "credentials doesn't match db data"}, 401)
        if not request.form.get("scope"):
            return Response({"code": 5, "message": "scope is empty"}, 400)
        token = f"token-{len(self._tokens)}-{time.monotonic_ns()}"
        self._tokens[token] = time.time() + self.behaviour.token_life_s
        return Response({"access_token": token, "expires_at": int(self._tokens[token] * 1000)})

    async def _model_call(self, request: Request, path: str) -> Response:
        self.arrivals.append(time.time())
        router, asked = path.startswith("/openrouter"), request.json
        self.requests = [*self.requests[-99:], asked]
        kind = self._kind(path)
        if refused := self._refusal(request, asked, kind, router=router):
            return refused
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        await asyncio.sleep(self.behaviour.latency_s)
        self._at_once -= 1
        self._pay(path, asked, kind)
        if kind == "lost_ack":
            return Response(cut="before")
        if kind == "error_in_200":
            return Response(_error(429, router=True))
        body = self._chat(asked, kind) if path.endswith("completions") else self._embeddings(asked, kind, router=router)
        if router and "usage" in body:
            body["usage"]["cost"] = self.behaviour.dollars
        return Response(body, cut="middle" if kind == "cut_short" else "")

    def _kind(self, path: str) -> str:
        unfit = OF_EMBEDDINGS if path.endswith("completions") else OF_CHAT
        drawn, kind = self._dice.random(), ""
        for name, left in self.behaviour.next.items():
            if left > 0 and name not in unfit:
                self.behaviour.next[name] = left - 1
                kind = name
                break
        else:
            for name, share in self.behaviour.shares.items():
                if name not in unfit and not kind:
                    drawn -= share
                    kind = name if drawn < 0 else ""
        if kind:
            self.spoiled[kind] += 1
        return kind

    def _refusal(self, request: Request, asked: Any, kind: str, *, router: bool) -> Response | None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if kind == "cut":
            return Response(cut="before")
        if kind == "401":
            self._tokens.pop(token, None)
        if kind == "401" or not ((router and token) or self._tokens.get(token, 0) > time.time()):
            return Response(_error(401, router=router), 401)
        if kind in REFUSALS:
            status = int(kind[:3])
            after = {"Retry-After": f"{self.behaviour.retry_after_s:g}"} if kind.endswith("retry_after") else {}
            return Response(_error(status, router=router), status, after)
        texts = asked.get("input", [])
        if len(texts) > self.behaviour.max_texts or sum(map(len, texts)) > self.behaviour.max_chars:
            return Response(_error(413, router=router), 413)
        if not router and "response_format" in asked and not self._understood(asked["response_format"]):
            return Response(_error(422, router=router), 422)
        return None

    def _understood(self, response_format: dict[str, Any]) -> bool:
        return self.behaviour.json_schema and isinstance(response_format.get("schema"), dict)

    def _pay(self, path: str, asked: Any, kind: str) -> None:
        """Count each text that is worked on; asking for a repair is another question than the first."""
        texts = asked.get("input") or [json.dumps(asked["messages"], ensure_ascii=False)]
        for text in texts:
            question = sha256(f"{path}|{text}".encode("utf-8", "surrogatepass")).hexdigest()
            self.paid[question] += 1
            self.lost[question] += kind in {"lost_ack", "cut_short", "error_in_200", "empty", "no_choices"}

    def _chat(self, asked: Any, kind: str) -> Any:
        if kind == "no_choices":
            return {"choices": [], "object": "chat.completions"}
        if kind == "taboo" and contains_instructions(asked["messages"]):
            kind = "blacklist"
        said = {"empty": "", "not_json": "Вот теги: море, солнце", "blacklist": "Не люблю менять тему разговора"}
        content = said.get(kind)
        if content is None:
            content = chat_content(asked["messages"], obey=kind == "obey")
        return {
            "choices": [
                {
                    "message": {"content": content, "role": "assistant"},
                    "index": 0,
                    "finish_reason": "blacklist" if kind == "blacklist" else "stop",
                }
            ],
            "created": int(time.time()),
            "model": f"{asked['model']}:2.0.28.2",
            "object": "chat.completion",
            "usage": {"prompt_tokens": 17, "completion_tokens": 3, "total_tokens": 20, "precached_prompt_tokens": 2},
        }

    def _embeddings(self, asked: Any, kind: str, *, router: bool) -> Any:
        dimensions = self.behaviour.dimensions // (2 if kind == "wrong_dimensions" else 1)
        data = [
            {"object": "embedding", "index": index, "embedding": embedding(text, dimensions)}
            | ({} if router else {"usage": {"prompt_tokens": 7}})
            for index, text in enumerate(asked["input"])
        ]
        if kind == "shuffled":
            data.reverse()
        if kind == "no_index":
            for item in data:
                del item["index"]
        usage = {"usage": {"prompt_tokens": 8, "total_tokens": 8}} if router else {}
        return {"object": "list", "model": asked["model"], "data": data} | usage


def _error(status: int, *, router: bool) -> dict[str, Any]:
    """Return an error as the provider words it; its message quotes what no log of ours may hold."""
    types = {402: "payment_required", 403: "moderation", 429: "rate_limit_exceeded", 503: "provider_overloaded"}
    message = "private-text sk-or-secret"
    if router:
        return {"error": {"code": status, "message": message, "metadata": {"error_type": types.get(status, "other")}}}
    return {"status": status, "message": message}


def _most_within(moments: list[float], seconds: float) -> int:
    """Return the largest number of moments that lie within so many seconds."""
    most = first = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


@contextmanager
def provider_server(port: int = 0) -> Iterator[ProviderServer]:
    """Run a server in a thread of its own."""
    server = ProviderServer()
    with serving(server.handle, port) as server.port:
        yield server


def ask_server(url: str, path: str, body: Any = None) -> Any:
    """Read the counts of a running server, or change its behaviour."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(HttpRequest(f"{url}{path}", data), timeout=10) as answer:  # noqa: S310 - a local address
        return json.load(answer)


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8900)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds")
    options = parser.parse_args()

    async def forever() -> None:
        server = ProviderServer()
        server.behave(latency_s=options.latency)
        listening = await serve(server.handle, options.port)
        server.port = listening.sockets[0].getsockname()[1]
        for name, value in server.environment().items():
            print(f"export {name}={value}", flush=True)  # noqa: T201 - what a developer pastes into a shell
        await listening.serve_forever()

    try:
        asyncio.run(forever())
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
