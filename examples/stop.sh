#!/bin/sh
# Ends what start.sh has started in this folder: all of it, or `../stop.sh NAME ...`. Comes back once it has ended.
set -eu

if [ $# = 0 ]; then
    set -- gateway $(cd run && ls -- *.pid | sed 's/\.pid$//' | grep -vx gateway || true)
fi
for name in "$@"; do
    [ -e "run/$name.pid" ] || continue
    process=$(cat "run/$name.pid")
    kill "$process" 2> /dev/null || true
    while kill -0 "$process" 2> /dev/null; do sleep 0.1; done
    rm "run/$name.pid"
done
