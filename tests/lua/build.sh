#!/bin/sh
# Builds what the tests need of Lua into a folder: the module for each interpreter, and Lua 5.5, which Debian 12 lacks.
#
#     tests/lua/build.sh target/lua/modules
set -eu
cd "$(dirname "$0")/../.."
folder=$1

for lua in 5.1 5.2 5.3 5.4 5.5; do
    PROFILE=dev lua/build.sh "$lua" "$folder/lua$lua"
done
PROFILE=dev lua/build.sh luajit "$folder/luajit"

# Cargo has the sources of Lua 5.5, for mlua's `vendored`.
sources=$(find "${CARGO_HOME:-$HOME/.cargo}/registry/src" -path '*/lua-src-*/lua-5.5*/lapi.c' | sort | tail -n 1)
[ -n "$sources" ] || { echo "$0: cargo has no sources of Lua 5.5: cargo fetch" >&2; exit 1; }
sources=$(dirname "$sources")
if [ ! -x "$folder/lua5.5/lua" ] || [ tests/lua/lua5.5.c -nt "$folder/lua5.5/lua" ]; then
    # -rdynamic: the module finds Lua's functions in the program.
    cc -O1 -rdynamic -DLUA_USE_LINUX -I "$sources" -o "$folder/lua5.5/lua" tests/lua/lua5.5.c "$sources"/l*.c -lm -ldl
fi
