//! RTP clocks.

/// The RTP clock of one payload type: the number of the payload type in the upper 8 bits, nanoseconds per unit of
/// its timestamps in the lower 24, of which 7 are behind the point. 0 for none: no jitter is measured.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Clock(pub u32);

impl Clock {
    /// The clock of a payload type that ticks so many times a second. None below 7,630 Hz, where there is only
    /// text (RFC 4103).
    #[expect(clippy::cast_possible_truncation, reason = "bounded by the check")]
    pub const fn new(payload_type: u8, rate: u32) -> Clock {
        let Some(period) = (1_000_000_000_u64 << 7).checked_div(rate as u64) else {
            return Clock(0);
        };
        if period > 0xff_ffff {
            return Clock(0);
        }
        Clock((payload_type as u32) << 24 | period as u32)
    }

    /// Whether there is one.
    #[inline(always)]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// Whether there is one, and it is that of a payload type.
    #[inline(always)]
    pub const fn is_of(self, payload_type: u8) -> bool {
        self.is_known() && self.0 >> 24 == payload_type as u32
    }

    /// How many units so many nanoseconds last; a number of timestamps' width, which wraps as they do. 0 without a clock.
    #[expect(clippy::cast_possible_truncation, reason = "timestamps wrap")]
    pub const fn units(self, nanoseconds: u64) -> u32 {
        match (nanoseconds as u128 * 128).checked_div((self.0 & 0xff_ffff) as u128) {
            Some(units) => units as u32,
            None => 0,
        }
    }

    /// How long so many units last, nanoseconds.
    #[inline(always)]
    pub const fn duration(self, units: i32) -> i64 {
        (units as i64 * (self.0 & 0xff_ffff) as i64) >> 7
    }
}
