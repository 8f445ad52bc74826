//go:build v0.31

package main

import (
	"context"
	"errors"
)

// Resumable steps came later.
func stepwise(context.Context, int64) error { return errors.New("this version has no steps") }
