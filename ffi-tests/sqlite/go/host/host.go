// Package host is a process that has the store open through a copy of SQLite that its program brings, while the library is
// asked to open it, too: the library refuses, the lock is held until its holder commits, and nothing is lost.
package host

/*
#cgo pkg-config: bulk_rerun
#include <bulk_rerun.h>
#include <stdlib.h>
*/
import "C"

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/exec"
	"strings"
	"unsafe"
)

// Failed asks for a re-run of the two tasks that have failed.
const Failed = `{"match_all": true, "filter": {"status": "failed"}}`

var plugin *C.bulk_rerun_plugin

func check(isSo bool, what ...any) {
	if !isSo {
		log.Output(2, fmt.Sprint(what...))
		os.Exit(1)
	}
}

func take(text *C.char) string {
	defer C.bulk_rerun_string_free(text)
	return C.GoString(text)
}

// call opens the store, if that was not done, and re-runs what has failed.
func call(store string) string {
	if plugin == nil {
		config, _ := json.Marshal(map[string]any{"store": store, "busy_timeout_ms": 50})
		text := C.CString(string(config))
		defer C.free(unsafe.Pointer(text))
		var failure *C.char
		if plugin = C.bulk_rerun_open(text, &failure); plugin == nil {
			return take(failure)
		}
	}
	request := C.CString(Failed)
	defer C.free(unsafe.Pointer(request))
	return take(C.bulk_rerun_call(plugin, request))
}

// others is what another process sees.
func others(store, sql string) string {
	output, _ := exec.Command("sqlite3", "-batch", store, sql).CombinedOutput()
	return strings.TrimSpace(string(output))
}

func refused(store string) {
	answer := call(store)
	for _, word := range []string{`"status":500`, "store_open_in_process", "load_extension", "bulk_rerun_attach", "`bulk-rerun`"} {
		check(strings.Contains(answer, word), word, " is not in ", answer)
	}
}

func locked(store string) {
	said := others(store, "BEGIN IMMEDIATE; ROLLBACK")
	check(strings.Contains(said, "locked"), "the holder has lost its lock: ", said)
}

// Main tries a driver of database/sql: main STORE BEGIN before|after, which is whether the library comes before or after it.
func Main(driver string, afterwards func(connection *sql.Conn) (rerun int)) {
	store, begin, isFirst := os.Args[1], os.Args[2], os.Args[3] == "before"
	runs := 4
	if isFirst {
		answer := call(store)
		check(strings.Count(answer, "run_id") == 2, answer)
		runs += 2
	}
	db, err := sql.Open(driver, store)
	check(err == nil, err)
	ctx := context.Background()
	own, err := db.Conn(ctx)
	check(err == nil, err)
	execute := func(sql string) {
		_, err := own.ExecContext(ctx, sql)
		check(err == nil, sql, ": ", err)
	}
	execute(begin)
	execute("UPDATE runs SET exit_code = 5 WHERE id = 'c1'")
	locked(store)
	refused(store)
	refused(store)
	locked(store)
	if plugin != nil {
		C.bulk_rerun_close(plugin)
	}
	locked(store)
	execute("COMMIT")
	if !isFirst && afterwards != nil {
		runs += afterwards(own)
	}
	check(own.Close() == nil && db.Close() == nil)
	seen := others(store, "SELECT count(*) FROM runs; SELECT exit_code FROM runs WHERE id = 'c1'; PRAGMA integrity_check")
	check(seen == fmt.Sprintf("%d\n5\nok", runs), seen)
}
