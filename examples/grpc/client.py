"""Orders at the shop of shop.proto, through the gateway, and prints the answer, its trailers and its status.

    python client.py ADDRESS:PORT order WHAT PIECES
    python client.py ADDRESS:PORT follow NUMBER SECONDS
"""

import sys

import grpc

messages, services = grpc.protos_and_services("shop.proto")


def order(shop, what, pieces):
    receipt, call = shop.Order.with_call(messages.Wish(what=what, pieces=int(pieces)), timeout=20)
    print(f"receipt {receipt.number}: {receipt.text}")
    for name, value in call.trailing_metadata():
        print(f"{name}: {value}")


def follow(shop, number, seconds):
    for place in shop.Follow(messages.Receipt(number=int(number)), timeout=float(seconds)):
        print(place.name)


address, command, *arguments = sys.argv[1:]
credentials = grpc.ssl_channel_credentials(open("certs/ca.pem", "rb").read())
# The gateway is at this address, whatever the name says.
options = [("grpc.ssl_target_name_override", "shop.example")]
with grpc.secure_channel(address, credentials, options) as channel:
    try:
        {"order": order, "follow": follow}[command](services.ShopStub(channel), *arguments)
        print("OK")
    except grpc.RpcError as error:
        print(f"{error.code().name}: {error.details()}")
