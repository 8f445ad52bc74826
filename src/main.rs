//! The `bulk-rerun` command line tool.

fn main() {}
