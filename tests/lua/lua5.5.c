/* Runs a script, as Lua's own interpreter does; that one's source is not in the lua-src crate. */
#include <stdio.h>

#include "lauxlib.h"
#include "lua.h"
#include "lualib.h"

int main(int argc, char **argv) {
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - 1);
    }
    lua_setglobal(L, "arg");
    int failed = luaL_dofile(L, argv[1]);
    if (failed) {
        fprintf(stderr, "lua: %s\n", luaL_tolstring(L, -1, NULL));
    }
    lua_close(L);
    return failed;
}
