"""A stand-in for a Qdrant server, which no registry has: its wire, REST and gRPC, before qdrant-client's local mode.

Requests and answers are read and written with qdrant-client's own models and conversions, so what it proves is that
the adapter speaks the protocol as that client does, and what a search means as that client's authors implemented it.
It proves nothing about the speed, the indexes or the durability of a real server.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import grpc
from pydantic import BaseModel, TypeAdapter
from qdrant_client import QdrantClient, models
from qdrant_client import grpc as wire
from qdrant_client.conversions.conversion import GrpcToRest, RestToGrpc


class QdrantStandIn:
    """The local client behind both doors, one request at a time.

    Attributes:
        status: answered to every request instead of an answer, while it is set.
        api_key: asked of every REST request, while it is set.
        indexes: collection and field -> schema, as asked for.
        calls: door and operation, with ``wait`` where the client waits -> how often.
    """

    def __init__(self) -> None:
        self.client = QdrantClient(":memory:")
        self.lock = threading.RLock()
        self.status = 0
        self.api_key = ""
        self.indexes: dict[tuple[str, str], Any] = {}
        self.calls: Counter[str] = Counter()
        self.rest_port = 0
        self.grpc_port = 0

    @property
    def url(self) -> str:
        """Of the REST door."""
        return f"http://127.0.0.1:{self.rest_port}"


@contextmanager
def run_qdrant_stand_in() -> Iterator[QdrantStandIn]:
    """Serve an empty Qdrant on two free ports of loopback until the block ends."""
    served = QdrantStandIn()
    rest = ThreadingHTTPServer(("127.0.0.1", 0), type("Rest", (_Rest,), {"served": served}))
    rest.daemon_threads = True
    served.rest_port = rest.server_address[1]
    thread = threading.Thread(target=rest.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    with ThreadPoolExecutor(4) as pool:
        remote = grpc.server(pool, options=[("grpc.max_receive_message_length", 32 << 20)])
        wire.points_service_pb2_grpc.add_PointsServicer_to_server(_Points(served), remote)
        wire.collections_service_pb2_grpc.add_CollectionsServicer_to_server(_Collections(served), remote)
        served.grpc_port = remote.add_insecure_port("127.0.0.1:0")
        remote.start()
        try:
            yield served
        finally:
            remote.stop(None).wait(5)
            rest.shutdown()
            rest.server_close()
            thread.join(5)
            served.client.close()


def _get_aliases(served: QdrantStandIn, _name: str, _body: Any) -> Any:
    return served.client.get_aliases()


def _exists(served: QdrantStandIn, name: str, _body: Any) -> Any:
    return models.CollectionExistence(exists=served.client.collection_exists(name))


def _create(served: QdrantStandIn, name: str, body: Any) -> Any:
    wanted = models.CreateCollection.model_validate(body)
    return served.client.create_collection(
        name, vectors_config=wanted.vectors, sparse_vectors_config=wanted.sparse_vectors
    )


def _info(served: QdrantStandIn, name: str, _body: Any) -> Any:
    return served.client.get_collection(name)


def _update(served: QdrantStandIn, name: str, body: Any) -> Any:
    return served.client.update_collection(name, metadata=models.UpdateCollection.model_validate(body).metadata)


def _change_aliases(served: QdrantStandIn, _name: str, body: Any) -> Any:
    return served.client.update_collection_aliases(models.ChangeAliasesOperation.model_validate(body).actions)


def _drop(served: QdrantStandIn, name: str, _body: Any) -> Any:
    return served.client.delete_collection(name)


def _index(served: QdrantStandIn, name: str, body: Any) -> Any:
    wanted = models.CreateFieldIndex.model_validate(body)
    served.indexes[name, wanted.field_name] = wanted.field_schema
    return _done()


def _upsert(served: QdrantStandIn, name: str, body: Any) -> Any:
    return served.client.upsert(name, models.PointsList.model_validate(body).points)


def _delete(served: QdrantStandIn, name: str, body: Any) -> Any:
    return served.client.delete(name, TypeAdapter(models.PointsSelector).validate_python(body))


def _query_batch(served: QdrantStandIn, name: str, body: Any) -> Any:
    return served.client.query_batch_points(name, models.QueryRequestBatch.model_validate(body).searches)


def _count(served: QdrantStandIn, name: str, body: Any) -> Any:
    wanted = models.CountRequest.model_validate(body)
    return served.client.count(name, count_filter=wanted.filter, exact=bool(wanted.exact))


def _scroll(served: QdrantStandIn, name: str, body: Any) -> Any:
    wanted = models.ScrollRequest.model_validate(body)
    page, after = served.client.scroll(
        name,
        scroll_filter=wanted.filter,
        limit=wanted.limit or 10,
        offset=wanted.offset,
        with_payload=bool(wanted.with_payload),
        with_vectors=bool(wanted.with_vector),
    )
    return models.ScrollResult(points=page, next_page_offset=after)


def _done() -> models.UpdateResult:
    return models.UpdateResult(operation_id=0, status=models.UpdateStatus.COMPLETED)


Operation = Callable[[QdrantStandIn, str, Any], Any]
ROUTES: tuple[tuple[str, str, Operation], ...] = (
    ("GET", r"/aliases", _get_aliases),
    ("POST", r"/collections/aliases", _change_aliases),
    ("GET", r"/collections/([^/]+)/exists", _exists),
    ("PUT", r"/collections/([^/]+)", _create),
    ("GET", r"/collections/([^/]+)", _info),
    ("PATCH", r"/collections/([^/]+)", _update),
    ("DELETE", r"/collections/([^/]+)", _drop),
    ("PUT", r"/collections/([^/]+)/index", _index),
    ("PUT", r"/collections/([^/]+)/points", _upsert),
    ("POST", r"/collections/([^/]+)/points/delete", _delete),
    ("POST", r"/collections/([^/]+)/points/query/batch", _query_batch),
    ("POST", r"/collections/([^/]+)/points/count", _count),
    ("POST", r"/collections/([^/]+)/points/scroll", _scroll),
)


class _Rest(BaseHTTPRequestHandler):
    served: QdrantStandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        place = urlsplit(self.path)
        status = self.served.status
        if self.served.api_key and self.headers.get("api-key") != self.served.api_key:
            status = 401
        if status:
            self._send(status, {"status": {"error": "said by the test: a secret"}})
            return
        waits = parse_qs(place.query).get("wait") == ["true"]
        for method, pattern, operation in ROUTES:
            if method == self.command and (found := re.fullmatch(pattern, place.path)):
                self._send(*self._done(operation, found.group(1) if found.groups() else "", body, waits=waits))
                return
        self._send(404, {"status": {"error": f"no such route: {self.command} {place.path}"}})

    def _done(self, operation: Operation, name: str, body: bytes, *, waits: bool) -> tuple[int, Any]:
        self.served.calls[f"rest {operation.__name__[1:]}{' wait' if waits else ''}"] += 1
        try:
            with self.served.lock:
                result = operation(self.served, name, json.loads(body) if body else None)
        except ValueError as error:  # what local mode says of unknown collections, and pydantic of bad requests
            return (404 if "not found" in str(error) else 400), {"status": {"error": str(error)[:200]}}
        return 200, {"result": _json(result), "status": "ok", "time": 0.0}

    def _send(self, status: int, answer: Any) -> None:
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _json(result: Any) -> Any:
    if isinstance(result, list):
        return [_json(each) for each in result]
    return result.model_dump(mode="json") if isinstance(result, BaseModel) else result


@contextmanager
def _handle_errors(
    served: QdrantStandIn, name: str, request: Any, context: grpc.ServicerContext
) -> Iterator[QdrantClient]:
    """Give the client for one gRPC request; what local mode raises becomes a status."""
    served.calls[f"grpc {name}{' wait' if getattr(request, 'wait', False) else ''}"] += 1
    if served.status:
        context.abort(grpc.StatusCode.UNAVAILABLE, "said by the test: a secret")
    try:
        with served.lock:
            yield served.client
    except ValueError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error)[:200])


class _Points(wire.points_service_pb2_grpc.PointsServicer):
    def __init__(self, served: QdrantStandIn) -> None:
        self.served = served

    def Upsert(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "upsert", request, context) as client:
            client.upsert(request.collection_name, [GrpcToRest.convert_point_struct(each) for each in request.points])
        return wire.PointsOperationResponse(result=RestToGrpc.convert_update_result(_done()))

    def Delete(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "delete", request, context) as client:
            client.delete(request.collection_name, GrpcToRest.convert_points_selector(request.points))
        return wire.PointsOperationResponse(result=RestToGrpc.convert_update_result(_done()))

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "index", request, context):
            schema = GrpcToRest.convert_payload_schema_params(request.field_index_params)
            self.served.indexes[request.collection_name, request.field_name] = schema
        return wire.PointsOperationResponse(result=RestToGrpc.convert_update_result(_done()))

    def QueryBatch(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "query_batch", request, context) as client:
            wanted = [_query_request(each) for each in request.query_points]
            answers = client.query_batch_points(request.collection_name, wanted)
        found = [[RestToGrpc.convert_scored_point(point) for point in answer.points] for answer in answers]
        return wire.QueryBatchResponse(result=[wire.BatchResult(result=points) for points in found])

    def Count(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "count", request, context) as client:
            chosen = GrpcToRest.convert_filter(request.filter) if request.HasField("filter") else None
            count = client.count(request.collection_name, count_filter=chosen).count
        return wire.CountResponse(result=wire.CountResult(count=count))

    def Scroll(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "scroll", request, context) as client:
            offset = GrpcToRest.convert_point_id(request.offset) if request.HasField("offset") else None
            page, after = client.scroll(request.collection_name, limit=request.limit, offset=offset)
        next_page = None if after is None else RestToGrpc.convert_extended_point_id(after)
        points = [RestToGrpc.convert_retrieved_point(record) for record in page]
        return wire.ScrollResponse(result=points, next_page_offset=next_page)


class _Collections(wire.collections_service_pb2_grpc.CollectionsServicer):
    def __init__(self, served: QdrantStandIn) -> None:
        self.served = served

    def ListAliases(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "get_aliases", request, context) as client:
            found = client.get_aliases().aliases
        return wire.ListAliasesResponse(aliases=[RestToGrpc.convert_alias_description(each) for each in found])

    def CollectionExists(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "exists", request, context) as client:
            exists = client.collection_exists(request.collection_name)
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=exists))

    def Create(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "create", request, context) as client:
            client.create_collection(
                request.collection_name,
                vectors_config=GrpcToRest.convert_vectors_config(request.vectors_config),
                sparse_vectors_config=GrpcToRest.convert_sparse_vector_config(request.sparse_vectors_config),
            )
        return wire.CollectionOperationResponse(result=True)

    def Get(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "info", request, context) as client:
            found = client.get_collection(request.collection_name)
        return wire.GetCollectionInfoResponse(result=RestToGrpc.convert_collection_info(found))

    def Update(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "update", request, context) as client:
            client.update_collection(
                request.collection_name, metadata=GrpcToRest.convert_payload(dict(request.metadata))
            )
        return wire.CollectionOperationResponse(result=True)

    def Delete(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "drop", request, context) as client:
            return wire.CollectionOperationResponse(result=client.delete_collection(request.collection_name))

    def UpdateAliases(self, request: Any, context: Any) -> Any:
        with _handle_errors(self.served, "change_aliases", request, context) as client:
            client.update_collection_aliases([GrpcToRest.convert_alias_operations(each) for each in request.actions])
        return wire.CollectionOperationResponse(result=True)


def _query_request(asked: Any) -> models.QueryRequest:
    return models.QueryRequest(
        prefetch=[GrpcToRest.convert_prefetch_query(each) for each in asked.prefetch],
        query=GrpcToRest.convert_query(asked.query),
        using=asked.using,
        params=GrpcToRest.convert_search_params(asked.params) if asked.HasField("params") else None,
        limit=asked.limit,
        with_payload=GrpcToRest.convert_with_payload_selector(asked.with_payload),
    )
