//! What the C ABI adds to a call: the shared library, loaded as a host loads it, beside the core in Rust.
//!
//! Both are asked the same of the same host, which is behind callbacks: a host with a store would
//! compare the SQLite of this program with the system's, which the shared library uses.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr;

use bulk_rerun::host::HostError;
use bulk_rerun::host::callbacks::{HostCallbacks, Reply};
use bulk_rerun::{Config, Plugin};
use libloading::Library;

use super::library::Installed;
use super::measure::{Contender, take_turns, time};
use super::report::{Report, Row};

/// So many calls are timed at once: one alone takes no longer than looking at the clock.
const CALLS: u32 = 1_000;

const RUN: &CStr = c"{\"id\": \"a\", \"task_name\": \"backup\", \"end_reason\": \"failed\", \"params\": \"{}\"}";
const REPLY: &CStr = c"{\"run_id\": \"b\"}";
const REQUEST: &CStr = c"{\"match_all\": true, \"filter\": {\"status\": \"failed\"}}";

pub fn bench(report: &mut Report) {
    eprintln!("one call: the core and the C ABI");
    let core = Plugin::attach(Box::new(OneRun), &Config::new("")).expect("a plugin");
    let c = CPlugin::attach();
    let request = REQUEST.to_bytes();
    assert_eq!(core.call(request).expect("an answer"), c.call().to_string_lossy(), "both do the same");
    let contenders: Vec<Contender<'_>> = vec![
        Box::new(|| time(|| (0..CALLS).for_each(|_| drop(core.call(request)))) / CALLS),
        Box::new(|| time(|| (0..CALLS).for_each(|_| drop(c.call()))) / CALLS),
    ];
    let times = take_turns(contenders);
    report.add(&Row {
        name: "one call: the C ABI, and the core".to_owned(),
        limit: Some(times.median(0)),
        ours: Some(times.median(1)),
        ours_to_limit: Some(times.ratio(1, 0)),
        goal: "6: ours − limit ≤ 0.015 ms".to_owned(),
        ..Row::default()
    });
}

/// A host with one run, in Rust.
struct OneRun;

impl HostCallbacks for OneRun {
    fn runs(&self, _: &str, emit: &mut dyn FnMut(&str) -> Result<(), HostError>) -> Result<(), HostError> {
        emit(&RUN.to_string_lossy())
    }

    fn spawn(&self, _: &str) -> Result<Reply, HostError> {
        Ok(Reply::Started("b".to_owned()))
    }
}

/// As the header has it.
#[repr(C)]
struct Host {
    struct_size: usize,
    abi_version: u32,
    flags: u32,
    context: *const CPlugin,
    runs: extern "C" fn(*const CPlugin, *const c_char, *mut c_void) -> i32,
    spawn: extern "C" fn(*const CPlugin, *const c_char, *mut c_void) -> i32,
    transaction: [*const c_void; 3],
}

type Take = unsafe extern "C" fn(*mut c_void, *const c_char) -> i32;

/// The same host, and a plugin over it, behind the shared library's functions.
struct CPlugin {
    plugin: *mut c_void,
    call: unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_char,
    string_free: unsafe extern "C" fn(*mut c_char),
    emit: Take,
    reply_set: Take,
}

impl CPlugin {
    fn attach() -> Box<CPlugin> {
        // SAFETY: our own library, which does nothing when it is loaded. It is never unloaded.
        let library = unsafe { Library::new(Installed::get().lib().join("libbulk_rerun.so.1")) };
        let library = Box::leak(Box::new(library.expect("the shared library")));
        // SAFETY: each type is what the header says of the function.
        let mut c = unsafe {
            Box::new(CPlugin {
                plugin: ptr::null_mut(),
                call: *library.get("bulk_rerun_call").expect("a function"),
                string_free: *library.get("bulk_rerun_string_free").expect("a function"),
                emit: *library.get("bulk_rerun_emit").expect("a function"),
                reply_set: *library.get("bulk_rerun_reply_set").expect("a function"),
            })
        };
        let host = Host {
            struct_size: size_of::<Host>(),
            abi_version: 1,
            flags: 0,
            context: &raw const *c,
            runs,
            spawn,
            transaction: [ptr::null(); 3],
        };
        type Attach = unsafe extern "C" fn(*const Host, *const c_char, *mut *mut c_char) -> *mut c_void;
        // SAFETY: the type and the arguments are what the header says; `c` stays where it is.
        c.plugin = unsafe {
            let attach = library.get::<Attach>("bulk_rerun_attach").expect("a function");
            attach(&raw const host, ptr::null(), ptr::null_mut())
        };
        assert!(!c.plugin.is_null(), "a plugin");
        c
    }

    fn call(&self) -> CString {
        // SAFETY: the plugin is open, and the answer is a text of the library's, freed with its own function.
        unsafe {
            let text = (self.call)(self.plugin, REQUEST.as_ptr());
            let answer = CStr::from_ptr(text).to_owned();
            (self.string_free)(text);
            answer
        }
    }
}

extern "C" fn runs(c: *const CPlugin, _: *const c_char, sink: *mut c_void) -> i32 {
    // SAFETY: the context is the box that `attach` made, and the sink is good until this returns.
    unsafe { ((*c).emit)(sink, RUN.as_ptr()) }
}

extern "C" fn spawn(c: *const CPlugin, _: *const c_char, reply: *mut c_void) -> i32 {
    // SAFETY: as above.
    unsafe { ((*c).reply_set)(reply, REPLY.as_ptr()) }
}
