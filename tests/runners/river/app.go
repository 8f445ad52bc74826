// An application on River, with its tables in PostgreSQL or in SQLite.
//
//	app install [VERSION]     River's own migrations, all or up to one
//	app add KIND ARGS OPTIONS enqueues a job (both JSON), and prints its id
//	app cancel ID             River's own cancel
//	app retry ID              and its own retry
//	app pause QUEUE           and its own pause; resume QUEUE
//	app work OPTIONS          works until it is told to stop
//
// STORE is an address or a path; SCHEMA a schema of its own. The id of each job that succeeds goes to the file NOTES, and
// jobs that are flaky fail as long as the file NEEDED is missing.
package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	_ "modernc.org/sqlite"
)

// options are what a job is enqueued with.
type options struct {
	Priority int             `json:"priority"`
	Queue    string          `json:"queue"`
	Tags     []string        `json:"tags"`
	Metadata json.RawMessage `json:"metadata"`
	Unique   bool            `json:"unique"`
	Attempts int             `json:"max_attempts"`
}

// how is how a client works.
type how struct {
	Queues   []string `json:"queues"`
	PollMS   int      `json:"poll_ms"`
	Workers  int      `json:"workers"`
	Periodic string   `json:"periodic"`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2:]); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, command string, arguments []string) error {
	store := os.Getenv("STORE")
	if strings.HasPrefix(store, "postgres") {
		pool, err := pgxpool.New(ctx, store)
		if err != nil {
			return err
		}
		defer pool.Close()
		return do(ctx, riverpgxv5.New(pool), command, arguments)
	}
	pool, err := sql.Open("sqlite", "file:"+store+"?_pragma=journal_mode(WAL)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		return err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	return do(ctx, riversqlite.New(pool), command, arguments)
}

func do[Tx any](ctx context.Context, driver riverdriver.Driver[Tx], command string, arguments []string) error {
	config := &river.Config{Schema: os.Getenv("SCHEMA"), Workers: workers()}
	switch command {
	case "install":
		return install(ctx, driver, arguments)
	case "work":
		return work(ctx, driver, config, arguments[0])
	}
	client, err := river.NewClient(driver, config)
	if err != nil {
		return err
	}
	switch command {
	case "add":
		return add(ctx, client, arguments)
	case "pause":
		return client.QueuePause(ctx, arguments[0], nil)
	case "resume":
		return client.QueueResume(ctx, arguments[0], nil)
	}
	id, err := strconv.ParseInt(arguments[0], 10, 64)
	if err != nil {
		return err
	}
	switch command {
	case "cancel":
		_, err = client.JobCancel(ctx, id)
	case "retry":
		_, err = client.JobRetry(ctx, id)
	default:
		err = errors.New("no such command: " + command)
	}
	return err
}

func install[Tx any](ctx context.Context, driver riverdriver.Driver[Tx], arguments []string) error {
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: os.Getenv("SCHEMA")})
	if err != nil {
		return err
	}
	migration := &rivermigrate.MigrateOpts{}
	if len(arguments) > 0 {
		if migration.TargetVersion, err = strconv.Atoi(arguments[0]); err != nil {
			return err
		}
	}
	_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, migration)
	return err
}

func add[Tx any](ctx context.Context, client *river.Client[Tx], arguments []string) error {
	args, err := argsOf(arguments[0], arguments[1])
	if err != nil {
		return err
	}
	var given options
	if err := json.Unmarshal([]byte(arguments[2]), &given); err != nil {
		return err
	}
	insert := &river.InsertOpts{
		Priority: given.Priority, Queue: given.Queue, Tags: given.Tags, Metadata: given.Metadata,
		MaxAttempts: given.Attempts,
	}
	if given.Unique {
		insert.UniqueOpts = river.UniqueOpts{ByArgs: true}
	}
	inserted, err := client.Insert(ctx, args, insert)
	if err != nil {
		return err
	}
	fmt.Println(inserted.Job.ID)
	return nil
}

func work[Tx any](ctx context.Context, driver riverdriver.Driver[Tx], config *river.Config, wanted string) error {
	given := how{Queues: []string{river.QueueDefault}, PollMS: 1000, Workers: 4}
	if err := json.Unmarshal([]byte(wanted), &given); err != nil {
		return err
	}
	config.Queues = map[string]river.QueueConfig{}
	for _, queue := range given.Queues {
		config.Queues[queue] = river.QueueConfig{MaxWorkers: given.Workers}
	}
	config.FetchPollInterval = time.Duration(given.PollMS) * time.Millisecond
	config.FetchCooldown = min(config.FetchPollInterval, river.FetchCooldownDefault)
	// A failed attempt is tried again in an hour.
	config.RetryPolicy = later{}
	if given.Periodic != "" {
		every := func() (river.JobArgs, *river.InsertOpts) {
			args, _ := argsOf(given.Periodic, `{"note":"by itself"}`)
			return args, nil
		}
		start := &river.PeriodicJobOpts{RunOnStart: true, ID: "hourly"}
		config.PeriodicJobs = []*river.PeriodicJob{river.NewPeriodicJob(river.PeriodicInterval(time.Hour), every, start)}
	}
	client, err := river.NewClient(driver, config)
	if err != nil {
		return err
	}
	// Its own context: the jobs at work end before it stops.
	if err := client.Start(context.Background()); err != nil {
		return err
	}
	<-ctx.Done()
	return client.Stop(context.Background())
}
