//! When a flight is sent again.
//!
//! OpenSSL has a timer that it reads from the real clock, and looks at whenever it is asked for anything. A callback sets how
//! long it runs; the association's own schedule is the same, on the time that it is told. With the real clock as that time
//! both end together. In virtual time OpenSSL would never be ready: in tests its timer is set as short as it takes, and
//! its end awaited, a millisecond.

use std::ffi::{c_int, c_long, c_uint};
use std::ptr;
use std::time::Duration;

use foreign_types::ForeignTypeRef;
use openssl::ssl::SslRef;

/// How long a first answer is waited for; twice as long each further time (RFC 6347 section 4.2.4.1). Less than the
/// second recommended there, as somebody waits for the phone to be answered.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(400);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(4);

/// `DTLS_CTRL_GET_TIMEOUT` and `DTLS_CTRL_HANDLE_TIMEOUT`.
const GET_TIMEOUT: c_int = 73;
const HANDLE_TIMEOUT: c_int = 74;

/// How long a flight is waited for that was sent so often again.
pub(super) fn wait(tries: u32) -> Duration {
    LONGEST_WAIT.min(FIRST_WAIT * (1 << tries.min(8)))
}

/// Has OpenSSL wait as long as we do.
pub(super) fn install(ssl: &mut SslRef) {
    // SAFETY: the pointer is that of a live SSL, and the callback a plain function without state.
    unsafe { DTLS_set_timer_cb(ssl.as_ptr(), Some(next)) };
}

/// Whether OpenSSL waits for an answer.
pub(super) fn is_running(ssl: &SslRef) -> bool {
    let mut left = libc::timeval {
        tv_sec: 0,
        tv_usec: 0,
    };
    // SAFETY: the pointer is that of a live SSL, and the command writes a timeval.
    unsafe { openssl_sys::SSL_ctrl(ssl.as_ptr(), GET_TIMEOUT, 0, ptr::from_mut(&mut left).cast()) == 1 }
}

/// What came of a timeout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// The flight was sent again.
    Yes,
    /// OpenSSL's clock says that it is not yet time.
    NotYet,
    /// It was sent too often.
    TooOften,
}

/// Has OpenSSL send the flight again. Nobody else may use the SSL meanwhile.
pub(super) fn expire(ssl: &SslRef) -> Expired {
    loop {
        // SAFETY: the pointer is that of a live SSL; the command takes no argument.
        let result: c_long =
            unsafe { openssl_sys::SSL_ctrl(ssl.as_ptr(), HANDLE_TIMEOUT, 0, ptr::null_mut()) };
        match result {
            1.. => return Expired::Yes,
            0 if cfg!(test) && is_running(ssl) => std::hint::spin_loop(),
            0 => return Expired::NotYet,
            _ => return Expired::TooOften,
        }
    }
}

/// Microseconds that OpenSSL is to wait after it has waited so many.
extern "C" fn next(_: *mut openssl_sys::SSL, waited: c_uint) -> c_uint {
    // Less than 15 ms OpenSSL takes for none at all.
    const SHORTEST: c_uint = 16_000;
    let micros = |duration: Duration| c_uint::try_from(duration.as_micros()).unwrap_or(c_uint::MAX);
    if cfg!(test) {
        SHORTEST
    } else if waited == 0 {
        micros(FIRST_WAIT)
    } else {
        waited.saturating_mul(2).min(micros(LONGEST_WAIT))
    }
}

unsafe extern "C" {
    fn DTLS_set_timer_cb(
        ssl: *mut openssl_sys::SSL,
        callback: Option<extern "C" fn(*mut openssl_sys::SSL, c_uint) -> c_uint>,
    );
}
