#!/bin/sh
# Builds the Lua module, and puts it where a Lua finds it:
#
#     lua/build.sh 5.4 /usr/local/lib/lua/5.4
#
# The first argument is the Lua: 5.1, 5.2, 5.3, 5.4, 5.5 or luajit. The folder gets two files: bulk_rerun.so, which is the
# module, and libbulk_rerun.so, which is the core. Needs Rust, a C compiler and make.
set -eu

if [ $# != 2 ]; then
    sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
case $1 in
5.[1-5]) feature=lua5${1#5.} ;;
luajit) feature=luajit ;;
*)
    echo "$0: there is no module for Lua '$1': expected 5.1, 5.2, 5.3, 5.4, 5.5 or luajit" >&2
    exit 2
    ;;
esac
mkdir -p "$2"
folder=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."

profile=${PROFILE:-release}
case $profile in dev) built=debug ;; *) built=$profile ;; esac
cargo build --quiet --profile "$profile" --manifest-path lua/Cargo.toml --features "$feature" --target-dir target/lua
make --quiet
# A file that is replaced in place would change under whoever has it loaded.
install -m 755 "target/lua/$built/libbulk_rerun_lua.so" "$folder/bulk_rerun.so"
install -m 755 target/capi/release/libbulk_rerun.so "$folder/libbulk_rerun.so"
