rockspec_format = "3.0"
package = "bulk_rerun"
version = "scm-1"
source = {
  -- `luarocks make` in a checkout: what is built is the checkout.
  url = "git+file://.",
}
description = {
  summary = "Re-run the unique tasks behind a selector's runs, inside a job runner's own store",
  license = "MIT OR Apache-2.0",
  labels = { "job", "sqlite" },
}
dependencies = { "lua >= 5.1, < 5.6" }
supported_platforms = { "unix" }
-- Needs Rust, a C compiler and make.
build = {
  type = "command",
  build_command = "true",
  install_command = [[sh ./build.sh "`"$(LUA)" -e 'print(jit and "luajit" or _VERSION:sub(5))'`" "$(LIBDIR)"]],
}
