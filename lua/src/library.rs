//! Finds the core, `libbulk_rerun.so`.

use std::env;
use std::ffi::{CStr, CString, OsString, c_void};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::OnceLock;

use bulk_rerun_lua_api::{ABI_VERSION, Core};

/// The core's file.
const FILE: &str = "libbulk_rerun.so";

/// What the core calls itself: the loader looks for this name, and knows a core that is loaded by it.
const SONAME: &CStr = c"libbulk_rerun.so.1";

/// Names the core's file where it is somewhere else.
const VARIABLE: &str = "BULK_RERUN_LIB";

/// The core, found once for the process.
///
/// # Errors
///
/// Where it was looked for, and what was wrong there.
pub(crate) fn core() -> Result<&'static Core, String> {
    static CORE: OnceLock<Core> = OnceLock::new();
    if let Some(core) = CORE.get() {
        return Ok(core);
    }
    // A failure is not kept: the library may be there the next time.
    let core = load()?;
    Ok(CORE.get_or_init(|| core))
}

fn load() -> Result<Core, String> {
    // Whoever has the core already shares it: beside this module there may be another copy.
    if let Some(core) = Library::of_process().map(Library::core).transpose()? {
        return Ok(core);
    }
    // Who sets the variable means it: another core in its place would be found out late.
    if let Some(named) = env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
        let not_found = |cause| {
            format!(
                "bulk_rerun's core is not where {VARIABLE} says; set it to the path of {FILE}, or unset it: {cause}"
            )
        };
        return Library::open(Path::new(&named)).map_err(not_found)?.core();
    }
    let mut tried = Vec::new();
    for place in places() {
        match Library::open(&place) {
            Ok(library) => return library.core(),
            Err(cause) => tried.push(format!("\n  {cause}")),
        }
    }
    Err(format!(
        "bulk_rerun's core, {FILE}, was not found. Put it beside this module, or set {VARIABLE} to its path. Tried:{}",
        tried.concat()
    ))
}

/// Where the core may be, in order: beside this module, where the loader looks.
fn places() -> Vec<PathBuf> {
    let beside = own_file().and_then(|file| Some(file.parent()?.join(FILE)));
    beside.into_iter().chain(SONAME.to_str().map(PathBuf::from)).collect()
}

/// This module's own file.
fn own_file() -> Option<PathBuf> {
    // SAFETY: a `Dl_info` is four pointers, for which zero is fine.
    let mut info: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: the address is this function's, and `info` is good for the call.
    let found = unsafe { libc::dladdr(own_file as *const c_void, &mut info) };
    if found == 0 || info.dli_fname.is_null() {
        return None;
    }
    // SAFETY: the loader's text ends with a zero byte.
    let file = unsafe { CStr::from_ptr(info.dli_fname) };
    let file = Path::new(OsString::from_vec(file.to_bytes().to_vec()).as_os_str()).to_owned();
    // The loader keeps the path as it was given, which may have been relative to another folder.
    Some(file.canonicalize().unwrap_or(file))
}

/// A library that stays loaded.
struct Library {
    handle: *mut c_void,
    /// What messages call it.
    name: String,
}

impl Library {
    /// The core that the process has already, if it has.
    fn of_process() -> Option<Library> {
        let global = Library { handle: libc::RTLD_DEFAULT, name: "this process".to_owned() };
        if global.find(c"bulk_rerun_abi_version").is_some() {
            return Some(global);
        }
        // SAFETY: the name ends with a zero byte, and nothing is loaded.
        let handle = unsafe { libc::dlopen(SONAME.as_ptr(), libc::RTLD_NOW | libc::RTLD_NOLOAD) };
        (!handle.is_null()).then(|| Library { handle, name: format!("the loaded {FILE}") })
    }

    fn open(path: &Path) -> Result<Library, String> {
        let name = CString::new(path.as_os_str().as_bytes())
            .map_err(|_| format!("{}: a path can't hold a zero byte", path.display()))?;
        // SAFETY: the name ends with a zero byte; the core has no initializers that ask anything of us.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if !handle.is_null() {
            return Ok(Library { handle, name: path.display().to_string() });
        }
        // SAFETY: no argument; the text is the loader's, for this thread, until its next call.
        let cause = unsafe { libc::dlerror() };
        if cause.is_null() {
            return Err(format!("{}: the loader gives no reason", path.display()));
        }
        // SAFETY: it is not NULL and ends with a zero byte.
        Err(unsafe { CStr::from_ptr(cause) }.to_string_lossy().into_owned())
    }

    fn find(&self, symbol: &CStr) -> Option<*const c_void> {
        // SAFETY: the handle is the loader's, and the name ends with a zero byte.
        let found = unsafe { libc::dlsym(self.handle, symbol.as_ptr()) };
        (!ptr::eq(found, ptr::null())).then_some(found.cast_const())
    }

    /// The core's functions; nothing is closed any more from here on.
    fn core(self) -> Result<Core, String> {
        let name = &self.name;
        let missing = |symbol| format!("{name} has no function {symbol}: it is not bulk_rerun's core");
        let version = self.find(c"bulk_rerun_abi_version").ok_or_else(|| missing("bulk_rerun_abi_version"))?;
        // SAFETY: the header declares it so, in every version.
        let version: unsafe extern "C" fn() -> u32 = unsafe { std::mem::transmute(version) };
        // SAFETY: it takes nothing and answers a number.
        let found = unsafe { version() };
        if found != ABI_VERSION {
            return Err(format!(
                "{name} has version {found} of the C ABI, this module speaks version {ABI_VERSION}: install the two \
                 from one release"
            ));
        }
        // SAFETY: the core says that it has this version of the C ABI, and no library is ever closed here.
        unsafe { Core::find(|symbol| self.find(symbol)) }.map_err(|symbol| {
            format!("{name} has no function {symbol}: it is older than this module; install the two from one release")
        })
    }
}
