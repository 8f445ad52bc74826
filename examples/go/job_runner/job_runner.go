// A small job runner that re-runs its failures with bulk_rerun. It keeps its jobs in SQLite, through a copy that is compiled
// into it (modernc.org/sqlite), and runs them with the shell. The plugin never opens the store: it asks for the jobs and has
// them started through callbacks (bulk_rerun.go), and has what it did kept beside them.
//
//	go build
//	./job_runner jobs.db add backup 'test -e /mnt/disk && tar -C /mnt/disk -cf backup.tar .'
//	./job_runner jobs.db work
//	./job_runner jobs.db list
//	./job_runner jobs.db rerun                         # each task's newest failure, once
//	./job_runner jobs.db rerun '{"match_all": true, "options": {"dry_run": true}}'
//	./job_runner jobs.db undo 01KB8Y4T7M3W5N6P8Q9R0S1T2V   # what no worker has begun, by the answer's operation_id
package main

import (
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"

	_ "modernc.org/sqlite"
)

const failed = `{"match_all": true, "filter": {"status": "failed"}}`

const schema = `
CREATE TABLE IF NOT EXISTS job (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, command TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'queued', exit_code INTEGER,
  created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')), again_of INTEGER);
CREATE TABLE IF NOT EXISTS operation (
  number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, key TEXT UNIQUE, json TEXT NOT NULL)`

// store is the runner's own, and the transaction that the plugin has begun in it, if any.
type store struct {
	db *sql.DB
	tx *sql.Tx
}

func open(path string) (*store, error) {
	// A transaction takes the write lock when it begins: else it may be too late for that.
	db, err := sql.Open("sqlite", path+"?_pragma=journal_mode(wal)&_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	_, err = db.Exec(schema)
	return &store{db: db}, err
}

// work runs what is queued, one job after the other.
func (s *store) work() error {
	const next = `UPDATE job SET state = 'running' WHERE id = (SELECT min(id) FROM job WHERE state = 'queued')
		RETURNING id, name, command`
	for {
		var id int64
		var name, command string
		err := s.db.QueryRow(next).Scan(&id, &name, &command)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		shell := exec.Command("sh", "-c", command)
		state := "succeeded"
		if err := shell.Run(); err != nil {
			state = "failed"
		}
		status := shell.ProcessState.ExitCode()
		fmt.Printf("%d %s: exit status %d\n", id, name, status)
		if _, err := s.db.Exec("UPDATE job SET state = ?, exit_code = ? WHERE id = ?", state, status, id); err != nil {
			return err
		}
	}
}

func (s *store) list() error {
	rows, err := s.db.Query("SELECT id, name, state, coalesce(exit_code, '-'), coalesce(again_of, '-') FROM job")
	if err != nil {
		return err
	}
	defer rows.Close()
	fmt.Println("id\tname\tstate\tstatus\tagain of")
	for rows.Next() {
		var id int64
		var name, state, status, againOf string
		if err := rows.Scan(&id, &name, &state, &status, &againOf); err != nil {
			return err
		}
		fmt.Printf("%d\t%s\t%s\t%s\t%s\n", id, name, state, status, againOf)
	}
	return rows.Err()
}

func run(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("usage: job_runner DB add NAME COMMAND | work | list | rerun [REQUEST] | undo OPERATION")
	}
	store, err := open(arguments[0])
	if err != nil {
		return err
	}
	defer store.db.Close()
	switch verb, rest := arguments[1], arguments[2:]; {
	case verb == "add" && len(rest) == 2:
		_, err = store.db.Exec("INSERT INTO job (name, command) VALUES (?, ?)", rest[0], rest[1])
	case verb == "work" && len(rest) == 0:
		err = store.work()
	case verb == "list" && len(rest) == 0:
		err = store.list()
	case verb == "rerun" && len(rest) == 0:
		err = store.rerun(failed)
	case verb == "rerun" && len(rest) == 1:
		err = store.rerun(rest[0])
	case verb == "undo" && len(rest) == 1:
		err = store.undo(rest[0])
	default:
		err = fmt.Errorf("%s: see the first lines of job_runner.go", verb)
	}
	return err
}

func main() {
	log.SetFlags(0)
	if err := run(os.Args[1:]); err != nil {
		log.Fatal("job_runner: ", err)
	}
}
