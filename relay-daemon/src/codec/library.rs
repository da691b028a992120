//! Codecs in shared libraries, which are loaded when they are needed first: without them there is less to choose from.

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
