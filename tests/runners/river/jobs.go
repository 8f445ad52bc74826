package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Flaky fails as long as what it needs is missing.
type Flaky struct {
	Note string `json:"note" river:"unique"`
}

// Steady always succeeds.
type Steady struct {
	Note string `json:"note"`
}

// Snoozing puts itself off as long as what it needs is missing.
type Snoozing struct{}

// Stepwise is done with its first step when its second one fails.
type Stepwise struct{}

// Slow lasts until it is cancelled.
type Slow struct{}

func (Flaky) Kind() string    { return "flaky" }
func (Steady) Kind() string   { return "steady" }
func (Snoozing) Kind() string { return "snoozing" }
func (Stepwise) Kind() string { return "stepwise" }
func (Slow) Kind() string     { return "slow" }

func argsOf(kind, text string) (river.JobArgs, error) {
	switch kind {
	case "flaky":
		var args Flaky
		return args, json.Unmarshal([]byte(text), &args)
	case "steady":
		var args Steady
		return args, json.Unmarshal([]byte(text), &args)
	case "snoozing":
		return Snoozing{}, nil
	case "stepwise":
		return Stepwise{}, nil
	case "slow":
		return Slow{}, nil
	}
	return nil, errors.New("no such kind: " + kind)
}

func workers() *river.Workers {
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[Flaky]) error {
		if err := needed(); err != nil {
			return err
		}
		return note(job.ID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[Steady]) error {
		return note(job.ID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(_ context.Context, job *river.Job[Snoozing]) error {
		if needed() != nil {
			return river.JobSnooze(time.Hour)
		}
		return note(job.ID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[Stepwise]) error {
		return stepwise(ctx, job.ID)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[Slow]) error {
		if needed() == nil {
			return errors.New("what is not missing is of no use either")
		}
		<-ctx.Done()
		return ctx.Err()
	}))
	return workers
}

func needed() error {
	_, err := os.Stat(os.Getenv("NEEDED"))
	return err
}

// note writes what was done to the file of notes.
func note(what any) error {
	notes, err := os.OpenFile(os.Getenv("NOTES"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer notes.Close()
	_, err = fmt.Fprintln(notes, what)
	return err
}

type later struct{}

func (later) NextRetry(*rivertype.JobRow) time.Time { return time.Now().Add(time.Hour) }
