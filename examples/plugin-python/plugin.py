"""Sends `/api/*` to a pool and marks the answers."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.routing import Decision_Forward, Decision_Pass, Forward
from wit_world.imports import request
from wit_world.imports.types import Field, ResponseEdit_Set

MARKED = ResponseEdit_Set(Field("x-routed-by", b"python"))

pool = None


class Lifecycle(exports.Lifecycle):
    def configure(self, config):
        global pool
        pool = json.loads(config).get("pool")
        if not isinstance(pool, str):
            # What the operator reads.
            raise Err("pool: expected the name of a pool")


class Routing(exports.Routing):
    def route(self):
        if not request.path().startswith("/api/"):
            return Decision_Pass()
        return Decision_Forward(Forward(pool, "python", []))


class Rewriting(exports.Rewriting):
    def rewrite_request(self):
        return []

    def rewrite_response(self):
        return [MARKED]
