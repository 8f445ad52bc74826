// libbulk_rerun.so through koffi: its functions with their types, as bulk_rerun.h has them.
import { createRequire } from "node:module";
import { platformFile } from "./platform.js";

const require = createRequire(import.meta.url);
const SONAME = "libbulk_rerun.so.1";
const ABI_VERSION = 1;

let native;

/** The library, loaded once. */
export function load() {
  native ??= bind(koffiOrError());
  return native;
}

function koffiOrError() {
  try {
    return require("koffi");
  } catch (cause) {
    const isMissing = cause?.code === "MODULE_NOT_FOUND" && cause.message.includes("'koffi'");
    const what = isMissing ? "bulk-rerun/library needs koffi, which is not installed: npm install koffi" : "bulk-rerun/library needs koffi, which could not be loaded";
    throw new Error(what, { cause });
  }
}

/** Where the library is: as BULK_RERUN_LIB says, in the platform's package, or where the system has it. */
export function libraryPath() {
  return process.env.BULK_RERUN_LIB || platformFile(SONAME) || SONAME;
}

function bind(koffi) {
  const path = libraryPath();
  let library;
  try {
    library = koffi.load(path);
  } catch (cause) {
    throw new Error(
      `${path} could not be loaded (${cause.message}). It comes with bulk-rerun's package for your platform (npm install --include=optional), `
        + "or is built by `make` in bulk_rerun's sources; BULK_RERUN_LIB says where it is",
      { cause },
    );
  }
  // No type has a name: koffi keeps names for the whole process, where another copy of this module may be.
  const opaque = () => koffi.pointer(koffi.opaque());
  const [plugin, cursor, sink, reply] = [opaque(), opaque(), opaque(), opaque()];
  const free = library.func("bulk_rerun_string_free", "void", ["void *"]);
  // Text that is ours: koffi copies it, and frees it.
  const text = koffi.disposable("str", free);
  const error = koffi.out(koffi.pointer(text));
  const callback = (...types) => koffi.pointer(koffi.proto("int32_t", ["void *", ...types]));
  const [keep, runs, replying, step] = [callback("str"), callback("str", sink), callback("str", reply), callback()];
  const host = koffi.struct({
    struct_size: "size_t", abi_version: "uint32_t", flags: "uint32_t", context: "void *",
    runs, spawn: replying, begin: step, commit: step, rollback: step, undo: replying,
    find_operation: replying, record_operation: replying,
  });
  const abi = library.func("bulk_rerun_abi_version", "uint32_t", [])();
  if (abi !== ABI_VERSION) throw new Error(`${path} has version ${abi} of the ABI, and this package is made for ${ABI_VERSION}: install the same version of both`);
  return {
    open: library.func("bulk_rerun_open", plugin, ["str", error]),
    attach: library.func("bulk_rerun_attach", plugin, [koffi.pointer(host), "str", error]),
    close: library.func("bulk_rerun_close", "void", [plugin]),
    call: library.func("bulk_rerun_call", text, [plugin, "str"]),
    callWhere: library.func("bulk_rerun_call_where", text, [plugin, "str", keep, "void *"]),
    select: library.func("bulk_rerun_select", cursor, [plugin, "str", error]),
    next: library.func("bulk_rerun_cursor_next", text, [cursor, error]),
    closeCursor: library.func("bulk_rerun_cursor_close", "void", [cursor]),
    operations: library.func("bulk_rerun_operations", text, [plugin, "str"]),
    undo: library.func("bulk_rerun_undo", text, [plugin, "str"]),
    emit: library.func("bulk_rerun_emit", "int32_t", [sink, "str"]),
    setReply: library.func("bulk_rerun_reply_set", "int32_t", [reply, "str"]),
    /** A table of callbacks, and what gives them back. */
    host(functions, flags) {
      const types = { runs, begin: step, commit: step, rollback: step };
      const registered = Object.entries(functions).map(([name, f]) => [name, koffi.register(f, types[name] ?? replying)]);
      const table = {
        struct_size: koffi.sizeof(host), abi_version: ABI_VERSION, flags, context: null, runs: null, spawn: null, begin: null,
        commit: null, rollback: null, undo: null, find_operation: null, record_operation: null, ...Object.fromEntries(registered),
      };
      return { table, release: () => registered.forEach(([, f]) => koffi.unregister(f)) };
    },
  };
}
