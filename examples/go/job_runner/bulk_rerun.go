package main

/*
#cgo pkg-config: bulk_rerun
#include <bulk_rerun.h>
#include <stdlib.h>

int32_t goRuns(uintptr_t store, bulk_rerun_sink *sink);
int32_t goReply(uintptr_t store, int32_t question, char *json, bulk_rerun_reply *reply);
int32_t goTransaction(uintptr_t store, int32_t step);

// A handle of Go's is a number, and stands in the context's place.
static int32_t runs(void *context, const char *selector, bulk_rerun_sink *sink) {
    (void)selector; // the plugin checks each run itself, so it may have them all
    return goRuns((uintptr_t)context, sink);
}
static int32_t spawn(void *context, const char *source_run, bulk_rerun_reply *reply) {
    return goReply((uintptr_t)context, 0, (char *)source_run, reply);
}
static int32_t undo(void *context, const char *run, bulk_rerun_reply *reply) {
    return goReply((uintptr_t)context, 1, (char *)run, reply);
}
static int32_t find_operation(void *context, const char *query, bulk_rerun_reply *reply) {
    return goReply((uintptr_t)context, 2, (char *)query, reply);
}
static int32_t record_operation(void *context, const char *operation, bulk_rerun_reply *reply) {
    return goReply((uintptr_t)context, 3, (char *)operation, reply);
}
static int32_t begin(void *context) { return goTransaction((uintptr_t)context, 0); }
static int32_t commit(void *context) { return goTransaction((uintptr_t)context, 1); }
static int32_t rollback(void *context) { return goTransaction((uintptr_t)context, 2); }

static bulk_rerun_plugin *attach(uintptr_t store, char **error) {
    bulk_rerun_host host = {sizeof host, BULK_RERUN_ABI_VERSION, 0, (void *)store, runs, spawn, begin, commit, rollback,
                            undo, find_operation, record_operation};
    return bulk_rerun_attach(&host, NULL, error);
}
*/
import "C"

import (
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/cgo"
	"unsafe"
)

// A job as the plugin wants to see it. What a new run of it needs, its command, goes as its parameters.
const runs = `SELECT json_object('id', CAST(id AS TEXT), 'task_name', name, 'params', command,
	'phase', CASE state WHEN 'queued' THEN 'pending' WHEN 'running' THEN 'running' ELSE 'ended' END,
	'end_reason', CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN state END,
	'exit_code', exit_code, 'created_at', created_at) FROM job`

// What the plugin asks for: each is given a JSON, and answers one; or what is answered where there is no row, if anything.
var questions = []struct{ statement, otherwise string }{
	// A job is started again: queueing it is all that it takes here.
	{`INSERT INTO job (name, command, again_of) SELECT name, command, id FROM job WHERE id = json_extract(?1, '$.id')
		RETURNING json_object('run_id', CAST(id AS TEXT))`, `{"skipped": "gone"}`},
	// A job is taken back that no worker has begun.
	{`UPDATE job SET state = 'cancelled' WHERE id = json_extract(?1, '$.id') AND state = 'queued'
		RETURNING '{"undone": true}'`, `{"undone": false}`},
	// What it did is looked for. It checks again what is asked for of a list.
	{`SELECT CASE WHEN json_extract(?1, '$.limit') THEN
			(SELECT json_object('operations', json_group_array(json(json)))
			 FROM (SELECT json FROM operation ORDER BY number DESC))
		ELSE (SELECT json FROM operation WHERE id = json_extract(?1, '$.operation_id')
			OR key = json_extract(?1, '$.idempotency_key')) END`, `{}`},
	// What it did is kept. A key is there once: a second operation with it is none.
	{`INSERT INTO operation (id, key, json)
		VALUES (json_extract(?1, '$.operation_id'), json_extract(?1, '$.idempotency_key'), ?1)
		ON CONFLICT (id) DO UPDATE SET json = excluded.json`, ``},
}

// query asks within the plugin's transaction, where there is one.
func (s *store) query(statement string, arguments ...any) (*sql.Rows, error) {
	if s.tx != nil {
		return s.tx.Query(statement, arguments...)
	}
	return s.db.Query(statement, arguments...)
}

// each hands over the texts that a statement answers, as long as they are wanted.
func (s *store) each(take func(string) C.int32_t, statement string, arguments ...any) (C.int32_t, error) {
	rows, err := s.query(statement, arguments...)
	if err != nil {
		return 1, err
	}
	defer rows.Close()
	for rows.Next() {
		var text sql.NullString
		if err := rows.Scan(&text); err != nil {
			return 1, err
		}
		if !text.Valid {
			continue
		}
		if status := take(text.String); status != 0 {
			return status, nil
		}
	}
	return 0, rows.Err()
}

// told is a callback's status; why it failed is said in the place of what it was to hand over.
func told(say func(string) C.int32_t, status C.int32_t, err error) C.int32_t {
	if err == nil {
		return status
	}
	text, _ := json.Marshal(map[string]string{"error": err.Error()})
	say(string(text))
	return 1
}

//export goRuns
func goRuns(handle C.uintptr_t, sink *C.bulk_rerun_sink) C.int32_t {
	emit := func(run string) C.int32_t {
		text := C.CString(run)
		defer C.free(unsafe.Pointer(text))
		return C.bulk_rerun_emit(sink, text)
	}
	status, err := cgo.Handle(handle).Value().(*store).each(emit, runs)
	return told(emit, status, err)
}

//export goReply
func goReply(handle C.uintptr_t, question C.int32_t, given *C.char, reply *C.bulk_rerun_reply) C.int32_t {
	asked, answered := questions[question], false
	set := func(answer string) C.int32_t {
		answered = true
		text := C.CString(answer)
		defer C.free(unsafe.Pointer(text))
		return C.bulk_rerun_reply_set(reply, text)
	}
	status, err := cgo.Handle(handle).Value().(*store).each(set, asked.statement, C.GoString(given))
	if err == nil && !answered && asked.otherwise != "" {
		status = set(asked.otherwise)
	}
	return told(set, status, err)
}

//export goTransaction
func goTransaction(handle C.uintptr_t, step C.int32_t) C.int32_t {
	store := cgo.Handle(handle).Value().(*store)
	var err error
	switch tx := store.tx; step {
	case 0:
		store.tx, err = store.db.Begin()
	case 1:
		store.tx, err = nil, tx.Commit()
	case 2:
		store.tx, err = nil, tx.Rollback()
	}
	if err != nil {
		return 1
	}
	return 0
}

// take is a text of the library's.
func take(text *C.char) string {
	defer C.bulk_rerun_string_free(text)
	return C.GoString(text)
}

// call asks a plugin over the store, and prints its answer.
func (s *store) call(question func(*C.bulk_rerun_plugin) *C.char) error {
	handle := cgo.NewHandle(s)
	defer handle.Delete()
	var failure *C.char
	plugin := C.attach(C.uintptr_t(handle), &failure)
	if plugin == nil {
		return errors.New(take(failure))
	}
	defer C.bulk_rerun_close(plugin)
	answer := question(plugin)
	isError := C.bulk_rerun_is_error(answer) != 0
	text := take(answer)
	if isError {
		return errors.New(text)
	}
	fmt.Println(text)
	return nil
}

func (s *store) rerun(request string) error {
	text := C.CString(request)
	defer C.free(unsafe.Pointer(text))
	return s.call(func(plugin *C.bulk_rerun_plugin) *C.char { return C.bulk_rerun_call(plugin, text) })
}

func (s *store) undo(operation string) error {
	request, _ := json.Marshal(map[string]string{"operation_id": operation})
	text := C.CString(string(request))
	defer C.free(unsafe.Pointer(text))
	return s.call(func(plugin *C.bulk_rerun_plugin) *C.char { return C.bulk_rerun_undo(plugin, text) })
}
