//! The process's default plugin, where the server that the environment names accepts and says nothing.

mod support;

use std::env;
use std::ffi::{CStr, CString, c_char};
use std::net::TcpListener;
use std::ptr;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use bulk_rerun::capi;
use serde_json::Value;
use support::{Row, Store};

fn answer(request: &CStr) -> Value {
    // SAFETY: the request is a C string, and so is the answer, which is freed once.
    unsafe {
        let answer: *mut c_char = capi::bulk_rerun(request.as_ptr());
        let read = serde_json::from_slice(CStr::from_ptr(answer).to_bytes());
        capi::bulk_rerun_string_free(answer);
        read.unwrap()
    }
}

#[test]
fn a_silent_server_blocks_nobody_but_those_who_wait_for_it() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://nobody@{}/nothing?sslmode=disable", silent.local_addr().unwrap());
    // SAFETY: this is the only test of its process, and no other thread of it reads the environment yet.
    unsafe { env::set_var("BULK_RERUN_STORE", url) };
    let dry_run = c"{\"match_all\": true, \"options\": {\"dry_run\": true}}";

    let waiting = thread::spawn(move || answer(dry_run));
    let (connection, _) = silent.accept().unwrap();

    let store = Store::new().holding(&[Row::failed("a", "backup", "2026-04-15T12:00:00Z")]);
    let config = CString::new(format!(r#"{{"store": "{}"}}"#, store.path_str())).unwrap();
    let (tell, told) = channel();
    thread::spawn(move || {
        // SAFETY: the config is a C string, and no error is asked for.
        let status = unsafe { capi::bulk_rerun_configure(config.as_ptr(), ptr::null_mut()) };
        tell.send((status, answer(dry_run))).unwrap();
    });
    let (status, configured) = told.recv_timeout(Duration::from_secs(20)).expect("nobody waits for the silent server");
    assert_eq!((status, &configured["matched"]), (0, &1.into()), "{configured}");

    // Once it is known that the server is none, the one that waited has what was configured meanwhile.
    drop(connection);
    assert_eq!(waiting.join().unwrap()["matched"], 1);
}
