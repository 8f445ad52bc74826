// Re-runs each task that has failed.
//
//	go build -o rerun rerun.go
//	BULK_RERUN_STORE=runs.db ./rerun
package main

/*
#cgo pkg-config: bulk_rerun
#include <bulk_rerun.h>
#include <stdlib.h>
*/
import "C"

import (
	"fmt"
	"log"
	"unsafe"
)

func main() {
	request := C.CString(`{"match_all": true, "filter": {"status": "failed"}}`)
	defer C.free(unsafe.Pointer(request))
	answer := C.bulk_rerun(request)
	defer C.bulk_rerun_string_free(answer)
	if C.bulk_rerun_is_error(answer) != 0 {
		log.Fatal(C.GoString(answer))
	}
	fmt.Println(C.GoString(answer))
}
