//! What the packets of one SSRC say about the network, counted alike by both datapaths (RFC 3550 appendices A.1, A.3
//! and A.8).
//!
//! Sequence numbers are extended by the nearest way round, as for an SRTP index (RFC 3711 section 3.3.1). There is no
//! probation: whoever counts has checked the source.
//!
//! Jitter is kept in time rather than in units of a clock, so that it outlasts a change of codec. Userspace measures it
//! for every packet, the XDP program for one of 32 ([`is_measured`]): the exact time costs as much as all the rest of
//! the counting, and what it is compared with lies in another line of memory.

use crate::packet::{RtpHeader, sequence_ahead};
use crate::slot::{Clock, SsrcCounters};

/// A larger step ahead is no loss: the sender has started over (RFC 3550 appendix A.1).
const MAX_DROPOUT: i16 = 3000;

/// A packet that is later than this is not late: the sender has started over (RFC 3550 appendix A.1).
const MAX_MISORDER: i16 = 100;

/// The XDP program measures the jitter of one packet of so many: of 20 ms each, three in two seconds.
const SAMPLED: u16 = 32;

/// Number of bits of [`SsrcCounters::seen`].
const WINDOW: u32 = u32::BITS;

/// How a sequence number stands to those that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Right after the highest.
    Next,
    /// Ahead of all others, but not of the highest alone.
    Ahead,
    /// Behind the highest.
    Late,
    /// It had come before. Not told for packets that are later than 31 others: they count as late.
    Duplicate,
    /// Far from all others. The next one of its kind is a new start.
    Astray,
}

/// The sequence numbers of an SSRC, as far as they have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// [`SsrcCounters::base_sequence`].
    pub base: u32,
    /// [`SsrcCounters::highest_sequence`].
    pub highest: u32,
    /// [`SsrcCounters::seen`].
    pub seen: u32,
    /// [`SsrcCounters::restart_sequence`].
    pub restart: u16,
}

impl Sequence {
    /// Nothing has come yet; this will be the first.
    #[inline(always)]
    pub const fn before(first: u16) -> Sequence {
        let base = first as u32;
        Sequence {
            base,
            highest: base.wrapping_sub(1),
            seen: 0,
            restart: 0,
        }
    }

    /// A packet comes. Afterwards `highest - base + 1` packets should have come.
    #[inline(always)]
    #[expect(clippy::cast_sign_loss, reason = "signs are looked at first")]
    pub const fn take(&mut self, number: u16) -> Place {
        if let Some(place) = advance(&mut self.highest, &mut self.seen, number) {
            return place;
        }
        let ahead = sequence_ahead(self.highest, number);
        if -MAX_MISORDER < ahead && ahead <= 0 {
            return self.take_late(-ahead as u32);
        }
        // What lies in between is no loss: one packet has come, and one should have.
        self.base = self.base.wrapping_sub(1);
        if number != self.restart {
            self.restart = number.wrapping_add(1);
            return Place::Astray;
        }
        let step = ahead as i32 as u32;
        self.base = self.base.wrapping_add(step);
        self.highest = self.highest.wrapping_add(step);
        self.seen = 1;
        Place::Ahead
    }

    #[inline(always)]
    const fn take_late(&mut self, behind: u32) -> Place {
        let bit = if behind < WINDOW { 1 << behind } else { 0 };
        if self.seen & bit != 0 {
            return Place::Duplicate;
        }
        self.seen |= bit;
        // The first one to come need not have been the first one sent.
        if behind > self.highest.wrapping_sub(self.base) {
            self.base = self.highest.wrapping_sub(behind);
        }
        Place::Late
    }
}

/// A packet comes that is ahead of all others, as most are: [`Sequence::take`] for who has only these two at hand. None,
/// and nothing done, if it is not.
#[inline(always)]
#[expect(clippy::cast_sign_loss, reason = "signs are looked at first")]
pub const fn advance(highest: &mut u32, seen: &mut u32, number: u16) -> Option<Place> {
    let ahead = sequence_ahead(*highest, number);
    if ahead <= 0 || ahead >= MAX_DROPOUT {
        return None;
    }
    *highest = highest.wrapping_add(ahead as u32);
    *seen = shifted(*seen, ahead as u32);
    Some(if ahead == 1 { Place::Next } else { Place::Ahead })
}

#[inline(always)]
const fn shifted(seen: u32, by: u32) -> u32 {
    if by < WINDOW { seen << by | 1 } else { 1 }
}

impl Place {
    /// Whether no packet with a higher sequence number has come.
    #[inline(always)]
    pub const fn is_newest(self) -> bool {
        matches!(self, Place::Next | Place::Ahead)
    }
}

/// Whether the XDP program measures the jitter of a packet against the one before it.
#[inline(always)]
pub const fn is_measured(number: u16) -> bool {
    number % SAMPLED == 1
}

/// Whether the XDP program takes note of a packet's time, exactly: for itself or for the next one.
#[inline(always)]
pub const fn is_timed(number: u16) -> bool {
    number % SAMPLED <= 1
}

/// The jitter after one more packet, from the time since the packet before it (nanoseconds) and from the difference of
/// their timestamps: RFC 3550 appendix A.8, in units of 64 ns. Both packets must be of the clock's payload type.
///
/// Packets with the same timestamp (of a video frame, of a telephone event) were not sampled at different times, and
/// after a pause or a jump of more than four seconds there is nothing to compare: they do not count.
#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "bounded by the check"
)]
pub const fn jitter(before: u32, clock: Clock, elapsed: u64, units: i32) -> u32 {
    const LONGEST: u64 = 1 << 32;
    let media = clock.duration(units);
    if units == 0 || elapsed >= LONGEST || media.unsigned_abs() >= LONGEST {
        return before;
    }
    // In units of 1.024 us, and `before` in sixteenths of that.
    let difference = ((elapsed as i64 - media).unsigned_abs() >> 10) as u32;
    before
        .wrapping_add(difference)
        .wrapping_sub(before.wrapping_add(8) >> 4)
}

impl SsrcCounters {
    /// The sequence numbers so far.
    pub const fn sequence(&self) -> Sequence {
        Sequence {
            base: self.base_sequence,
            highest: self.highest_sequence,
            seen: self.seen,
            restart: self.restart_sequence,
        }
    }

    /// Replaces the sequence numbers.
    pub const fn set_sequence(&mut self, sequence: Sequence) {
        self.base_sequence = sequence.base;
        self.highest_sequence = sequence.highest;
        self.seen = sequence.seen;
        self.restart_sequence = sequence.restart;
    }

    /// Counts a sequence number.
    pub const fn take(&mut self, number: u16) -> Place {
        let mut sequence = self.sequence();
        let place = sequence.take(number);
        self.set_sequence(sequence);
        match place {
            Place::Late => self.reordered = self.reordered.wrapping_add(1),
            Place::Duplicate => self.duplicates = self.duplicates.wrapping_add(1),
            Place::Next | Place::Ahead | Place::Astray => {}
        }
        place
    }

    /// Takes note of a packet that arrives now (nanoseconds of CLOCK_MONOTONIC). The jitter is measured between packets
    /// whose sequence numbers follow each other, if the clock is that of both.
    pub const fn arrive(&mut self, header: &RtpHeader, place: Place, now: u64, clock: Clock) {
        self.last_arrival = now;
        self.time(header, place, now, clock);
    }

    /// The same as the XDP program does it, but for [`SsrcCounters::last_arrival`].
    pub const fn arrive_in_kernel(&mut self, header: &RtpHeader, place: Place, now: u64, clock: Clock) {
        if is_timed(header.sequence) {
            let measured = is_measured(header.sequence);
            self.time(header, place, now, if measured { clock } else { Clock(0) });
        }
    }

    const fn time(&mut self, header: &RtpHeader, place: Place, now: u64, clock: Clock) {
        if matches!(place, Place::Next)
            && clock.is_of(header.payload_type)
            && clock.is_of(self.payload_type)
            && self.timed_at != 0
        {
            let elapsed = now.wrapping_sub(self.timed_at);
            let units = header.timestamp.wrapping_sub(self.last_timestamp).cast_signed();
            self.jitter = jitter(self.jitter, clock, elapsed, units);
        }
        if place.is_newest() {
            self.timed_at = now;
            self.last_timestamp = header.timestamp;
            self.payload_type = header.payload_type;
        }
    }

    /// Packets that should have come (RFC 3550 appendix A.3).
    pub const fn expected(&self) -> u32 {
        if self.counted_by == 0 {
            return 0;
        }
        self.highest_sequence
            .wrapping_sub(self.base_sequence)
            .wrapping_add(1)
    }

    /// Packets that did not come, of those that should have: negative if some came twice (RFC 3550 appendix A.3).
    pub const fn lost(&self) -> i64 {
        if self.counted_by == 0 {
            return 0;
        }
        (self.expected() as i64).wrapping_sub(self.packets.cast_signed())
    }

    /// The interarrival jitter, nanoseconds.
    pub const fn jitter_ns(&self) -> u64 {
        self.jitter as u64 * 64
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "numbers that wrap, or are small")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PCMA: u8 = 8;
    const MS: u64 = 1_000_000;

    fn header(sequence: u16, timestamp: u32) -> RtpHeader {
        RtpHeader {
            marker: false,
            payload_type: PCMA,
            sequence,
            timestamp,
            ssrc: 7,
        }
    }

    /// An entry that nothing is counted in yet.
    fn before(first: u16) -> SsrcCounters {
        let mut counters = SsrcCounters {
            ssrc: 7,
            counted_by: 1,
            ..SsrcCounters::default()
        };
        counters.set_sequence(Sequence::before(first));
        counters
    }

    fn count(counters: &mut SsrcCounters, header: &RtpHeader, now: u64, clock: Clock) {
        counters.packets += 1;
        let place = counters.take(header.sequence);
        counters.arrive(header, place, now, clock);
    }

    /// Counts packets with these sequence numbers.
    fn counted(sequence: impl IntoIterator<Item = u16>) -> SsrcCounters {
        let mut sequence = sequence.into_iter().peekable();
        let mut counters = before(*sequence.peek().unwrap());
        for number in sequence {
            count(&mut counters, &header(number, 0), 1, Clock::default());
        }
        counters
    }

    /// Lost, reordered, duplicates, extended highest sequence number.
    fn found(counters: &SsrcCounters) -> (i64, u32, u32, u32) {
        let (reordered, duplicates) = (counters.reordered, counters.duplicates);
        (counters.lost(), reordered, duplicates, counters.highest_sequence)
    }

    #[test]
    fn a_whole_stream_has_no_faults() {
        let counters = counted((0..200_000_u32).map(|number| (number + 65_000) as u16));
        assert_eq!(found(&counters), (0, 0, 0, 264_999));
        assert_eq!(counters.packets, 200_000);
        assert_eq!(found(&counted([0])), (0, 0, 0, 0));
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(found(&counted([1, 2, 4, 6])), (2, 0, 0, 6));
        assert_eq!(found(&counted([1, 2, 4, 3, 5])), (0, 1, 0, 5));
        // As in RFC 3550, a duplicate makes up for a loss.
        assert_eq!(found(&counted([1, 2, 2, 3, 5, 1])), (-1, 0, 2, 5));
        // A late packet is a duplicate the second time.
        assert_eq!(found(&counted([1, 3, 2, 2])), (-1, 1, 1, 3));
        // Over the wrap.
        assert_eq!(found(&counted([65_534, 0, 65_535, 1, 3])), (1, 1, 0, 65_539));
        // Too late to be told from a duplicate, but not too late to count.
        let late = [0].into_iter().chain(2..60).chain([1]);
        assert_eq!(found(&counted(late)), (0, 1, 0, 59));
        // Earlier than the first one.
        assert_eq!(found(&counted([5, 4, 6, 2])), (1, 2, 0, 6));
    }

    #[test]
    fn a_sender_that_starts_over_has_lost_nothing() {
        let restart = |to: u16| (0..100).chain(to..to + 100);
        for to in [5000, 40_000, 65_000] {
            let counters = counted(restart(to));
            assert_eq!((counters.lost(), counters.reordered), (0, 0), "to {to}");
            assert_eq!(counters.highest_sequence as u16, to + 99);
        }
        // One packet alone starts nothing.
        let stray = (0..100).chain([20_000]).chain(100..200);
        assert_eq!(found(&counted(stray)), (0, 0, 0, 199));
    }

    #[test]
    fn clocks_are_what_they_are_made_of() {
        for (rate, units, nanoseconds) in [
            (8000, 160, 20 * MS),
            (48_000, 960, 20 * MS),
            (90_000, 3000, 33_333_333),
        ] {
            let clock = Clock::new(PCMA, rate);
            assert!(clock.is_of(PCMA) && !clock.is_of(0));
            let found = clock.duration(units).cast_unsigned();
            assert!(found.abs_diff(nanoseconds) < 100, "{rate}: {found}");
            assert!((clock.duration(-units) + clock.duration(units)).abs() <= 1);
            // An hour is a whole number of units, but a period is not quite one of nanoseconds.
            let hour = clock.units(3_600_000_000_000);
            assert!(hour.abs_diff(rate * 3600) <= rate / 5, "{rate}: {hour}");
        }
        assert_eq!(Clock::new(PCMA, 0), Clock(0));
        assert_eq!(Clock::new(PCMA, 1000), Clock(0));
        assert!(!Clock(0).is_of(0));
        assert_eq!(Clock(0).units(1_000_000), 0);
    }

    #[test]
    fn jitter_is_measured_where_it_can_be() {
        let clock = Clock::new(PCMA, 8000);
        // Every other packet comes 8 ms late: D is 8 ms, always.
        let mut counters = before(0);
        for number in 0..400_u16 {
            let arrival = MS + u64::from(number) * 20 * MS + u64::from(number % 2) * 8 * MS;
            count(
                &mut counters,
                &header(number, u32::from(number) * 160),
                arrival,
                clock,
            );
        }
        let found = counters.jitter_ns();
        assert!(found.abs_diff(8 * MS) < MS / 100, "{found}");

        // Of another payload type, at the same time, after a pause, after a jump: nothing changes.
        let last = counters.last_arrival;
        let mut other = header(400, 64_160);
        other.payload_type = 101;
        count(&mut counters, &other, last + 20 * MS, clock);
        count(&mut counters, &header(401, 64_160), last + 90 * MS, clock);
        count(&mut counters, &header(402, 64_160), last + 95 * MS, clock);
        count(&mut counters, &header(403, 64_320), last + 5000 * MS, clock);
        count(&mut counters, &header(404, 0x8000_0000), last + 5020 * MS, clock);
        assert_eq!(counters.jitter_ns(), found);
        // After a loss, or too late.
        count(&mut counters, &header(406, 0x8000_0140), last + 5120 * MS, clock);
        count(&mut counters, &header(405, 0x8000_00a0), last + 5123 * MS, clock);
        assert_eq!(counters.jitter_ns(), found);
        count(&mut counters, &header(407, 0x8000_01e0), last + 5140 * MS, clock);
        assert!(counters.jitter_ns() < found);
    }

    /// Appendix A.8 as it stands there, in units of the clock.
    fn jitter_of_the_rfc(packets: &[(u64, u32)], rate: u64) -> f64 {
        let mut jitter = 0.0;
        for pair in packets.windows(2) {
            let [(before, sent_before), (now, sent)] = [pair[0], pair[1]];
            let elapsed = (now - before) as f64 * rate as f64 / 1e9;
            let media = f64::from(sent.wrapping_sub(sent_before).cast_signed());
            jitter += ((elapsed - media).abs() - jitter) / 16.0;
        }
        jitter / rate as f64 * 1e9
    }

    proptest! {
        #[test]
        fn jitter_is_that_of_the_rfc(
            delays in proptest::collection::vec(0..60 * MS, 2..300),
            rate in prop_oneof![Just(8000_u32), Just(16_000), Just(48_000), Just(90_000)],
            start: u32,
        ) {
            let clock = Clock::new(PCMA, rate);
            let mut arrival = 1;
            let packets: Vec<(u64, u32)> = delays.iter().enumerate().map(|(number, delay)| {
                let sent = number as u64 * 20 * MS;
                arrival = (sent + delay).max(arrival);
                (arrival, start.wrapping_add(number as u32 * rate / 50))
            }).collect();
            let mut counters = before(0);
            for (number, (arrival, timestamp)) in packets.iter().enumerate() {
                count(&mut counters, &header(number as u16, *timestamp), *arrival, clock);
            }
            let expected = jitter_of_the_rfc(&packets, u64::from(rate));
            let found = counters.jitter_ns() as f64;
            prop_assert!((found - expected).abs() < 20_000.0, "{found} ns, not {expected}");
        }

        #[test]
        fn what_comes_within_the_window_is_counted_exactly(
            start: u16,
            fates in proptest::collection::vec((0..20_u32, 0..8_u32), 1..400),
        ) {
            // Each packet is delayed by less than the window, and lost or doubled now and then.
            let mut arrivals: Vec<(u32, u16)> = Vec::new();
            for (number, (delay, fate)) in fates.iter().enumerate() {
                let sequence = start.wrapping_add(number as u16);
                // The ends come, so that it is known what should have.
                let is_end = number == 0 || number + 1 == fates.len();
                let copies = match fate { 0 if !is_end => 0, 1 => 2, _ => 1 };
                let due = number as u32 + if is_end { 0 } else { *delay };
                arrivals.extend(std::iter::repeat_n((due, sequence), copies));
            }
            arrivals.sort_by_key(|(due, _)| *due);
            let counters = counted(arrivals.iter().map(|(_, sequence)| *sequence));
            let distinct: std::collections::BTreeSet<u16> = arrivals.iter().map(|(_, sequence)| *sequence).collect();
            let doubled = arrivals.len() - distinct.len();
            prop_assert_eq!(counters.duplicates as usize, doubled);
            prop_assert_eq!(counters.lost(), fates.len() as i64 - arrivals.len() as i64);
        }

        #[test]
        fn nothing_panics(numbers in proptest::collection::vec(any::<u16>(), 1..100), clock: u32, now: u64, timestamp: u32) {
            let mut counters = before(numbers[0]);
            for number in numbers {
                count(&mut counters, &header(number, timestamp ^ u32::from(number)), now, Clock(clock));
            }
            let _ = (counters.lost(), counters.jitter_ns());
        }
    }
}
