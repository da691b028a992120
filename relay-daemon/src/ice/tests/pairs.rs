//! Which pairs are formed, and in which order they are checked.

use super::*;

fn pairs(plan: &IcePlan) -> usize {
    Agent::new(plan).pairs.len()
}

fn remote(address: &str, component: u8, priority: u32) -> RemoteCandidate {
    RemoteCandidate {
        foundation: Arc::from(format!("f{priority}")),
        component,
        priority,
        address: address.parse().unwrap(),
        kind: CandidateKind::Host,
    }
}

#[test]
fn only_what_can_reach_each_other_is_paired() {
    let mut plan = plan("A", IceRole::Controlling, &[A_RTP, A_RTCP]);
    plan.agent.remote = Some(credentials("B", 1));
    for (address, component, expected) in [
        (B_RTP, 1, 1),
        (B_RTP, 1, 1),
        (B_RTCP, 2, 2),
        (B_RTCP, 1, 3),
        (B_RTP_V6, 1, 3),
        ("0.0.0.0:5", 1, 3),
        ("192.0.2.1:0", 1, 3),
        ("224.0.0.1:9", 1, 3),
    ] {
        plan.agent.candidates.push(remote(address, component, 7));
        assert_eq!(pairs(&plan), expected, "{address}");
    }
}

#[test]
fn the_most_wanted_are_kept_and_checked_first() {
    let mut plan = plan("A", IceRole::Controlling, &[A_RTP]);
    plan.agent.remote = Some(credentials("B", 1));
    for index in 1..=300_u32 {
        let address = format!("198.51.100.7:{}", 1000 + index);
        plan.agent.candidates.push(remote(&address, 1, index));
    }
    let mut agent = Agent::new(&plan);
    assert_eq!(agent.pairs.len(), MAX_PAIRS);
    let (mut now, mut out, mut checked) = (START, Outbox::default(), Vec::new());
    for _ in 0..5 {
        agent.handle_timeout(now, &mut out);
        now = agent.pace;
    }
    while let Some(datagram) = out.pop() {
        checked.push(datagram.to.port());
    }
    assert_eq!(checked, [1300, 1299, 1298, 1297, 1296]);
    assert_eq!(now.since(START), Duration::from_millis(100), "one each 20 ms");
}

#[test]
fn of_one_foundation_one_is_checked_at_a_time() {
    let mut plan = plan("A", IceRole::Controlling, &[A_RTP, A_RTCP]);
    plan.agent.remote = Some(credentials("B", 1));
    let same = |candidate| RemoteCandidate {
        foundation: Arc::from("same"),
        ..candidate
    };
    plan.agent.candidates = vec![
        same(remote(B_RTP, 1, 9)),
        same(remote(B_RTCP, 2, 8)),
        remote("198.51.100.7:50000", 1, 7),
    ];
    let mut agent = Agent::new(&plan);
    let mut out = Outbox::default();
    agent.handle_timeout(START, &mut out);
    agent.handle_timeout(START + Duration::from_millis(20), &mut out);
    agent.handle_timeout(START + Duration::from_millis(40), &mut out);
    let mut checked = Vec::new();
    while let Some(datagram) = out.pop() {
        checked.push(datagram.to.port());
    }
    assert_eq!(checked, [40000, 50000]);
}

#[test]
fn priorities_depend_on_who_decides() {
    let mut pair = Pair::new(
        1,
        Route {
            port: PortId(0),
            remote: B_RTP.parse().unwrap(),
        },
        100,
        Origin::PeerReflexive,
    );
    pair.prioritize(IceRole::Controlling, 200);
    assert_eq!(pair.priority, (100 << 32) + 400 + 1);
    pair.prioritize(IceRole::Controlled, 200);
    assert_eq!(pair.priority, (100 << 32) + 400);
}
