#!/bin/sh
# Starts what the examples have in common, in the folder of one of them: `../start.sh NAME=ADDRESS:PORT ...`
#
# - certificates, into certs/: the gateway's own, and one for each NAME, on the list of a pool;
# - for each NAME a server that answers `NAME: GET /path`, and with the request's fields too when the query is `fields`;
# - the gateway on witgate.toml.
#
# What runs already is left alone. Logs and process ids are in run/. Comes back once everything listens.
set -eu

mkdir -p run
servers=$(IFS=, && echo "$*")
demo-upstreams --certs certs ${servers:+--web "$servers"} --only-certs

# `start NAME COMMAND...`: in the background, unless it runs.
start() {
    name=$1
    shift
    if ! kill -0 "$(cat "run/$name.pid" 2> /dev/null)" 2> /dev/null; then
        "$@" < /dev/null > "run/$name.out" 2> "run/$name.log" &
        echo $! > "run/$name.pid"
    fi
}

# `wait_for NAME COMMAND...`: until the command succeeds; fails when NAME has ended.
wait_for() {
    name=$1
    shift
    until "$@" > /dev/null 2>&1; do
        if ! kill -0 "$(cat "run/$name.pid")" 2> /dev/null; then
            echo "$name has ended; run/$name.log says:" >&2
            cat "run/$name.log" >&2
            rm "run/$name.pid"
            exit 1
        fi
        sleep 0.1
    done
}

for server in "$@"; do
    start "${server%%=*}" demo-upstreams --certs certs --web "$server" --words
done
for server in "$@"; do
    wait_for "${server%%=*}" grep -q ready "run/${server%%=*}.out"
done
start gateway witgate run --config witgate.toml
wait_for gateway curl -f http://127.0.0.1:9901/readyz
