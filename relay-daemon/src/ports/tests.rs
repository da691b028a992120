use std::net::Ipv4Addr;

use super::*;

/// An address of this process's own, so that copies of the tests may run at the same time.
fn loopback(network: u8) -> IpAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, network, high, low).into()
}

fn pool(min: u16, max: u16) -> PortPool {
    let ports = |address| LocalPorts {
        address,
        port_min: min,
        port_max: max,
    };
    PortPool::new(&[ports(loopback(78)), ports(loopback(79))])
}

fn used(pool: &PortPool) -> Vec<usize> {
    pool.usage().map(|usage| usage.used).collect()
}

#[test]
fn a_pair_is_even_and_odd_bound_and_numbered_over_all_addresses() {
    let mut pool = pool(23_000, 23_009);
    let ports = pool.reserve(AddressId(1), PortCount::Pair).unwrap();
    assert_eq!(ports.len(), 2);
    let first = ports[0].address.port();
    assert_eq!(first % 2, 0);
    assert_eq!(ports[1].address.port(), first + 1);
    assert_eq!(ports[0].id, PortId(10 + u32::from(first - 23_000)));
    assert_eq!(ports[1].id, PortId(ports[0].id.0 + 1));
    assert_eq!(used(&pool), [0, 2]);
    for port in &ports {
        let error = UdpSocket::bind(port.address).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}

#[test]
fn a_socket_is_handed_out_once_and_the_port_comes_back_when_it_is_given_back() {
    let mut pool = pool(23_010, 23_010);
    let port = pool.reserve(AddressId(0), PortCount::One).unwrap()[0];
    let socket = pool.take_socket(port.id).unwrap();
    assert_eq!(socket.local_addr().unwrap(), port.address);
    assert!(pool.take_socket(port.id).is_none());

    pool.release(port.id);
    assert_eq!(
        used(&pool),
        [1, 0],
        "a port in a plan is not the engine's to release"
    );
    drop(socket);
    assert!(pool.give_back(port.id));
    assert!(!pool.give_back(port.id));
    assert_eq!(used(&pool), [0, 0]);
    assert_eq!(pool.reserve(AddressId(0), PortCount::One), Ok(vec![port]));
}

#[test]
fn a_released_port_is_closed_and_can_be_reserved_again() {
    let mut pool = pool(23_012, 23_013);
    let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
    assert_eq!(pool.reserve(AddressId(0), PortCount::One), Err(OutOfPorts));
    for port in &ports {
        assert!(pool.release(port.id));
    }
    assert_eq!(pool.reserve(AddressId(0), PortCount::Pair), Ok(ports));
}

#[test]
fn a_port_that_somebody_else_occupies_is_skipped_and_tried_again_later() {
    let somebody = UdpSocket::bind((loopback(78), 23_015)).unwrap();
    let mut pool = pool(23_014, 23_017);
    let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
    assert_eq!(ports[0].address.port(), 23_016);
    assert_eq!(pool.reserve(AddressId(0), PortCount::Pair), Err(OutOfPorts));
    assert_eq!(used(&pool), [2, 0]);
    let other = pool.reserve(AddressId(1), PortCount::Pair);
    assert!(other.is_ok(), "only that address's port is occupied");

    drop(somebody);
    let ports = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
    assert_eq!(ports[0].address.port(), 23_014);
}

#[test]
fn an_address_that_is_not_ours_runs_out_at_once() {
    let mut pool = PortPool::new(&[LocalPorts {
        address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        port_min: 23_018,
        port_max: 23_019,
    }]);
    assert_eq!(pool.reserve(AddressId(0), PortCount::Pair), Err(OutOfPorts));
    assert_eq!(pool.reserve(AddressId(1), PortCount::Pair), Err(OutOfPorts));
    assert_eq!(used(&pool), [0]);
}

#[test]
fn excluded_ports_are_never_handed_out() {
    let mut pool = pool(23_022, 23_027);
    pool.exclude(AddressId(0), 23_022..=23_024);
    pool.exclude(AddressId(0), 23_000..=23_022);
    pool.exclude(AddressId(7), 1..=65_535);
    let usage = |pool: &PortPool| pool.usage().map(|usage| (usage.used, usage.total)).next();
    assert_eq!(usage(&pool), Some((0, 3)));
    assert!(pool.has_pair(AddressId(0)));
    let pair = pool.reserve(AddressId(0), PortCount::Pair).unwrap();
    assert_eq!(pair[0].address.port(), 23_026);
    assert!(!pool.has_pair(AddressId(0)) && pool.has_pair(AddressId(1)));
    let single = pool.reserve(AddressId(0), PortCount::One).unwrap();
    assert_eq!(single[0].address.port(), 23_025);
    assert_eq!(pool.reserve(AddressId(0), PortCount::One), Err(OutOfPorts));
    assert_eq!(usage(&pool), Some((3, 3)));
    for port in pair.iter().chain(&single) {
        assert!(pool.release(port.id));
    }
    assert_eq!(usage(&pool), Some((0, 3)));
}

#[test]
fn ranges_of_one_address_may_overlap() {
    let range = |port_min, port_max| LocalPorts {
        address: loopback(80),
        port_min,
        port_max,
    };
    let ranges = [range(23_030, 23_033), range(23_032, 23_037)];
    assert_eq!(united(&ranges), [range(23_030, 23_037)]);
    let mut pool = PortPool::new(&ranges);
    assert!(pool.is_nearly_out());
    let mut all: Vec<LocalPort> = Vec::new();
    for (address, count) in [(1, 3), (0, 1)] {
        for _ in 0..count {
            all.extend(pool.reserve(AddressId(address), PortCount::Pair).unwrap());
        }
    }
    let mut ports: Vec<u16> = all.iter().map(|port| port.address.port()).collect();
    ports.sort_unstable();
    assert_eq!(ports, Vec::from_iter(23_030..=23_037));
    assert_eq!(used(&pool), [4, 6]);
    for address in [0, 1] {
        assert_eq!(pool.reserve(AddressId(address), PortCount::One), Err(OutOfPorts));
    }
    // What comes back is there for both.
    let shared = all.iter().find(|port| port.address.port() == 23_032).unwrap();
    assert!(pool.release(shared.id));
    assert_eq!(used(&pool), [3, 5]);
    assert_eq!(pool.reserve(AddressId(0), PortCount::One).unwrap(), [*shared]);
    assert_eq!(used(&pool), [4, 6]);
}

#[test]
fn unknown_ports_are_nobody_s() {
    let mut pool = pool(23_020, 23_021);
    assert!(pool.take_socket(PortId(4)).is_none());
    assert!(pool.take_socket(PortId(0)).is_none());
    assert!(!pool.release(PortId(u32::MAX)));
    assert!(!pool.give_back(PortId(4)) && !pool.give_back(PortId(1)));
    assert_eq!(used(&pool), [0, 0]);
}
