// github.com/mattn/go-sqlite3: SQLite in C, compiled in. It gets along by loading the library as its extension.
package main

import (
	"context"
	"database/sql"
	"log"
	"os"
	"strings"

	"bulk_rerun_copies_test/host"

	"github.com/mattn/go-sqlite3"
)

func main() {
	host.Main("sqlite3", func(connection *sql.Conn) int {
		err := connection.Raw(func(driver any) error {
			return driver.(*sqlite3.SQLiteConn).LoadExtension(os.Args[4], "sqlite3_bulkrerun_init")
		})
		if err != nil {
			log.Fatal(err)
		}
		var answer string
		row := connection.QueryRowContext(context.Background(), "SELECT bulk_rerun(?)", host.Failed)
		if err := row.Scan(&answer); err != nil || strings.Count(answer, "run_id") != 2 {
			log.Fatal(answer, err)
		}
		return 2
	})
}
