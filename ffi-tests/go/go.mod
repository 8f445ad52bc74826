module bulk_rerun_ffi_test

go 1.19
