/* limit(bytes): from here on the Lua state that loads this gets so much memory more, and not a byte besides; limit() takes
 * the limit away. The functions are declared here, as every Lua from 5.1 on and LuaJIT have them, so that one file serves
 * them all. */
#include <stddef.h>

typedef struct lua_State lua_State;
typedef void *(*lua_Alloc)(void *, void *, size_t, size_t);
typedef int (*lua_CFunction)(lua_State *);
lua_Alloc lua_getallocf(lua_State *, void **);
void lua_setallocf(lua_State *, lua_Alloc, void *);
void lua_pushcclosure(lua_State *, lua_CFunction, int);
int lua_type(lua_State *, int);
double luaL_checknumber(lua_State *, int);

static lua_Alloc inner;
static void *inner_data;
static size_t left;
static int is_limited;

static void *allocate(void *data, void *block, size_t old, size_t size) {
    (void)data;
    /* Without a block, the old size is a kind of object. */
    if (!block) {
        old = 0;
    }
    if (is_limited && size > old) {
        if (size - old > left) {
            return NULL;
        }
        left -= size - old;
    } else if (is_limited) {
        left += old - size;
    }
    return inner(inner_data, block, old, size);
}

static int limit(lua_State *L) {
    is_limited = lua_type(L, 1) > 0;
    if (is_limited) {
        left = (size_t)luaL_checknumber(L, 1);
        lua_setallocf(L, allocate, NULL);
    } else {
        /* Lua unloads this file at its end, and frees its memory after that. */
        lua_setallocf(L, inner, inner_data);
    }
    return 0;
}

int luaopen_limit(lua_State *L) {
    inner = lua_getallocf(L, &inner_data);
    lua_pushcclosure(L, limit, 0);
    return 1;
}
