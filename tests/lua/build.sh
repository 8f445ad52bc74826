#!/bin/sh
# Builds what the tests need of Lua into a folder: the module for each interpreter, Lua 5.5, which Debian 12 lacks, and a
# host in C that embeds it.
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
# -rdynamic: the module finds Lua's functions in the program.
embedding="-O1 -rdynamic -DLUA_USE_LINUX -I $sources"
if [ ! -x "$folder/lua5.5/lua" ] || [ tests/lua/lua5.5.c -nt "$folder/lua5.5/lua" ]; then
    # shellcheck disable=SC2086 # several words
    cc $embedding -o "$folder/lua5.5/lua" tests/lua/lua5.5.c "$sources"/l*.c -lm -ldl
fi
if [ ! -x "$folder/embed/embed" ] || [ ffi-tests/lua/embed.c -nt "$folder/embed/embed" ]; then
    mkdir -p "$folder/embed"
    # shellcheck disable=SC2086
    cc -Wall -Wextra -Werror $embedding -o "$folder/embed/embed" ffi-tests/lua/embed.c "$sources"/l*.c \
        -L target/capi/release -lbulk_rerun -lsqlite3 -lm -ldl
fi
mkdir -p "$folder/limit"
cc -Wall -Wextra -Werror -O1 -shared -fPIC -o "$folder/limit/limit.so" tests/lua/limit.c
# A copy of its own, so that there is another one beside the module.
install -m 755 target/capi/release/libbulk_rerun.so "$folder/embed/libbulk_rerun.so.1"
