"""Raises for `/bad/throw`, does not end for `/bad/loop`, recurses for `/bad/recurse`."""

from wit_world import exports
from wit_world.exports.routing import Decision_Pass
from wit_world.imports import request


def recurse(depth):
    return 1 + recurse(depth + 1)


class Lifecycle(exports.Lifecycle):
    def configure(self, config):
        pass


class Routing(exports.Routing):
    def route(self):
        path = request.path()
        if path == "/bad/throw":
            raise ValueError("thrown by Python")
        if path == "/bad/recurse":
            recurse(0)
        while path == "/bad/loop":
            pass
        return Decision_Pass()


class Rewriting(exports.Rewriting):
    def rewrite_request(self):
        return []

    def rewrite_response(self):
        return []
