//! Handles of C's that are numbers and no addresses. One that was closed, or that is another thing's, is told from one that
//! is open without looking at what it points to; and what one thread closes stays for as long as another is at work on it.

use std::collections::BTreeMap;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is open of one kind, by its number.
pub(super) struct Handles<T>(Mutex<BTreeMap<usize, Arc<T>>>);

impl<T> Handles<T> {
    pub(super) const fn new() -> Handles<T> {
        Handles(Mutex::new(BTreeMap::new()))
    }

    /// A handle that C has from now on.
    pub(super) fn give(&self, value: T) -> *mut T {
        let number = next_number();
        self.open().insert(number, Arc::new(value));
        ptr::without_provenance_mut(number)
    }

    /// What a handle stands for, if it is open.
    pub(super) fn find(&self, handle: *mut T) -> Option<Arc<T>> {
        self.open().get(&handle.addr()).cloned()
    }

    /// Closes a handle, if it is open.
    pub(super) fn take(&self, handle: *mut T) -> Option<Arc<T>> {
        self.open().remove(&handle.addr())
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<usize, Arc<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Each one is given once. They begin and go on as addresses might: some languages look at a pointer (Go's refuses the lowest
/// ones), and none looks behind one that is opaque.
pub(super) fn next_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0x10_0000);
    NEXT.fetch_add(align_of::<u128>(), Ordering::Relaxed)
}
