//! The core, as the C ABI shows it (`include/bulk_rerun.h`).

use std::ffi::{CStr, c_char, c_void};

/// The version of the C ABI that this crate speaks.
pub const ABI_VERSION: u32 = 1;

/// The flag of a host that tells its new runs when they are due.
pub(crate) const HEEDS_DUE: u32 = 1;

/// An opaque object of the core's: a plugin, a cursor, a sink or a reply.
pub(crate) type Handle = *mut c_void;

/// `bulk_rerun_host`: the callbacks of a host that hands over its runs and starts them itself.
#[repr(C)]
pub struct Host {
    /// The size of this struct.
    pub struct_size: usize,
    /// [`ABI_VERSION`].
    pub abi_version: u32,
    /// 0.
    pub flags: u32,
    /// Handed to every callback.
    pub context: *mut c_void,
    /// Hands each run to the sink.
    pub runs: Option<unsafe extern "C" fn(*mut c_void, *const c_char, Handle) -> i32>,
    /// Starts a run again, and sets the reply.
    pub spawn: Option<unsafe extern "C" fn(*mut c_void, *const c_char, Handle) -> i32>,
    /// Begins a transaction.
    pub begin: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    /// Commits it.
    pub commit: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    /// Rolls it back.
    pub rollback: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    /// Takes a run back that nobody has begun, and sets the reply.
    pub undo: Option<unsafe extern "C" fn(*mut c_void, *const c_char, Handle) -> i32>,
    /// Finds an operation that was recorded, or a list of them, and sets the reply.
    pub find_operation: Option<unsafe extern "C" fn(*mut c_void, *const c_char, Handle) -> i32>,
    /// Keeps an operation.
    pub record_operation: Option<unsafe extern "C" fn(*mut c_void, *const c_char, Handle) -> i32>,
}

/// `bulk_rerun_text`: a text that is lent.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LentText {
    pub(crate) bytes: *const c_char,
    pub(crate) length: usize,
}

/// `bulk_rerun_run`: a run whose texts are lent.
#[repr(C)]
pub struct LentRun {
    pub(crate) id: LentText,
    pub(crate) task_name: LentText,
    pub(crate) phase: LentText,
    pub(crate) end_reason: LentText,
    pub(crate) triggered_by: LentText,
    pub(crate) created_at: LentText,
    pub(crate) params: LentText,
    pub(crate) unfit: LentText,
    pub(crate) has: u32,
    pub(crate) is_failure: i32,
    pub(crate) exit_code: i64,
    pub(crate) retry_attempt: i64,
}

/// The bits of [`LentRun::has`].
pub(crate) const HAS_EXIT_CODE: u32 = 1;
pub(crate) const HAS_RETRY_ATTEMPT: u32 = 2;
pub(crate) const HAS_IS_FAILURE: u32 = 4;

/// A function that answers a request's JSON with JSON in any case.
pub(crate) type Answer = unsafe extern "C" fn(Handle, *const c_char) -> *mut c_char;

/// A predicate over matched runs: 1 keeps, 0 drops, anything else fails the call.
pub(crate) type Keep = unsafe extern "C" fn(*mut c_void, *const LentRun) -> i32;

/// Declares the table of the C ABI's functions, and how it is filled by name.
macro_rules! functions {
    ($($field:ident = $symbol:literal: unsafe extern "C" fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// The functions of the C ABI, wherever they come from.
        pub struct Core {
            $(pub(crate) $field: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl Core {
            /// The core's functions, each found by its name.
            ///
            /// # Errors
            ///
            /// The name of the first function that `find` does not know.
            ///
            /// # Safety
            ///
            /// What `find` answers must be the function of that name as `include/bulk_rerun.h` declares it for
            /// [`ABI_VERSION`], and must stay loaded for as long as the process lives.
            pub unsafe fn find(find: impl Fn(&CStr) -> Option<*const c_void>) -> Result<Core, &'static str> {
                Ok(Core {
                    $($field: {
                        let found = find($symbol).filter(|found| !found.is_null());
                        let function = found.ok_or($symbol.to_str().unwrap_or_default())?;
                        // SAFETY: the caller vouches for its type, and a function's pointer is as large as any.
                        unsafe {
                            std::mem::transmute::<*const c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(function)
                        }
                    },)*
                })
            }
        }
    };
}

functions! {
    open = c"bulk_rerun_open": unsafe extern "C" fn(*const c_char, *mut *mut c_char) -> Handle;
    attach = c"bulk_rerun_attach": unsafe extern "C" fn(*const Host, *const c_char, *mut *mut c_char) -> Handle;
    close = c"bulk_rerun_close": unsafe extern "C" fn(Handle);
    call = c"bulk_rerun_call": unsafe extern "C" fn(Handle, *const c_char) -> *mut c_char;
    call_where_run = c"bulk_rerun_call_where_run": unsafe extern "C" fn(Handle, *const c_char, Option<Keep>, *mut c_void) -> *mut c_char;
    select = c"bulk_rerun_select": unsafe extern "C" fn(Handle, *const c_char, *mut *mut c_char) -> Handle;
    cursor_run = c"bulk_rerun_cursor_run": unsafe extern "C" fn(Handle, *mut LentRun, *mut *mut c_char) -> i32;
    cursor_close = c"bulk_rerun_cursor_close": unsafe extern "C" fn(Handle);
    operations = c"bulk_rerun_operations": unsafe extern "C" fn(Handle, *const c_char) -> *mut c_char;
    undo = c"bulk_rerun_undo": unsafe extern "C" fn(Handle, *const c_char) -> *mut c_char;
    emit = c"bulk_rerun_emit": unsafe extern "C" fn(Handle, *const c_char) -> i32;
    reply_set = c"bulk_rerun_reply_set": unsafe extern "C" fn(Handle, *const c_char) -> i32;
    string_free = c"bulk_rerun_string_free": unsafe extern "C" fn(*mut c_char);
    version = c"bulk_rerun_version": unsafe extern "C" fn() -> *const c_char;
}

impl Core {
    /// The core's version, such as `0.1.0`.
    pub(crate) fn version(&self) -> String {
        // SAFETY: the core answers static text.
        unsafe { CStr::from_ptr((self.version)()) }.to_string_lossy().into_owned()
    }

    /// A text of the core's, copied and freed; `None` for NULL.
    ///
    /// # Safety
    ///
    /// `text` is NULL, or the core has just answered it and nobody has freed it.
    pub(crate) unsafe fn take_text(&self, text: *mut c_char) -> Option<String> {
        if text.is_null() {
            return None;
        }
        // SAFETY: it is not NULL, and the core's texts end with a zero byte.
        let copy = unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned();
        // SAFETY: as the caller says, and it is not used again.
        unsafe { (self.string_free)(text) };
        Some(copy)
    }
}
