//! How the shared library of the C ABI is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_set = |variable: &str, value: &str| std::env::var(variable).is_ok_and(|found| found == value);
    if !is_set("CARGO_FEATURE_CAPI", "1") || !is_set("CARGO_CFG_TARGET_OS", "linux") {
        return;
    }
    for argument in [
        // The number is `bulk_rerun_abi_version`: another one would be another library.
        "-soname,libbulk_rerun.so.1",
        // What is missing is said here, and not when a host loads the library.
        "-z,defs",
        // Never unloaded: SQLite keeps pointers to our function for as long as the process lives.
        "-z,nodelete",
    ] {
        println!("cargo::rustc-cdylib-link-arg=-Wl,{argument}");
    }
}
