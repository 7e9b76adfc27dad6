"""What is raised, by who made the error; the one place where wire errors become exceptions.

A failed call carries `ibouncer-code`, `-source`, `-retry` and perhaps `-gateway-code` in its
trailing metadata, an ENDED mark carries an `ibouncer.v1.Error`. A call that never reached a
broker carries neither; then the gRPC status decides. Where `-delivery` is missing on a call that
sends orders, `sending` says MAYBE_SENT.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

import grpc
import grpc.aio

from ibouncer._pb.ibouncer.v1 import error_pb2

if TYPE_CHECKING:
    from ibouncer.status import Status

Retry = Literal["now", "never", "after"]
Source = Literal["client", "broker", "worker", "upstream"]
Delivery = Literal["not-sent", "maybe-sent"]


class IBouncerError(Exception):
    """Anything that went wrong.

    `code` is stable and made for programs; `retry` says whether the same request makes sense again
    ("after": once the session is READY again); `gateway_code` is Gateway's own, if it made it.
    `delivery` is for calls that send orders, changes and cancels: "not-sent" has not left, and
    never will; "maybe-sent" may have. `client_order_id` is that of the order that was to be
    placed, of a group its first.
    """

    source: ClassVar[Source] = "broker"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retry: Retry = "never",
        gateway_code: int | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retry: Retry = retry
        self.gateway_code = gateway_code
        self.delivery: Delivery | None = delivery
        self.client_order_id: str | None = None

    def __str__(self) -> str:
        code = self.code if self.gateway_code is None else f"{self.code} {self.gateway_code}"
        return f"{self.message} [{code}]"


class ClientError(IBouncerError):
    """The request itself is wrong."""

    source = "client"


class BrokerError(IBouncerError):
    """IBouncer's broker refused the request or could not serve it."""

    source = "broker"


class BrokerUnavailable(BrokerError):
    """No broker answers, or it went away."""


class BrokerNotFound(BrokerUnavailable):
    """Nothing is there to connect to; the message names every place that was tried."""


class NotReady(BrokerError):
    """The session did not become READY in time; `status` says what stands in the way."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message, code="NOT_READY", retry="after")
        self.status = status


class WorkerEnded(IBouncerError):
    """The answer was lost: the session's worker or its link ended, or Gateway lost IB's data."""

    source = "worker"


class GatewayError(IBouncerError):
    """Gateway, or Interactive Brokers behind it, answered with an error."""

    source = "upstream"


_CLASSES: dict[str, type[IBouncerError]] = {
    "client": ClientError,
    "broker": BrokerError,
    "worker": WorkerEnded,
    "upstream": GatewayError,
}
_RETRIES: dict[str, Retry] = {"now": "now", "never": "never", "after": "after"}
_DELIVERIES: dict[str, Delivery] = {"not-sent": "not-sent", "maybe-sent": "maybe-sent"}
_SOURCE_NAMES = {
    error_pb2.ERROR_SOURCE_CLIENT: "client",
    error_pb2.ERROR_SOURCE_BROKER: "broker",
    error_pb2.ERROR_SOURCE_WORKER: "worker",
    error_pb2.ERROR_SOURCE_UPSTREAM: "upstream",
}
_RETRY_NAMES: dict[error_pb2.ErrorRetry.ValueType, Retry] = {
    error_pb2.ERROR_RETRY_NOW: "now",
    error_pb2.ERROR_RETRY_NEVER: "never",
    error_pb2.ERROR_RETRY_AFTER: "after",
}
_DELIVERY_NAMES: dict[error_pb2.ErrorDelivery.ValueType, Delivery] = {
    error_pb2.ERROR_DELIVERY_NOT_SENT: "not-sent",
    error_pb2.ERROR_DELIVERY_MAYBE_SENT: "maybe-sent",
}
# Codes of a broker that goes away: to its clients it is the same as one that is gone.
_LEAVING = {"STOPPING"}
_UNREACHABLE = "the broker is not reachable: "
# Those that a new broker answers until its session is there, and orders were compared.
_COMING = {"NOT_READY", "TRADING_RECONCILING"}
# What gRPC says of a call for which no connection came about: nothing of it left.
_NO_CONNECTION = "failed to connect to all addresses"
# Without trailers: statuses that the same request, sent again, cannot change.
_CLIENT_STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.OUT_OF_RANGE,
}
_NEVER_STATUSES = {
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.DATA_LOSS,
}


def from_rpc(error: grpc.aio.AioRpcError) -> IBouncerError:
    """The exception for a call that failed."""
    status = error.code()
    message = error.details() or status.name
    trailers = {
        key: value if isinstance(value, str) else value.decode("utf-8", "replace")
        for key, value in (error.trailing_metadata() or ())
        if key.startswith("ibouncer-")
    }
    kind = _CLASSES.get(trailers.get("ibouncer-source", ""))
    if kind is None:
        return _from_status(status, message)
    code = trailers.get("ibouncer-code", status.name)
    if code in _LEAVING:
        kind = BrokerUnavailable
    gateway_code = trailers.get("ibouncer-gateway-code", "")
    return kind(
        message,
        code=code,
        retry=_RETRIES.get(trailers.get("ibouncer-retry", ""), "never"),
        gateway_code=int(gateway_code) if gateway_code.lstrip("-").isdecimal() else None,
        delivery=_DELIVERIES.get(trailers.get("ibouncer-delivery", "")),
    )


def _from_status(status: grpc.StatusCode, message: str) -> IBouncerError:
    if status is grpc.StatusCode.UNAVAILABLE:
        error = unavailable(message)
        if _NO_CONNECTION in message:
            error.delivery = "not-sent"
        return error
    if status in _CLIENT_STATUSES:
        return ClientError(message, code=status.name)
    retry: Retry = "never" if status in _NEVER_STATUSES else "after"
    return BrokerError(message, code=status.name, retry=retry)


def from_message(error: error_pb2.Error) -> IBouncerError:
    """The exception for an error that came inside a stream."""
    kind = _CLASSES[_SOURCE_NAMES.get(error.source, "broker")]
    return kind(
        error.message,
        code=error.code,
        retry=_RETRY_NAMES.get(error.retry, "never"),
        gateway_code=error.gateway_code or None,
        delivery=_DELIVERY_NAMES.get(error.delivery),
    )


@contextlib.contextmanager
def sending(
    advice: str, client_order_id: str | None = None, *, earlier: bool = False
) -> Iterator[None]:
    """Around a call that sends: where nothing says that it did not leave, it may have.

    `advice` is what the message says then. `earlier`: an attempt before may have been sent, and
    what this one says of itself changes nothing about that.
    """
    try:
        yield
    except IBouncerError as error:
        error.client_order_id = client_order_id
        if earlier or error.delivery is None:
            error.delivery = "maybe-sent"
        if error.delivery == "maybe-sent":
            error.message = f"{error.message.rstrip('.')}. It may have been sent: {advice}"
        raise


def unavailable(detail: str) -> BrokerUnavailable:
    """The broker cannot be reached or has just left."""
    return BrokerUnavailable(f"{_UNREACHABLE}{detail}", code="BROKER_UNAVAILABLE", retry="after")


def is_away(error: IBouncerError) -> bool:
    """Whether the same call may work once the broker has come back, session included."""
    return isinstance(error, BrokerUnavailable) or error.code in _COMING


def is_one_too_many(error: IBouncerError) -> bool:
    """Whether this program has as many of something as it may, or the broker serves as many.

    A stream that was open before tries on, and comes back once others have ended. To one that is
    new it is the answer: its reader would else wait, and nothing would say for what.
    """
    return error.code == "TOO_MANY"


def session_closed(delivery: Delivery | None = None) -> ClientError:
    """The program has closed the session, before or while something waited for the broker."""
    return ClientError("the session was closed", code="SESSION_CLOSED", delivery=delivery)


def malformed(what: str, error: Exception) -> BrokerError:
    """What came is no message of the schema; another attempt would bring the same."""
    return BrokerError(f"{what} cannot be read: {error}", code="MALFORMED_RESPONSE")


def away(error: IBouncerError) -> str:
    """The same for those who need do nothing, because a stream comes back by itself."""
    if not isinstance(error, BrokerUnavailable):
        return error.message
    return f"the broker is away: {error.message.removeprefix(_UNREACHABLE)}"
