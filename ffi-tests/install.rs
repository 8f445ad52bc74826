//! `make install`: what is where, and that a program compiled against it runs.

use std::path::Path;
use std::process::Command;

use libtest_mimic::{Failed, Trial};

use crate::library::{self, Installed, run};

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("make install and uninstall with DESTDIR and LIBDIR", staged),
        Trial::test("only our symbols are exported, and nothing but libc is needed", symbols),
    ]
}

fn staged() -> Result<(), Failed> {
    Installed::get();
    let stage = tempfile::tempdir()?;
    let lib = "/usr/lib/somewhere";
    let make = |target: &str| {
        let mut make = library::make();
        let destination = format!("DESTDIR={}", stage.path().display());
        run(make.args(["--quiet", target, "PREFIX=/usr", &format!("LIBDIR={lib}"), &destination]));
    };
    make("install");
    let at = |path: &str| stage.path().join(path.trim_start_matches('/'));
    for path in [&format!("{lib}/libbulk_rerun.so.1"), &format!("{lib}/libbulk_rerun.so"), "/usr/include/bulk_rerun.h"]
    {
        assert!(at(path).is_file(), "{path} is not installed");
    }

    // What pkg-config says is true of the installed system, not of the stage.
    let pkg_config = |arguments: &[&str]| {
        let folder = at(&format!("{lib}/pkgconfig"));
        run(Command::new("pkg-config").env("PKG_CONFIG_PATH", folder).args(arguments).arg("bulk_rerun"))
    };
    assert_eq!(pkg_config(&["--modversion"]).trim(), env!("CARGO_PKG_VERSION"));
    assert_eq!(pkg_config(&["--variable=libdir"]).trim(), lib);
    assert_eq!(
        pkg_config(&["--cflags", "--libs", "--keep-system-cflags"]).trim(),
        format!("-I/usr/include -L{lib} -lbulk_rerun")
    );

    make("uninstall");
    let left = run(Command::new("find").arg(stage.path()).args(["-type", "f", "-o", "-type", "l"]));
    assert_eq!(left, "", "uninstall leaves nothing");
    Ok(())
}

fn symbols() -> Result<(), Failed> {
    let library = Installed::get().lib().join("libbulk_rerun.so.1");
    let dynamic = run(Command::new("readelf").arg("-d").arg(&library));
    assert!(dynamic.contains("Library soname: [libbulk_rerun.so.1]") && dynamic.contains("NODELETE"), "{dynamic}");
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let allowed = ["libc.so", "libgcc_s.so", "ld-linux"];
    assert!(needed.iter().all(|line| allowed.iter().any(|name| line.contains(name))), "{needed:#?}");

    // The tests' hook is in no library that is shipped.
    let bytes = std::fs::read(&library)?;
    let hook = b"BULK_RERUN_TEST_PANIC";
    assert!(!bytes.windows(hook.len()).any(|window| window == hook), "the library can be made to panic");

    let exported = run(Command::new("nm").args(["-D", "--defined-only", "--format=just-symbols"]).arg(&library));
    let mut declared = functions_of(&Installed::get().prefix.join("include/bulk_rerun.h"));
    let mut exported: Vec<&str> = exported.lines().filter(|name| !name.starts_with("sqlite3_bulkrerun_")).collect();
    declared.sort_unstable();
    exported.sort_unstable();
    assert_eq!(exported, declared, "the header declares what the library exports");
    Ok(())
}

/// The functions that the header declares, as the compiler reads it.
fn functions_of(header: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(header).unwrap();
    let declarations = text.lines().filter(|line| !line.starts_with([' ', '/', '#', '}']) && line.contains('('));
    let name = |line: &str| {
        let before = line.split('(').next()?;
        before.rsplit([' ', '*']).next().map(str::to_owned)
    };
    declarations.filter_map(name).collect()
}
