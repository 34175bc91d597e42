"""Calls the server of grpc_server.py through the gateway, in every way that gRPC has.

Arguments: the gateway's port, its root certificate. Prints the name of each check that holds;
ends with an error at the first that does not.
"""

import queue
import sys

import grpc

port, root = sys.argv[1:3]
credentials = grpc.ssl_channel_credentials(open(root, "rb").read())
options = (
    ("grpc.ssl_target_name_override", "shop.example"),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
)
channel = grpc.secure_channel(f"127.0.0.1:{port}", credentials, options)


def method(kind, name):
    return getattr(channel, kind)(f"/test.Test/{name}")


echo = method("unary_unary", "Echo")
LONG = 20


def unary():
    answer, call = echo.with_call(b"hello", metadata=(("x-ask", "me"),), timeout=LONG)
    assert answer == b"hello"
    assert dict(call.initial_metadata())["x-initial"] == "first"
    trailers = dict(call.trailing_metadata())
    assert trailers["x-asked"] == "me" and trailers["x-bytes-bin"] == b"\x00\xff", trailers
    assert call.code() == grpc.StatusCode.OK


def large_messages():
    message = bytes(range(256)) * (8 << 12)
    assert len(message) == 8 << 20
    assert echo(message, timeout=LONG) == message


def empty_messages():
    assert echo(b"", timeout=LONG) == b""


def trailers_only_error():
    try:
        method("unary_unary", "Fail")(b"", timeout=LONG)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.FAILED_PRECONDITION, error
        assert error.details() == "not now: 100 %", error
    else:
        raise AssertionError("no error")


def unknown_method():
    try:
        method("unary_unary", "Nothing")(b"", timeout=LONG)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.UNIMPLEMENTED, error
    else:
        raise AssertionError("no error")


def server_stream():
    answers = method("unary_stream", "Count")(b"1000", timeout=LONG)
    assert [int(answer) for answer in answers] == list(range(1000))


def client_stream():
    messages = (bytes(length) for length in range(1000))
    assert method("stream_unary", "Total")(messages, timeout=LONG) == b"499500"


def lockstep_stream():
    messages = queue.Queue()
    answers = method("stream_stream", "Mirror")(iter(messages.get, None), timeout=LONG)
    for number in range(200):
        messages.put(str(number).encode())
        assert next(answers) == str(number).encode()
    messages.put(None)
    assert list(answers) == []
    assert answers.code() == grpc.StatusCode.OK


def deadline_reaches_the_server():
    left = float(method("unary_unary", "Remaining")(b"", timeout=LONG))
    # The client rounds what it sends up.
    assert LONG - 10 < left < LONG + 1, left


def deadline_ends_the_call():
    try:
        method("unary_unary", "Wait")(b"", timeout=0.3)
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
    else:
        raise AssertionError("no error")
    assert method("unary_unary", "WasCancelled")(b"", timeout=LONG) == b"yes"


def cancel_reaches_the_server():
    call = method("unary_unary", "Wait").future(b"", timeout=LONG)
    echo(b"the call before this one is on its way", timeout=LONG)
    call.cancel()
    assert method("unary_unary", "WasCancelled")(b"", timeout=LONG) == b"yes"


def cancel_ends_a_stream():
    answers = method("unary_stream", "Endless")(b"", timeout=LONG)
    for _ in range(100):
        next(answers)
    answers.cancel()
    assert method("unary_unary", "WasCancelled")(b"", timeout=LONG) == b"yes"


for check in (
    unary,
    empty_messages,
    large_messages,
    trailers_only_error,
    unknown_method,
    server_stream,
    client_stream,
    lockstep_stream,
    deadline_reaches_the_server,
    deadline_ends_the_call,
    cancel_reaches_the_server,
    cancel_ends_a_stream,
):
    check()
    print(check.__name__, flush=True)
