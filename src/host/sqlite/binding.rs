//! Binds to a copy of SQLite that this process already has: none is compiled in.
//!
//! A second copy would lose the host's locks, since POSIX file locks belong to the process
//! (<https://www.sqlite.org/howtocorrupt.html>, "Multiple copies of SQLite linked into the same
//! application"). So we take the copy that the process has, or that it loads us into. That it has
//! *a* copy is no proof that the store was opened by *this* one: see [`super::presence`].

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, mem, ptr};

use rusqlite::Connection;
use rusqlite::ffi::{self, sqlite3, sqlite3_api_routines};

use super::loaders::Loader;
use super::pool;
use super::presence::file_id;
use crate::host::HostError;

/// SQLite's library as Debian and most others call it.
const LIBRARY: &CStr = if cfg!(target_os = "macos") { c"libsqlite3.dylib" } else { c"libsqlite3.so.0" };

/// The process may have other copies beside it.
pub(super) const IS_THE_ONLY_COPY: bool = false;

static BOUND: Mutex<Bound> = Mutex::new(Bound::Nowhere);

/// The copy in use.
enum Bound {
    Nowhere,
    /// One that the process has. It gives way to a loader, while nothing needs it.
    Found(CopyId),
    /// The one that loaded us as its extension. What is open in the process may still be another copy's.
    Loader(CopyId),
}

/// Which copy it is: the address of one of its functions.
#[derive(Clone, Copy, PartialEq, Eq)]
struct CopyId(usize);

/// Binds to the copy that the process has, if that was not done yet.
///
/// # Errors
///
/// There is none, or it is too old.
pub(super) fn bind() -> Result<(), HostError> {
    let mut bound = bound();
    if let Bound::Nowhere = *bound {
        let api = find()?;
        // SAFETY: `find` has it from SQLite itself, whose table of functions lives as long as it does.
        *bound = Bound::Found(unsafe { hand_over(api) }?);
    }
    Ok(())
}

/// Binds to the copy that loads us as its extension.
///
/// # Errors
///
/// It is too old, or another one is in use already.
///
/// # Safety
///
/// `api` is what SQLite hands an extension's entry point, or NULL.
pub(crate) unsafe fn bind_to_the_loader(api: *mut sqlite3_api_routines) -> Result<(), HostError> {
    let mut bound = bound();
    // SAFETY: as the caller promises.
    let loader = unsafe { check(api) }?;
    // SAFETY: as the caller promises.
    let hand_over = || unsafe { hand_over(api) };
    match *bound {
        Bound::Loader(copy) if copy == loader => return Ok(()),
        Bound::Loader(copy) => return Err(another_copy(copy)),
        Bound::Found(copy) if copy == loader => {}
        Bound::Found(copy) => drop(pool::while_unused(hand_over).ok_or_else(|| another_copy(copy))??),
        Bound::Nowhere => drop(hand_over()?),
    }
    *bound = Bound::Loader(loader);
    Ok(())
}

/// The host surely uses this copy for the main database of a connection that loads us, for as long as that is open.
/// `None` where nobody can tell which file it has open: it has none, or another one has taken its place.
pub(crate) fn trust_the_file_of(connection: &Connection) -> Option<Loader> {
    let file = connection.path().and_then(|path| fs::metadata(path).ok())?;
    let mut has_moved: c_int = 1;
    // SAFETY: the connection is open, and it is asked for what goes into an `int`.
    let code = unsafe {
        let has_moved = (&raw mut has_moved).cast::<c_void>();
        ffi::sqlite3_file_control(connection.handle(), c"main".as_ptr(), ffi::SQLITE_FCNTL_HAS_MOVED, has_moved)
    };
    (code == ffi::SQLITE_OK && has_moved == 0).then(|| Loader::new(file_id(&file)))
}

/// Where the copy is, for a person.
pub(super) fn library() -> String {
    match *bound() {
        Bound::Nowhere => "none yet".to_owned(),
        Bound::Found(copy) | Bound::Loader(copy) => copy.library(),
    }
}

fn bound() -> MutexGuard<'static, Bound> {
    BOUND.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CopyId {
    fn library(self) -> String {
        object_of(self.0 as *const c_void).unwrap_or_else(|| "the process itself".to_owned())
    }
}

fn another_copy(bound: CopyId) -> HostError {
    HostError::Unusable(format!(
        "libbulk_rerun is already in use with another copy of SQLite in this process ({}); load it into that one, or \
         into no other before",
        bound.library()
    ))
}

/// Which copy this is, if it is new enough.
///
/// # Safety
///
/// `api` is an SQLite's table of functions, or NULL.
unsafe fn check(api: *mut sqlite3_api_routines) -> Result<CopyId, HostError> {
    // SAFETY: not NULL, it is a table of functions. This one is in it since 3.5, far before its end, so
    // it can be read whatever the version.
    let version_number = (!api.is_null()).then(|| unsafe { (*api).libversion_number }).flatten();
    let Some(version_number) = version_number else {
        return Err(HostError::Unusable(
            "this process's SQLite was built without extensions, so libbulk_rerun can't use it".to_owned(),
        ));
    };
    // SAFETY: it takes nothing and reads a constant.
    let version = unsafe { version_number() };
    if version < ffi::SQLITE_VERSION_NUMBER {
        return Err(HostError::Unusable(format!(
            "this process's SQLite is version {}, too old for libbulk_rerun, which needs {} or newer",
            dotted(version),
            dotted(ffi::SQLITE_VERSION_NUMBER)
        )));
    }
    Ok(CopyId(version_number as usize))
}

/// Hands the functions to rusqlite.
///
/// # Safety
///
/// `api` is an SQLite's table of functions, or NULL.
unsafe fn hand_over(api: *mut sqlite3_api_routines) -> Result<CopyId, HostError> {
    // SAFETY: as the caller promises.
    let copy = unsafe { check(api) }?;
    keep_loaded(copy);
    // SAFETY: it is new enough, so its table is at least as long as the type says. rusqlite takes the functions out of it,
    // and has nothing to do with the table itself after that.
    match unsafe { ffi::rusqlite_extension_init2(&mut with_stand_ins(api.read())) } {
        Ok(()) => Ok(copy),
        Err(error) => Err(HostError::Failed { doing: "binding to the process's SQLite", source: Box::new(error) }),
    }
}

/// SQLite may be built without these (better-sqlite3's is). rusqlite calls them whenever it closes a connection, to take
/// off what was never set, and panics if they aren't there. Without progress handlers a search can't be cancelled.
fn with_stand_ins(mut api: sqlite3_api_routines) -> sqlite3_api_routines {
    type Progress = unsafe extern "C" fn(*mut c_void) -> c_int;
    type Authorizer =
        unsafe extern "C" fn(*mut c_void, c_int, *const c_char, *const c_char, *const c_char, *const c_char) -> c_int;

    unsafe extern "C" fn no_progress(_: *mut sqlite3, _: c_int, _: Option<Progress>, _: *mut c_void) {}
    unsafe extern "C" fn no_authorizer(_: *mut sqlite3, _: Option<Authorizer>, _: *mut c_void) -> c_int {
        ffi::SQLITE_OK
    }

    api.progress_handler.get_or_insert(no_progress);
    api.set_authorizer.get_or_insert(no_authorizer);
    api
}

/// Asks SQLite for its table of functions. It hands it to an extension alone, so we are one for a moment.
fn find() -> Result<*mut sqlite3_api_routines, HostError> {
    static HANDED: AtomicPtr<sqlite3_api_routines> = AtomicPtr::new(ptr::null_mut());

    /// Another thread that opens a connection at this moment calls it too, which does no harm.
    unsafe extern "C" fn entry(_: *mut sqlite3, _: *mut *mut c_char, api: *mut sqlite3_api_routines) -> c_int {
        HANDED.store(api, Ordering::Release);
        ffi::SQLITE_OK
    }

    let functions = Functions::find()?;
    let entry: unsafe extern "C" fn(*mut sqlite3, *mut *mut c_char, *mut sqlite3_api_routines) -> c_int = entry;
    let mut connection = ptr::null_mut();
    // SAFETY: the functions are SQLite's own, called as its manual says. An entry point has the type of
    // `entry`; it is registered as a function of no arguments, which SQLite turns back. The connection is
    // to nothing but memory, and `sqlite3_close` takes NULL as well.
    unsafe {
        let entry = mem::transmute::<*const c_void, AutoExtension>(entry as *const c_void);
        (functions.auto_extension)(entry);
        let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE;
        (functions.open_v2)(c":memory:".as_ptr(), &mut connection, flags, ptr::null());
        (functions.cancel_auto_extension)(entry);
        (functions.close)(connection);
    }
    Ok(HANDED.load(Ordering::Acquire))
}

type AutoExtension = unsafe extern "C" fn();
type Register = unsafe extern "C" fn(AutoExtension) -> c_int;
type Open = unsafe extern "C" fn(*const c_char, *mut *mut sqlite3, c_int, *const c_char) -> c_int;
type Close = unsafe extern "C" fn(*mut sqlite3) -> c_int;

/// What is asked of SQLite before its table of functions is known.
struct Functions {
    auto_extension: Register,
    cancel_auto_extension: Register,
    open_v2: Open,
    close: Close,
}

impl Functions {
    /// Of the copy that the process shows to everybody, else of the system's, which it may have loaded
    /// for itself alone, or not at all yet.
    fn find() -> Result<Functions, HostError> {
        if let Some(functions) = Functions::among(libc::RTLD_DEFAULT) {
            return Ok(functions);
        }
        [libc::RTLD_NOLOAD, 0]
            .into_iter()
            .find_map(|how| {
                // SAFETY: the name is a C string; SQLite does nothing by being loaded. It is never unloaded.
                let handle = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW | how) };
                if handle.is_null() { None } else { Functions::among(handle) }
            })
            .ok_or_else(|| {
                HostError::Unusable(format!(
                    "there is no SQLite in this process, and {} can't be loaded; install it (on Debian: \
                     apt-get install libsqlite3-0), or load libbulk_rerun as an extension of the SQLite you have",
                    LIBRARY.to_string_lossy()
                ))
            })
    }

    /// All of them, if they are there and of one copy.
    fn among(handle: *mut c_void) -> Option<Functions> {
        let find = |name: &CStr| {
            // SAFETY: the handle is open, and the name is a C string.
            let found = unsafe { libc::dlsym(handle, name.as_ptr()) };
            (!found.is_null()).then_some(found)
        };
        let found = [
            find(c"sqlite3_auto_extension")?,
            find(c"sqlite3_cancel_auto_extension")?,
            find(c"sqlite3_open_v2")?,
            find(c"sqlite3_close")?,
        ];
        let object = object_of(found[0]);
        if found.iter().any(|&function| object_of(function) != object) {
            return None;
        }
        let [auto_extension, cancel_auto_extension, open_v2, close] = found;
        // SAFETY: the names are SQLite's, and these are the types that its manual gives to them.
        unsafe {
            Some(Functions {
                auto_extension: mem::transmute::<*mut c_void, Register>(auto_extension),
                cancel_auto_extension: mem::transmute::<*mut c_void, Register>(cancel_auto_extension),
                open_v2: mem::transmute::<*mut c_void, Open>(open_v2),
                close: mem::transmute::<*mut c_void, Close>(close),
            })
        }
    }
}

/// The file of the program or library that an address is in.
fn object_of(address: *const c_void) -> Option<String> {
    let mut info = libc::Dl_info {
        dli_fname: ptr::null(),
        dli_fbase: ptr::null_mut(),
        dli_sname: ptr::null(),
        dli_saddr: ptr::null_mut(),
    };
    // SAFETY: any address may be asked for; a name that comes back is a C string of the loader's.
    unsafe {
        let found = libc::dladdr(address, &mut info) != 0 && !info.dli_fname.is_null();
        found.then(|| CStr::from_ptr(info.dli_fname).to_string_lossy().into_owned())
    }
}

/// A copy that a host unloads would leave us with pointers into nothing.
fn keep_loaded(copy: CopyId) {
    if let Some(object) = object_of(copy.0 as *const c_void).and_then(|object| std::ffi::CString::new(object).ok()) {
        // SAFETY: the name is a C string. The library is loaded already, or it is the program, which stays
        // anyway; so nothing is loaded, and the handle is left open on purpose.
        unsafe { libc::dlopen(object.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE) };
    }
}

/// SQLite's version numbers are 3 digits a part: 3040001 is 3.40.1.
fn dotted(version: c_int) -> String {
    format!("{}.{}.{}", version / 1_000_000, version / 1_000 % 1_000, version % 1_000)
}
