//! Two sessions that become one.

use super::*;

/// Carol and Dave, under the same ids as Alice and Bob, on other ports.
fn second() -> Call {
    let mut call = Call::with(vec![
        stream(TO_ALICE, Some(ALICE), &[TO_BOB], &[]),
        stream(TO_BOB, Some(BOB), &[TO_ALICE], &[]),
    ]);
    for stream in &mut call.plan.streams {
        stream.ports = SmallVec::from([local(stream.id.0 + 100)]);
    }
    call.apply();
    call.receive(NAT, TO_ALICE + 100, RTP);
    call.receive(BOB, TO_BOB + 100, RTP);
    call.report(TO_ALICE + 100, Path::Kernel);
    call.report(TO_BOB + 100, Path::Kernel);
    call
}

#[test]
fn streams_go_on_under_new_ids_with_what_they_learned() {
    let (mut first, mut second) = (Call::new(), second());
    first.apply();
    first.receive(ALICE, TO_ALICE, RTP);
    first.report(TO_ALICE, Path::Kernel);
    first.take_transcript();
    second.session.leave_kernel();
    assert_eq!(
        second.session.poll_event(),
        None,
        "the driver takes its ports out anyway"
    );
    assert_eq!(second.session.poll_timeout(), None);

    // Alice's media goes to both Bobs.
    for mut stream in second.plan.streams {
        stream.id.0 += 1000;
        for sink in &mut stream.sinks {
            sink.stream.0 += 1000;
        }
        first.plan.streams.push(stream);
    }
    first.change(TO_ALICE, |alice| alice.sinks.push(StreamId(TO_BOB + 1000).into()));
    first.note("merge");
    first
        .session
        .absorb(first.now, second.session, 1000, first.plan.clone());
    first.drain(&[]);
    first.receive(ALICE, TO_ALICE, RTP);
    first.receive(BOB, TO_BOB + 100, RTP);
    insta::assert_snapshot!(first.take_transcript(), @"
    0 merge
      onload 30000
    0 RTP 198.51.100.10:4000 -> 30000
      send 30002 -> 198.51.100.20:6000
      send 30102 -> 198.51.100.20:6000
    0 RTP 198.51.100.20:6000 -> 30102
      send 30100 -> 198.51.100.99:61000
      offload 30102: 198.51.100.20:6000 (others: Forward) => 30100 -> 198.51.100.99:61000 TOS 0
    ");
}
