// modernc.org/sqlite: SQLite in Go, which can't load an extension.
package main

import (
	"bulk_rerun_copies_test/host"

	_ "modernc.org/sqlite"
)

func main() {
	host.Main("sqlite", nil)
}
