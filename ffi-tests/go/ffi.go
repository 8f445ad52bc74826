// Package ffi calls the C ABI from Go through cgo, and is a host of its own. cgo can't be used in a
// test's file, so what it needs of C is here.
package ffi

/*
#cgo pkg-config: bulk_rerun
#include <bulk_rerun.h>
#include <stdlib.h>

int32_t goKeep(void *context, char *run_json);
int32_t goRuns(void *context, char *selector_json, bulk_rerun_sink *sink);
int32_t goSpawn(void *context, char *source_run_json, bulk_rerun_reply *reply);

static char *call_where(bulk_rerun_plugin *plugin, const char *request_json, uintptr_t handle) {
    return bulk_rerun_call_where(plugin, request_json, (int32_t (*)(void *, const char *))goKeep, (void *)handle);
}

static bulk_rerun_plugin *attach(uintptr_t handle) {
    bulk_rerun_host host = {sizeof host, BULK_RERUN_ABI_VERSION, 0, (void *)handle};
    host.runs = (int32_t (*)(void *, const char *, bulk_rerun_sink *))goRuns;
    host.spawn = (int32_t (*)(void *, const char *, bulk_rerun_reply *))goSpawn;
    return bulk_rerun_attach(&host, NULL, NULL);
}
*/
import "C"

import (
	"encoding/json"
	"errors"
	"runtime/cgo"
	"unsafe"
)

// Plugin is a plugin over a store, or over a Go host.
type Plugin struct {
	plugin *C.bulk_rerun_plugin
	host   cgo.Handle
}

// Run is a run in canonical columns.
type Run struct {
	ID       string  `json:"id"`
	TaskName string  `json:"task_name"`
	Params   *string `json:"params"`
}

// Host hands its runs over, and starts them.
type Host interface {
	Runs() []Run
	Spawn(source Run) (runID string, err error)
}

func take(text *C.char) string {
	defer C.bulk_rerun_string_free(text)
	return C.GoString(text)
}

// Open opens a store.
func Open(store string) (*Plugin, error) {
	config, _ := json.Marshal(map[string]string{"store": store})
	text := C.CString(string(config))
	defer C.free(unsafe.Pointer(text))
	var failure *C.char
	plugin := C.bulk_rerun_open(text, &failure)
	if plugin == nil {
		return nil, errors.New(take(failure))
	}
	return &Plugin{plugin: plugin}, nil
}

// Attach is a plugin over a Go host.
func Attach(host Host) *Plugin {
	handle := cgo.NewHandle(host)
	return &Plugin{plugin: C.attach(C.uintptr_t(handle)), host: handle}
}

// CallUnless is Call, unless stop is closed before it spawns.
func (p *Plugin) CallUnless(request string, stop <-chan struct{}) (answer string, isError bool) {
	text := C.CString(request)
	defer C.free(unsafe.Pointer(text))
	cancel := C.bulk_rerun_cancel_new()
	defer C.bulk_rerun_cancel_free(cancel)
	over := make(chan struct{})
	defer close(over)
	go func() {
		select {
		case <-stop:
			C.bulk_rerun_cancel_now(cancel)
		case <-over:
		}
	}()
	made := C.bulk_rerun_call_unless(p.plugin, text, cancel)
	isError = C.bulk_rerun_is_error(made) == 1
	return take(made), isError
}

// Close closes a plugin.
func (p *Plugin) Close() {
	C.bulk_rerun_close(p.plugin)
	if p.host != 0 {
		p.host.Delete()
	}
}

// Call re-runs what the request selects.
func (p *Plugin) Call(request string) string {
	text := C.CString(request)
	defer C.free(unsafe.Pointer(text))
	return take(C.bulk_rerun_call(p.plugin, text))
}

// CallWhere is Call with a predicate.
func (p *Plugin) CallWhere(request string, keep func(Run) bool) string {
	text := C.CString(request)
	defer C.free(unsafe.Pointer(text))
	handle := cgo.NewHandle(keep)
	defer handle.Delete()
	return take(C.call_where(p.plugin, text, C.uintptr_t(handle)))
}

// Select is the ids of the selected runs.
func (p *Plugin) Select(selector string) (ids []string) {
	text := C.CString(selector)
	defer C.free(unsafe.Pointer(text))
	cursor := C.bulk_rerun_select(p.plugin, text, nil)
	defer C.bulk_rerun_cursor_close(cursor)
	for next := C.bulk_rerun_cursor_next(cursor, nil); next != nil; next = C.bulk_rerun_cursor_next(cursor, nil) {
		ids = append(ids, read(take(next)).ID)
	}
	return ids
}

func read(runJSON string) (run Run) {
	if err := json.Unmarshal([]byte(runJSON), &run); err != nil {
		panic(err)
	}
	return run
}

//export goKeep
func goKeep(context unsafe.Pointer, runJSON *C.char) C.int32_t {
	if cgo.Handle(context).Value().(func(Run) bool)(read(C.GoString(runJSON))) {
		return 1
	}
	return 0
}

//export goRuns
func goRuns(context unsafe.Pointer, _ *C.char, sink *C.bulk_rerun_sink) C.int32_t {
	for _, run := range cgo.Handle(context).Value().(Host).Runs() {
		text, _ := json.Marshal(run)
		runJSON := C.CString(string(text))
		status := C.bulk_rerun_emit(sink, runJSON)
		C.free(unsafe.Pointer(runJSON))
		if status != 0 {
			return status
		}
	}
	return 0
}

//export goSpawn
func goSpawn(context unsafe.Pointer, sourceRunJSON *C.char, reply *C.bulk_rerun_reply) C.int32_t {
	id, err := cgo.Handle(context).Value().(Host).Spawn(read(C.GoString(sourceRunJSON)))
	said, _ := json.Marshal(map[string]string{"run_id": id})
	if err != nil {
		said, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	text := C.CString(string(said))
	defer C.free(unsafe.Pointer(text))
	return C.bulk_rerun_reply_set(reply, text)
}
