//! GSM full rate (RFC 3551 section 4.5.8): 33 octets for 20 ms, by libgsm.

use std::ffi::{c_int, c_void};

use super::library::{Handle, library};
use super::{Decoder, Encoder, Format, Malformed};

const SAMPLES: usize = 160;
const OCTETS: usize = 33;

library! {
    /// libgsm.
    struct Library = "libgsm.so.1" {
        create: "gsm_create" fn() -> *mut c_void,
        destroy: "gsm_destroy" fn(*mut c_void),
        encode: "gsm_encode" fn(*mut c_void, *mut i16, *mut u8),
        decode: "gsm_decode" fn(*mut c_void, *mut u8, *mut i16) -> c_int,
    }
}

/// GSM, one way: a state serves to encode or to decode.
#[derive(Debug)]
pub(super) struct Gsm {
    library: &'static Library,
    state: Handle,
}

/// Whether the library is there.
pub(super) fn is_available() -> bool {
    Library::get().is_some()
}

impl Gsm {
    /// None without the library, or without memory.
    pub(super) fn new() -> Option<Gsm> {
        let library = Library::get()?;
        // SAFETY: takes nothing, and both functions belong together.
        let state = unsafe { Handle::new((library.create)(), library.destroy) }?;
        Some(Gsm { library, state })
    }
}

impl Decoder for Gsm {
    fn format(&self) -> Format {
        Format::mono(8000)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        let (frames, rest) = payload.as_chunks::<OCTETS>();
        if !rest.is_empty() {
            return Err(Malformed);
        }
        let begin = samples.len();
        for frame in frames {
            let (mut frame, mut decoded) = (*frame, [0; SAMPLES]);
            // SAFETY: it reads 33 octets and writes 160 samples.
            let result = unsafe {
                (self.library.decode)(self.state.as_ptr(), frame.as_mut_ptr(), decoded.as_mut_ptr())
            };
            if result != 0 {
                samples.truncate(begin);
                return Err(Malformed);
            }
            samples.extend(decoded);
        }
        Ok(())
    }
}

impl Encoder for Gsm {
    fn format(&self) -> Format {
        Format::mono(8000)
    }

    fn frame(&self) -> usize {
        SAMPLES
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        for frame in samples.as_chunks::<SAMPLES>().0 {
            let (mut frame, mut encoded) = (*frame, [0; OCTETS]);
            // SAFETY: it reads 160 samples and writes 33 octets.
            unsafe { (self.library.encode)(self.state.as_ptr(), frame.as_mut_ptr(), encoded.as_mut_ptr()) };
            payload.extend(encoded);
        }
    }
}
