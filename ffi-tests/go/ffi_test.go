package ffi

import (
	"errors"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
)

const failed = `{"match_all": true, "filter": {"status": "failed"}}`

var stores []string

// The stores are the program's arguments, which are none of go test's.
func TestMain(m *testing.M) {
	stores = os.Args[1:]
	os.Args = os.Args[:1]
	os.Exit(m.Run())
}

func TestStores(t *testing.T) {
	if len(stores) != 2 {
		t.Fatal("two stores are needed")
	}
	if _, err := Open("/nowhere/runs.db"); err == nil || !strings.Contains(err.Error(), `"status":500`) {
		t.Fatal(err)
	}
	for _, store := range stores {
		plugin, err := Open(store)
		if err != nil {
			t.Fatal(err)
		}
		answer := plugin.CallWhere(failed, func(run Run) bool { return run.TaskName == "report" })
		if strings.Count(answer, "run_id") != 1 || !strings.Contains(answer, `"rerun_of":"b1"`) {
			t.Fatal(answer)
		}
		var group sync.WaitGroup
		for i := 0; i < 8; i++ {
			group.Add(1)
			go func() {
				defer group.Done()
				if answer := plugin.Call(failed); strings.Count(answer, "run_id") != 2 {
					t.Error(answer)
				}
			}()
		}
		group.Wait()
		stop := make(chan struct{})
		if answer, isError := plugin.CallUnless(failed, stop); isError || strings.Count(answer, "run_id") != 2 {
			t.Fatal(answer)
		}
		close(stop)
		// Sooner or later: it may be spawning by the time that it is told.
		for answer, isError := "", false; !isError; {
			answer, isError = plugin.CallUnless(failed, stop)
			if isError && !strings.Contains(answer, "was cancelled") {
				t.Fatal(answer)
			}
		}
		if ids := plugin.Select(failed); !reflect.DeepEqual(ids, []string{"a1", "a2", "b1"}) {
			t.Fatal(ids)
		}
		plugin.Close()
	}
}

type memory struct{ runs []Run }

func (m *memory) Runs() []Run { return m.runs }

func (m *memory) Spawn(source Run) (string, error) {
	if len(m.runs) > 1 {
		return "", errors.New("out of paper")
	}
	source.ID = "n1"
	m.runs = append(m.runs, source)
	return source.ID, nil
}

func TestHost(t *testing.T) {
	params := `{"n":  1}`
	host := &memory{runs: []Run{{ID: "a1", TaskName: "backup", Params: &params}}}
	plugin := Attach(host)
	defer plugin.Close()
	if answer := plugin.Call(`{"ids": ["a1"]}`); !strings.Contains(answer, `"run_id":"n1"`) {
		t.Fatal(answer)
	}
	if answer := plugin.Call(`{"ids": ["a1"]}`); !strings.Contains(answer, "callback failed: out of paper") {
		t.Fatal(answer)
	}
	if len(host.runs) != 2 || *host.runs[1].Params != params {
		t.Fatal(host.runs)
	}
}
