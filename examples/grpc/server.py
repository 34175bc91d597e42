"""The shop of shop.proto, over TLS: `python server.py ADDRESS:PORT CERTIFICATE KEY`."""

import itertools
import sys
import time
from concurrent import futures

import grpc

messages, services = grpc.protos_and_services("shop.proto")
numbers = itertools.count(1)


class Shop(services.ShopServicer):
    def Order(self, request, context):
        if request.pieces < 1:
            # No message, only a status: gRPC sends it in the trailers.
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"pieces: expected 1 or more, found {request.pieces}")
        context.set_trailing_metadata((("x-kitchen", "busy"),))
        return messages.Receipt(number=next(numbers), text=f"{request.pieces} x {request.what}")

    def Follow(self, request, context):
        context.add_callback(lambda: print(f"order {request.number}: nobody follows any more", flush=True))
        for place in ("kitchen", "street", "door"):
            yield messages.Place(name=place)
            time.sleep(0.5)


def main():
    address, certificate, key = sys.argv[1:]
    certificate, key = (open(path, "rb").read() for path in (certificate, key))
    server = grpc.server(futures.ThreadPoolExecutor(8))
    services.add_ShopServicer_to_server(Shop(), server)
    server.add_secure_port(address, grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    print("ready", flush=True)
    server.wait_for_termination()


main()
