//! Codecs in shared libraries, which are loaded when they are needed first: without them there is less to choose from.

use std::ffi::c_void;
use std::ptr::NonNull;

/// Declares the functions of a library as a table that is filled once, or not at all. The library stays loaded.
macro_rules! library {
    (
        $(#[$documentation:meta])*
        struct $table:ident = $file:literal {
            $($function:ident: $symbol:literal fn($($argument:ty),*) $(-> $result:ty)?,)*
        }
    ) => {
        $(#[$documentation])*
        #[derive(Debug)]
        struct $table {
            $($function: unsafe extern "C" fn($($argument),*) $(-> $result)?,)*
        }

        impl $table {
            /// The table, if the library is there and has all of these functions.
            fn get() -> Option<&'static $table> {
                static TABLE: std::sync::LazyLock<Option<$table>> = std::sync::LazyLock::new(|| {
                    // SAFETY: these libraries do nothing when they are loaded.
                    let library = unsafe { libloading::Library::new($file) }.ok()?;
                    let table = $table {
                        $(
                            // SAFETY: the type is that of the library's header.
                            $function: *unsafe {
                                library.get::<unsafe extern "C" fn($($argument),*) $(-> $result)?>($symbol)
                            }.ok()?,
                        )*
                    };
                    std::mem::forget(library);
                    Some(table)
                });
                TABLE.as_ref()
            }
        }
    };
}

pub(super) use library;

/// What a library keeps of a stream that it encodes or decodes. It ends with its owner.
#[derive(Debug)]
pub(super) struct Handle {
    pointer: NonNull<c_void>,
    close: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: it belongs to nobody else, and the libraries have no state besides.
unsafe impl Send for Handle {}

impl Handle {
    /// Takes over what a library made. None if it had no memory for it.
    ///
    /// # Safety
    ///
    /// The pointer is null or came from the library just now, and `close` is the function of that library which ends it.
    pub(super) unsafe fn new(
        pointer: *mut c_void,
        close: unsafe extern "C" fn(*mut c_void),
    ) -> Option<Handle> {
        let pointer = NonNull::new(pointer)?;
        Some(Handle { pointer, close })
    }

    /// For a function of the library.
    pub(super) fn as_ptr(&mut self) -> *mut c_void {
        self.pointer.as_ptr()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library, and is used no more.
        unsafe { (self.close)(self.pointer.as_ptr()) }
    }
}
