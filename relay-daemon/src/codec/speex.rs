//! Speex (RFC 5574) in its three rates, by libspeex.

mod frames;

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use super::library::{Handle, library};
use super::{Decoder, Encoder, Format, Malformed};

/// A packet has no more frames than these.
const MOST_FRAMES: usize = 6;

/// Requests (`speex.h`).
const SET_BIT_RATE: c_int = 18;

library! {
    /// libspeex.
    struct Library = "libspeex.so.1" {
        mode: "speex_lib_get_mode" fn(c_int) -> *const c_void,
        encoder: "speex_encoder_init" fn(*const c_void) -> *mut c_void,
        close_encoder: "speex_encoder_destroy" fn(*mut c_void),
        control_encoder: "speex_encoder_ctl" fn(*mut c_void, c_int, *mut c_void) -> c_int,
        encode: "speex_encode_int" fn(*mut c_void, *mut i16, *mut Bits) -> c_int,
        decoder: "speex_decoder_init" fn(*const c_void) -> *mut c_void,
        close_decoder: "speex_decoder_destroy" fn(*mut c_void),
        decode: "speex_decode_int" fn(*mut c_void, *mut Bits, *mut i16) -> c_int,
        bits: "speex_bits_init" fn(*mut Bits),
        close_bits: "speex_bits_destroy" fn(*mut Bits),
        reset_bits: "speex_bits_reset" fn(*mut Bits),
        read_bits: "speex_bits_read_from" fn(*mut Bits, *const c_char, c_int),
        end_bits: "speex_bits_insert_terminator" fn(*mut Bits),
        write_bits: "speex_bits_write" fn(*mut Bits, *mut c_char, c_int) -> c_int,
        remaining_bits: "speex_bits_remaining" fn(*mut Bits) -> c_int,
    }
}

/// A buffer of bits: the library's structure is smaller.
#[derive(Debug, Default)]
#[repr(C, align(16))]
struct Bits([u64; 16]);

/// What both ways have in common.
#[derive(Debug)]
struct State {
    library: &'static Library,
    rate: u32,
    state: Handle,
    bits: Box<Bits>,
}

/// Makes Speex of samples.
#[derive(Debug)]
pub(super) struct SpeexEncoder(State);

/// Makes samples of Speex.
#[derive(Debug)]
pub(super) struct SpeexDecoder(State);

/// Whether the library is there.
pub(super) fn is_available() -> bool {
    Library::get().is_some()
}

/// The number of the mode for a rate, in Hz.
fn mode(rate: u32) -> Option<c_int> {
    match rate {
        8000 => Some(0),
        16_000 => Some(1),
        32_000 => Some(2),
        _ => None,
    }
}

impl State {
    fn new(rate: u32, make: impl FnOnce(&Library, *const c_void) -> Option<Handle>) -> Option<State> {
        let library = Library::get()?;
        // SAFETY: takes the number of a mode that there is.
        let mode = unsafe { (library.mode)(mode(rate)?) };
        let state = make(library, mode)?;
        let mut bits = Box::<Bits>::default();
        // SAFETY: it is larger than the library's structure, and does not move.
        unsafe { (library.bits)(&raw mut *bits) };
        Some(State {
            library,
            rate,
            state,
            bits,
        })
    }

    /// Samples of a frame.
    fn frame(&self) -> usize {
        Format::mono(self.rate).values(20)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // SAFETY: it came from the library, and is used no more.
        unsafe { (self.library.close_bits)(&raw mut *self.bits) }
    }
}

impl SpeexEncoder {
    /// None without the library, or at another rate. In bits a second.
    pub(super) fn new(rate: u32, mut bit_rate: i32) -> Option<SpeexEncoder> {
        // SAFETY: takes a mode, and both functions belong together.
        let mut state = State::new(rate, |library, mode| unsafe {
            Handle::new((library.encoder)(mode), library.close_encoder)
        })?;
        let value = (&raw mut bit_rate).cast();
        // SAFETY: the value of this request is an int.
        unsafe { (state.library.control_encoder)(state.state.as_ptr(), SET_BIT_RATE, value) };
        Some(SpeexEncoder(state))
    }
}

impl SpeexDecoder {
    /// None without the library, or at another rate.
    pub(super) fn new(rate: u32) -> Option<SpeexDecoder> {
        // SAFETY: takes a mode, and both functions belong together.
        let state = State::new(rate, |library, mode| unsafe {
            Handle::new((library.decoder)(mode), library.close_decoder)
        })?;
        Some(SpeexDecoder(state))
    }
}

impl Decoder for SpeexDecoder {
    fn format(&self) -> Format {
        Format::mono(self.0.rate)
    }

    fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), Malformed> {
        let frame = self.0.frame();
        let length = c_int::try_from(payload.len()).map_err(|_| Malformed)?;
        if !frames::are_valid(payload, self.0.rate) {
            return Err(Malformed);
        }
        let State {
            library, state, bits, ..
        } = &mut self.0;
        let bits = &raw mut **bits;
        let begin = samples.len();
        // SAFETY: it copies the octets.
        unsafe { (library.read_bits)(bits, payload.as_ptr().cast(), length) };
        for _ in 0..MOST_FRAMES {
            let place = samples.len();
            samples.resize(place + frame, 0);
            // SAFETY: it writes a frame of samples.
            let result = unsafe { (library.decode)(state.as_ptr(), bits, samples[place..].as_mut_ptr()) };
            // SAFETY: only reads.
            let left = unsafe { (library.remaining_bits)(bits) };
            if result != 0 || left < 0 {
                samples.truncate(place);
                break;
            }
        }
        if samples.len() == begin {
            Err(Malformed)
        } else {
            Ok(())
        }
    }

    fn conceal(&mut self, values: usize, samples: &mut Vec<i16>) -> bool {
        let frame = self.0.frame();
        for _ in 0..values.div_ceil(frame) {
            let place = samples.len();
            samples.resize(place + frame, 0);
            // SAFETY: without bits the frame is lost; it writes a frame of samples.
            unsafe {
                (self.0.library.decode)(self.0.state.as_ptr(), null_mut(), samples[place..].as_mut_ptr())
            };
        }
        true
    }
}

impl Encoder for SpeexEncoder {
    fn format(&self) -> Format {
        Format::mono(self.0.rate)
    }

    fn frame(&self) -> usize {
        self.0.frame()
    }

    fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) {
        const MOST_OCTETS: usize = 1000;
        let frame = self.0.frame();
        let State {
            library, state, bits, ..
        } = &mut self.0;
        let bits = &raw mut **bits;
        // SAFETY: forgets what was written before.
        unsafe { (library.reset_bits)(bits) };
        // The encoder writes into its input.
        let mut input = [0; 640];
        for samples in samples.chunks_exact(frame) {
            input[..frame].copy_from_slice(samples);
            // SAFETY: it reads a frame of samples, of which the largest has 640.
            unsafe { (library.encode)(state.as_ptr(), input.as_mut_ptr(), bits) };
        }
        let mut octets = [0; MOST_OCTETS];
        // SAFETY: it writes no more octets than there is room for, and says how many.
        let length = unsafe {
            (library.end_bits)(bits);
            (library.write_bits)(bits, octets.as_mut_ptr().cast(), 1000)
        };
        let length = usize::try_from(length).unwrap_or(0).min(MOST_OCTETS);
        payload.extend_from_slice(&octets[..length]);
    }
}
