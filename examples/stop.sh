#!/bin/sh
# Ends what start.sh has started in this folder: all of it, or `../stop.sh NAME ...`. Comes back once it has ended;
# fails for what has not within a minute.
set -eu
. "$(dirname "$0")/is-ours.sh"

if [ $# = 0 ]; then
    set -- gateway $(cd run && ls -- *.pid | sed 's/\.pid$//' | grep -vx gateway || true)
fi
for name in "$@"; do
    [ -e "run/$name.pid" ] || continue
    if is_ours "$name"; then
        kill "$pid" 2> /dev/null || true
    fi
    end=$(($(date +%s) + 60))
    while is_ours "$name"; do
        if [ "$(date +%s)" -ge "$end" ]; then
            echo "$name, process $pid, does not end; run/$name.log says why" >&2
            exit 1
        fi
        sleep 0.1
    done
    rm "run/$name.pid"
done
