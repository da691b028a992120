//! G729 (RFC 3551 section 4.5.6): 10 octets for 10 ms, and 2 for the silence that may follow the last ones, by libbcg729.

use std::ffi::c_void;

use super::library::{Handle, library};
use super::{Decoder, Encoder, Format, Malformed};

const SAMPLES: usize = 80;
const OCTETS: usize = 10;

/// What describes silence (annex B).
const SILENCE: usize = 2;

library! {
    /// libbcg729.
    struct Library = "libbcg729.so.0" {
        encoder: "initBcg729EncoderChannel" fn(u8) -> *mut c_void,
        close_encoder: "closeBcg729EncoderChannel" fn(*mut c_void),
        encode: "bcg729Encoder" fn(*mut c_void, *const i16, *mut u8, *mut u8),
        decoder: "initBcg729DecoderChannel" fn() -> *mut c_void,
        close_decoder: "closeBcg729DecoderChannel" fn(*mut c_void),
        decode: "bcg729Decoder" fn(*mut c_void, *const u8, u8, u8, u8, u8, *mut i16),
    }
}

/// Makes G729 of samples, without silence of its own (annex B).
#[derive(Debug)]
pub(super) struct G729Encoder {
    library: &'static Library,
    state: Handle,
}

/// Makes samples of G729.
#[derive(Debug)]
pub(super) struct G729Decoder {
    library: &'static Library,
    state: Handle,
}

/// Whether the library is there.
pub(super) fn is_available() -> bool {
    Library::get().is_some()
}

impl G729Encoder {
    /// None without the library, or without memory.
    pub(super) fn new() -> Option<G729Encoder> {
        let library = Library::get()?;
        // SAFETY: takes whether silence is detected; both functions belong together.
        let state = unsafe { Handle::new((library.encoder)(0), library.close_encoder) }?;
        Some(G729Encoder { library, state })
    }
}

impl G729Decoder {
    /// None without the library, or without memory.
    pub(super) fn new() -> Option<G729Decoder> {
        let library = Library::get()?;
        // SAFETY: takes nothing, and both functions belong together.
        let state = unsafe { Handle::new((library.decoder)(), library.close_decoder) }?;
        Some(G729Decoder { library, state })
    }

    /// A frame, one of silence, or one that is lost.
    fn decode_frame(&mut self, frame: Option<&[u8]>, samples: &mut Vec<i16>) {
        let mut decoded = [0; SAMPLES];
        let octets = frame.unwrap_or(&[0; OCTETS]);
        let is_silence = u8::from(octets.len() == SILENCE);
        let length = if is_silence == 1 { 2 } else { 10 };
        // SAFETY: it reads as many octets as `length` says, and writes 80 samples.
        unsafe {
            (self.library.decode)(
                self.state.as_ptr(),
                octets.as_ptr(),
                length,
                frame.is_none().into(),
                is_silence,
                0,
                decoded.as_mut_ptr(),
            );
        }
        samples.extend(decoded);
    }
}

impl Decoder for G729Decoder {
    fn format(&self) -> Format {
        Format::mono(8000)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        let (frames, rest) = payload.as_chunks::<OCTETS>();
        if !matches!(rest.len(), 0 | SILENCE) {
            return Err(Malformed);
        }
        for frame in frames {
            self.decode_frame(Some(frame), samples);
        }
        if !rest.is_empty() {
            self.decode_frame(Some(rest), samples);
        }
        Ok(())
    }

    fn conceal(&mut self, values: usize, samples: &mut Vec<i16>) -> bool {
        for _ in 0..values.div_ceil(SAMPLES) {
            self.decode_frame(None, samples);
        }
        true
    }
}

impl Encoder for G729Encoder {
    fn format(&self) -> Format {
        Format::mono(8000)
    }

    fn frame(&self) -> usize {
        SAMPLES
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        for frame in samples.as_chunks::<SAMPLES>().0 {
            // The library writes no more than a frame; it has room for more.
            let (mut encoded, mut length) = ([0; 2 * OCTETS], 0);
            // SAFETY: it reads 80 samples and writes up to 10 octets, and how many.
            unsafe {
                (self.library.encode)(
                    self.state.as_ptr(),
                    frame.as_ptr(),
                    encoded.as_mut_ptr(),
                    &raw mut length,
                );
            }
            payload.extend(encoded.iter().take(length.into()));
        }
    }
}
