"""A gRPC server over TLS: serves until its stdin ends. Arguments: certificate, key.

Messages are plain bytes. The first line on stdout is the port.
"""

import sys
import threading
from concurrent import futures

import grpc

cancelled = threading.Semaphore(0)


def echo(request, context):
    """Gives the message back, and tells in trailers what came with it."""
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-initial", "first"),))
    context.set_trailing_metadata((("x-asked", sent.get("x-ask", "")), ("x-bytes-bin", b"\x00\xff")))
    return request


def fail(request, context):
    """Says no without a message: a trailers-only answer."""
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "not now: 100 %")


def count(request, context):
    """Streams as many messages as it is asked for."""
    for number in range(int(request)):
        yield str(number).encode()


def total(requests, context):
    """Adds up the lengths of all that comes."""
    return str(sum(len(request) for request in requests)).encode()


def mirror(requests, context):
    """Answers each message before the next."""
    for request in requests:
        yield request


def wait(request, context):
    """Never answers; notes when it is given up."""
    ended = threading.Event()
    context.add_callback(ended.set)
    ended.wait(30)
    cancelled.release()
    return b""


def remaining(request, context):
    """The deadline as it reached the server, seconds."""
    return str(context.time_remaining()).encode()


def was_cancelled(request, context):
    """Whether one more call of `wait` was given up."""
    return b"yes" if cancelled.acquire(timeout=10) else b"no"


def endless(request, context):
    """Streams until nobody listens, then notes it."""
    context.add_callback(cancelled.release)
    while context.is_active():
        yield bytes(1000)


def main():
    certificate, key = (open(path, "rb").read() for path in sys.argv[1:3])
    methods = {
        "Fail": grpc.unary_unary_rpc_method_handler(fail),
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Wait": grpc.unary_unary_rpc_method_handler(wait),
        "Remaining": grpc.unary_unary_rpc_method_handler(remaining),
        "WasCancelled": grpc.unary_unary_rpc_method_handler(was_cancelled),
        "Count": grpc.unary_stream_rpc_method_handler(count),
        "Endless": grpc.unary_stream_rpc_method_handler(endless),
        "Total": grpc.stream_unary_rpc_method_handler(total),
        "Mirror": grpc.stream_stream_rpc_method_handler(mirror),
    }
    options = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))
    server = grpc.server(futures.ThreadPoolExecutor(16), options=options)
    handler = grpc.method_handlers_generic_handler("test.Test", methods)
    server.add_generic_rpc_handlers((handler,))
    credentials = grpc.ssl_server_credentials([(key, certificate)])
    print(server.add_secure_port("127.0.0.1:0", credentials), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0)


main()
