//go:build !v0.31

package main

import (
	"context"
	"fmt"

	"github.com/riverqueue/river"
)

func stepwise(ctx context.Context, id int64) error {
	river.ResumableStep(ctx, "first", nil, func(context.Context) error {
		return note(fmt.Sprint("the first step of ", id))
	})
	river.ResumableStep(ctx, "second", nil, func(context.Context) error {
		if err := needed(); err != nil {
			return err
		}
		return note(id)
	})
	return nil
}
