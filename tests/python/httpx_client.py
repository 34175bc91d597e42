"""Speaks to a gateway through httpx; prints the name of each thing that went well.

    httpx_client.py URL CA h1|h2
"""

import ssl
import sys

import httpx

URL, CA, VERSION = sys.argv[1:]
MIB = 1 << 20


def client(ca: str | None = CA) -> httpx.Client:
    return httpx.Client(
        base_url=URL,
        verify=ssl.create_default_context(cafile=ca),
        http1=VERSION == "h1",
        http2=VERSION == "h2",
        timeout=20,
        trust_env=False,
    )


def get(http: httpx.Client) -> None:
    answer = http.get("/a?b=c", headers={"x-a": "1"})
    assert answer.status_code == 200, answer
    assert answer.http_version == {"h1": "HTTP/1.1", "h2": "HTTP/2"}[VERSION], answer
    seen = answer.json()
    assert (seen["method"], seen["target"]) == ("GET", "/a?b=c"), seen
    assert ["x-a", "1"] in seen["headers"], seen


def post_of_1_mib(http: httpx.Client) -> None:
    body = bytes(range(256)) * (MIB // 256)
    answer = http.post("/mirror", content=body)
    assert answer.status_code == 200 and answer.content == body, answer


def streamed_upload(http: httpx.Client) -> None:
    answer = http.post("/count", content=(b"x" * 1000 for _ in range(1000)))
    assert answer.json() == {"bytes": 1_000_000}, answer.text


def streamed_download(http: httpx.Client) -> None:
    pieces = length = 0
    with http.stream("GET", "/bytes/20000000") as answer:
        for piece in answer.iter_raw():
            pieces, length = pieces + 1, length + len(piece)
    assert length == 20_000_000 and pieces > 10, (pieces, length)


def hundred_requests(http: httpx.Client) -> None:
    for n in range(100):
        answer = http.get(f"/{n}")
        assert answer.json()["target"] == f"/{n}", answer.text


def redirect(http: httpx.Client) -> None:
    answer = http.get("/redirect/302")
    assert (answer.status_code, answer.headers["location"]) == (302, "/elsewhere"), answer


def gzip(http: httpx.Client) -> None:
    with http.stream("GET", "/gzip") as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip" and raw[:2] == b"\x1f\x8b", raw
    assert http.get("/gzip").text == "gzip untouched\n"


def trailers(http: httpx.Client) -> None:
    """httpx shows none; they must not get in its way."""
    assert http.get("/trailers", headers={"te": "trailers"}).text == "with trailers\n"


def verification() -> None:
    try:
        with client(ca=None) as stranger:
            stranger.get("/")
    except httpx.ConnectError as error:
        assert "CERTIFICATE_VERIFY_FAILED" in str(error), error
    else:
        raise AssertionError("an unknown issuer was trusted")


with client() as one:
    checks = get, post_of_1_mib, streamed_upload, streamed_download, hundred_requests
    for check in *checks, redirect, gzip, trailers:
        check(one)
        print(check.__name__)
verification()
print("verification")
