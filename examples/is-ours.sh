# Sourced by start.sh, stop.sh and wait.sh, in the folder of an example.

# `is_ours NAME`: whether the process of run/NAME.pid still runs in this folder, and sets `pid`. A number that is
# left over may by now be somebody else's process.
is_ours() {
    pid=$(cat "run/$1.pid" 2> /dev/null) && [ "$(readlink "/proc/$pid/cwd")" = "$(pwd -P)" ]
}
