"""Holds one stream both ways with the server of grpc_server.py, through the gateway.

Arguments: the gateway's port, its root certificate. Each line of stdin goes as a message, each
message that comes is a line on stdout; when stdin ends the stream does, and its status comes.
"""

import sys

import grpc

port, root = sys.argv[1:3]
credentials = grpc.ssl_channel_credentials(open(root, "rb").read())
options = (("grpc.ssl_target_name_override", "shop.example"),)
channel = grpc.secure_channel(f"127.0.0.1:{port}", credentials, options)
messages = (line.strip().encode() for line in sys.stdin)
call = channel.stream_stream("/test.Test/Mirror")(messages, timeout=60)
try:
    for message in call:
        print(message.decode(), flush=True)
except grpc.RpcError:
    pass
print(call.code(), flush=True)
