#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| bulk_rerun_fuzz::targets::requests::run(input));
