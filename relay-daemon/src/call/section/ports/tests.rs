use super::*;
use crate::call::testing::TestHost;

const A: &str = "198.51.100.31:4000";
const B: &str = "198.51.100.32:4000";

fn only(main: Place) -> Places {
    Places {
        main,
        others: SmallVec::new(),
    }
}

struct Fixture {
    ports: Ports,
    host: TestHost,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture {
            ports: Ports::default(),
            host: TestHost::new(&["203.0.113.1", "203.0.113.2"]),
        }
    }

    fn open(&mut self, count: PortCount) -> u16 {
        let place = only(self.host.place(0));
        let mut reservations = Reservations::new(&mut self.host);
        self.ports.open(&place, count, &mut reservations).unwrap();
        reservations.keep();
        self.told()
    }

    fn open_for(&mut self, endpoint: &str, latch: Latch, count: PortCount) -> u16 {
        self.open_at(0, endpoint, latch, count)
    }

    fn open_at(&mut self, place: u16, endpoint: &str, latch: Latch, count: PortCount) -> u16 {
        let place = only(self.host.place(place));
        let mut reservations = Reservations::new(&mut self.host);
        let endpoint = endpoint.parse().unwrap();
        self.ports
            .open_for(endpoint, latch, &place, count, &mut reservations)
            .unwrap();
        reservations.keep();
        self.told()
    }

    fn told(&self) -> u16 {
        self.ports.current().unwrap().rtp.address.port()
    }
}

#[test]
fn an_endpoint_brings_its_ports_back() {
    let mut f = Fixture::new();
    let first = f.open_for(A, Latch::Change, PortCount::Pair);
    let second = f.open_for(B, Latch::Change, PortCount::Pair);
    assert_ne!(first, second);
    assert_eq!(f.open_for(A, Latch::Change, PortCount::Pair), first);
    assert_eq!(f.open_for(B, Latch::Change, PortCount::Pair), second);
    assert_eq!(f.ports.all().count(), 2);
}

#[test]
fn the_first_endpoint_takes_the_ports_that_wait_for_one() {
    let mut f = Fixture::new();
    let first = f.open(PortCount::Pair);
    assert_eq!(f.open(PortCount::Pair), first);
    assert_eq!(f.open_for(A, Latch::Change, PortCount::Pair), first);
    assert_ne!(f.open_for(B, Latch::Change, PortCount::Pair), first);
}

#[test]
fn ports_that_are_kept_go_on_waiting_for_an_endpoint() {
    let mut f = Fixture::new();
    let first = f.open(PortCount::Pair);
    assert_eq!(f.open_for(A, Latch::Keep, PortCount::Pair), first);
    assert_eq!(f.open_for(B, Latch::Change, PortCount::Pair), first);
    assert_ne!(f.open_for(A, Latch::Change, PortCount::Pair), first);
}

#[test]
fn a_zero_address_names_no_endpoint() {
    let mut f = Fixture::new();
    let first = f.open_for("0.0.0.0:4000", Latch::Change, PortCount::Pair);
    assert_eq!(f.open_for(A, Latch::Change, PortCount::Pair), first);
}

#[test]
fn a_hold_by_zero_address_is_no_move() {
    let mut f = Fixture::new();
    let first = f.open_for(A, Latch::Change, PortCount::Pair);
    assert_eq!(f.open_for("0.0.0.0:4000", Latch::Change, PortCount::Pair), first);
    assert_ne!(f.open_for(B, Latch::Change, PortCount::Pair), first);
}

#[test]
fn an_address_that_is_to_come_is_an_endpoint() {
    let mut f = Fixture::new();
    let first = f.open_for("0.0.0.0:9", Latch::Change, PortCount::Pair);
    assert_ne!(f.open_for(A, Latch::Change, PortCount::Pair), first);
}

#[test]
fn ports_that_wait_may_take_an_endpoint_while_they_are_kept() {
    let mut f = Fixture::new();
    let first = f.open(PortCount::Pair);
    assert_eq!(f.open_for(A, Latch::KeepThere, PortCount::Pair), first);
    assert_eq!(f.open_for(B, Latch::KeepThere, PortCount::Pair), first);
    assert_ne!(f.open_for(B, Latch::Change, PortCount::Pair), first);
}

#[test]
fn ports_at_several_addresses_are_not_kept_without_ice() {
    let mut f = Fixture::new();
    let both = open_at_both(&mut f, Some(A), Latch::Change);
    assert_ne!(f.open_for(B, Latch::Keep, PortCount::Pair), both);
}

#[test]
fn latching_keeps_the_ports_wherever_they_are() {
    let mut f = Fixture::new();
    let first = f.open_for(A, Latch::Change, PortCount::Pair);
    assert_eq!(f.open_for(B, Latch::Keep, PortCount::Pair), first);
    assert_eq!(
        f.open_for(A, Latch::Change, PortCount::Pair),
        first,
        "still created for A"
    );
    assert_eq!(f.open_at(1, A, Latch::Keep, PortCount::Pair), first);
    assert_eq!(f.ports.current().unwrap().place, f.host.place(0));
    assert_ne!(f.open_at(1, A, Latch::Change, PortCount::Pair), first);
}

#[test]
fn muxing_retires_the_second_port_for_good() {
    let mut f = Fixture::new();
    f.open(PortCount::Pair);
    f.open_for(A, Latch::Change, PortCount::One);
    assert!(matches!(f.ports.current().unwrap().rtcp, RtcpPort::Retired(_)));
    f.open_for(A, Latch::Change, PortCount::Pair);
    assert!(matches!(f.ports.current().unwrap().rtcp, RtcpPort::Retired(_)));
    assert!(f.ports.current().unwrap().rtcp.bound().is_some());
}

#[test]
fn a_single_port_does_not_serve_where_two_are_needed() {
    let mut f = Fixture::new();
    let single = f.open(PortCount::One);
    assert_eq!(f.ports.current().unwrap().rtcp, RtcpPort::Shared);
    assert_ne!(f.open_for(A, Latch::Change, PortCount::Pair), single);
}

#[test]
fn what_is_not_kept_is_given_back() {
    let mut f = Fixture::new();
    let place = only(f.host.place(0));
    let mut reservations = Reservations::new(&mut f.host);
    f.ports.open(&place, PortCount::Pair, &mut reservations).unwrap();
    drop(reservations);
    assert_eq!(f.host.in_use(), 0);
}

/// Opens ports at the first address, and at the second one as well.
fn open_at_both(f: &mut Fixture, endpoint: Option<&str>, latch: Latch) -> u16 {
    let same_interface = Place {
        interface: 0,
        ..f.host.place(1)
    };
    let both = Places {
        main: f.host.place(0),
        others: SmallVec::from_slice(&[same_interface]),
    };
    let mut reservations = Reservations::new(&mut f.host);
    let count = PortCount::Pair;
    match endpoint.map(|endpoint| endpoint.parse().unwrap()) {
        Some(endpoint) => f.ports.open_for(endpoint, latch, &both, count, &mut reservations),
        None => f.ports.open(&both, count, &mut reservations),
    }
    .unwrap();
    reservations.keep();
    f.told()
}

#[test]
fn ports_at_several_addresses_serve_for_one_but_not_the_other_way_round() {
    let mut f = Fixture::new();
    let both = open_at_both(&mut f, Some(A), Latch::Change);
    assert_eq!(f.ports.current().unwrap().transports().count(), 2);
    assert_eq!(f.open_for(A, Latch::Change, PortCount::Pair), both);
    let mut f = Fixture::new();
    let one = f.open_for(A, Latch::Change, PortCount::Pair);
    assert_ne!(open_at_both(&mut f, Some(A), Latch::KeepWhole), one);
    assert_eq!(f.open_for(B, Latch::KeepWhole, PortCount::Pair), f.told());
    f.open_for(A, Latch::Change, PortCount::One);
    let retired = |transport: Transport| matches!(transport.rtcp, RtcpPort::Retired(_));
    assert!(f.ports.current().unwrap().transports().any(retired));
}

#[test]
fn who_answers_keeps_the_newest_ports() {
    let mut f = Fixture::new();
    f.open_for(A, Latch::Change, PortCount::Pair);
    let newest = f.open_for(B, Latch::Change, PortCount::Pair);
    let place = only(f.host.place(0));
    let mut reservations = Reservations::new(&mut f.host);
    f.ports
        .keep_open(&place, PortCount::Pair, &mut reservations)
        .unwrap();
    reservations.keep();
    assert_eq!(f.told(), newest);
}

#[test]
fn who_speaks_keeps_its_ports_wherever_it_would_be_served_from() {
    let mut f = Fixture::new();
    let first = f.open_for(A, Latch::Change, PortCount::Pair);
    let elsewhere = only(f.host.place(1));
    let mut reservations = Reservations::new(&mut f.host);
    f.ports
        .keep_open(&elsewhere, PortCount::Pair, &mut reservations)
        .unwrap();
    reservations.keep();
    assert_eq!(f.told(), first);
}

#[test]
fn latching_keeps_no_single_port_where_two_are_needed() {
    let mut f = Fixture::new();
    let single = f.open_for(A, Latch::Change, PortCount::One);
    assert_eq!(f.open_for(B, Latch::Keep, PortCount::One), single);
    assert_ne!(f.open_for(B, Latch::Keep, PortCount::Pair), single);
}

#[test]
fn old_ports_are_given_up_in_the_end() {
    let mut f = Fixture::new();
    for port in 0..2 * u16::try_from(MAX_SETS).unwrap() {
        f.open_for(
            &format!("198.51.100.31:{}", 4000 + port),
            Latch::Change,
            PortCount::Pair,
        );
    }
    assert_eq!(f.ports.all().count(), MAX_SETS);
    let recent = f.ports.all().nth(1).unwrap().rtp.address.port();
    assert_eq!(
        f.open_for("198.51.100.31:4030", Latch::Change, PortCount::Pair),
        recent
    );
}

#[test]
fn a_hold_after_a_rejection_brings_the_ports_back() {
    let mut f = Fixture::new();
    let first = f.open_for(A, Latch::Change, PortCount::Pair);
    f.ports.refuse();
    assert_eq!(f.open_for("0.0.0.0:4000", Latch::Change, PortCount::Pair), first);
}
