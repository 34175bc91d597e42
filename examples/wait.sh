#!/bin/sh
# Waits until a command succeeds, in the folder of an example: `../wait.sh NAME COMMAND...`. Prints what the command
# printed then. Fails and shows run/NAME.log when NAME, whose process id is in run/, has ended, or after 30 seconds
# (`WAIT_SECONDS`).
set -eu
. "$(dirname "$0")/is-ours.sh"

name=$1
shift

# `give_up WHY`
give_up() {
    echo "$name $1; run/$name.log says:" >&2
    cat "run/$name.log" >&2 || true
    exit 1
}

end=$(($(date +%s) + ${WAIT_SECONDS:-30}))
until printed=$("$@" 2> /dev/null); do
    if [ -e "run/$name.pid" ] && ! is_ours "$name"; then
        rm "run/$name.pid"
        give_up "has ended"
    fi
    [ "$(date +%s)" -lt "$end" ] || give_up "is not as awaited after ${WAIT_SECONDS:-30} s: $*"
    sleep 0.1
done
[ -z "$printed" ] || printf '%s\n' "$printed"
