#!/bin/sh
# Starts what the examples have in common, in the folder of one of them: `../start.sh NAME=ADDRESS:PORT ...`
#
# - certificates, into certs/: the gateway's own, and one for each NAME, on the list of a pool;
# - for each NAME a server that answers `NAME: GET /path`, and with the request's fields too when the query is `fields`;
# - the gateway on witgate.toml.
#
# What runs already is left alone. Logs and process ids are in run/. Comes back once everything listens.
set -eu
here=$(dirname "$0")
. "$here/is-ours.sh"

mkdir -p run
servers=$(IFS=, && echo "$*")
demo-upstreams --certs certs ${servers:+--web "$servers"} --only-certs

# `start NAME COMMAND...`: in the background, unless it runs.
start() {
    name=$1
    shift
    if ! is_ours "$name"; then
        "$@" < /dev/null > "run/$name.out" 2> "run/$name.log" &
        echo $! > "run/$name.pid"
    fi
}

for server in "$@"; do
    start "${server%%=*}" demo-upstreams --certs certs --web "$server" --words
done
for server in "$@"; do
    "$here/wait.sh" "${server%%=*}" grep -q ready "run/${server%%=*}.out"
done
start gateway witgate run --config witgate.toml
"$here/wait.sh" gateway curl -f http://127.0.0.1:9901/readyz > /dev/null
