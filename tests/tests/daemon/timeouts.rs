//! Calls that end by themselves or later, and calls that do not.

use ng_client::{Value, command};
use relay_common::slot::SlotState;
use relay_tests::call::{Audio, Call};
use relay_tests::daemon::wait_until;
use relay_tests::flow::Traffic;
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, audio};

const KERNEL: &[&str] = &["--table=0", "--no-fallback"];

impl Bench {
    /// Sets up a call whose media flows through the kernel.
    fn busy_call(&mut self, call: &Call, port: u16) -> [Traffic; 2] {
        let traffic = self.talk(call, IpVersion::V4, port).map(Traffic::start);
        call.wait_for_path(&mut self.control, "kernel");
        traffic
    }

    /// Why a call ended, as the log says; nothing while it has not.
    fn reason(&self, call: &str) -> Option<String> {
        let log = self.daemon.log();
        let mut lines = log.lines().filter(|line| line.contains("call ended"));
        let line = lines.find(|line| line.contains(&format!("call_id=\"{call}\"")))?;
        let reason = line.split_once("reason=\"")?.1.split('"').next()?;
        Some(reason.to_owned())
    }
}

fn endpoint(side: Side, port: u16) -> Audio {
    audio(side, IpVersion::V4, port)
}

#[test]
fn a_call_ends_when_its_media_does() {
    if !requires_root() {
        return;
    }
    let options = ["--timeout=2", "--offer-timeout=3", "--silent-timeout=5"];
    let mut bench = Bench::start(&[KERNEL, &options].concat());

    let stops = Call::new("stops");
    for flow in bench.busy_call(&stops, 4000) {
        flow.end();
    }
    let flows = Call::new("flows");
    let traffic = bench.busy_call(&flows, 4002);
    let unanswered = Call::new("unanswered");
    unanswered.offer(&mut bench.control, endpoint(Side::Caller, 4004));
    let held = Call::new("held");
    let inactive = |side| Audio {
        direction: "inactive",
        ..endpoint(side, 4006)
    };
    held.set_up(&mut bench.control, inactive(Side::Caller), inactive(Side::Callee));

    let expected = [
        ("stops", "TIMEOUT"),
        ("unanswered", "OFFER_TIMEOUT"),
        ("held", "SILENT_TIMEOUT"),
    ];
    // By now the one that flows would have timed out more than once.
    for (call, reason) in expected {
        wait_until(call, || bench.reason(call).is_some());
        assert_eq!(bench.reason(call).as_deref(), Some(reason), "{call}");
    }
    assert_eq!(bench.control.calls(), ["flows"]);
    wait_until("ports are closed", || bench.media_ports() == 4);
    flows.wait_for_path(&mut bench.control, "kernel");
    let states = bench.daemon.slots();
    let count = |state| states.iter().filter(|slot| **slot == state).count();
    assert_eq!((count(SlotState::Claimed), count(SlotState::Offloaded)), (2, 2));

    for flow in traffic {
        flow.end();
    }
    wait_until("it ends, too", || bench.reason("flows").is_some());
    assert_eq!(bench.reason("flows").as_deref(), Some("TIMEOUT"));
    bench.wait_for_free_ports();
}

#[test]
fn a_call_ends_after_its_final_timeout_though_media_flows() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&[KERNEL, &["--final-timeout=2"]].concat());
    let call = Call::new("call");
    // Its media is relayed until then; what comes of the rest, does not matter.
    let mut flows = bench.talk(&call, IpVersion::V4, 4000);
    let [from_caller, _] = &mut flows;
    wait_until("it ends", || {
        if call.exists(&mut bench.control) {
            from_caller.withhold(1);
        }
        bench.reason(call.id()).is_some()
    });
    assert_eq!(bench.reason(call.id()).as_deref(), Some("FINAL_TIMEOUT"));
    bench.wait_for_free_ports();
    from_caller.drain();
    // Nobody relays any more; the relay's host says that nobody listens, which a connected socket hears.
    from_caller.sender.connect(from_caller.to).unwrap();
    from_caller.withhold(1);
    wait_until("nobody listens", || {
        from_caller.sender.take_error().unwrap().is_some()
    });
    from_caller.expect_silence();
}

#[test]
fn a_deleted_call_lives_on_for_a_while() {
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&[KERNEL, &["--delete-delay=3"]].concat());
    let [at_once, later, revived] = ["at once", "later", "revived"].map(Call::new);
    let mut traffic = [&at_once, &later, &revived]
        .into_iter()
        .zip([4000, 4002, 4004])
        .map(|(call, port)| bench.busy_call(call, port))
        .collect::<Vec<_>>();
    let of_revived = traffic.remove(2);
    // Media of a call that ends is lost if it does not end before.
    for flow in traffic.remove(0) {
        flow.end();
    }
    at_once.delete(&mut bench.control, 0);
    assert!(!at_once.exists(&mut bench.control));
    wait_until("its ports are closed", || bench.media_ports() == 8);

    // Without a word on when: as configured. A party, and all.
    for call in [&revived, &later] {
        let all = command::delete(call.id());
        let mut party = all.clone();
        party.push("from-tag", "caller");
        for request in [party, all] {
            bench.control.request(&request);
            assert!(call.exists(&mut bench.control));
        }
    }
    for flow in traffic.remove(0) {
        flow.wait(20);
        flow.end();
    }
    revived.offer_again(&mut bench.control, Side::Caller, endpoint(Side::Caller, 4004));
    revived.answer(&mut bench.control, Side::Callee, endpoint(Side::Callee, 4004));
    // It would have been deleted first.
    wait_until("the other one is deleted", || !later.exists(&mut bench.control));
    let show = bench.control.request(&command::show(revived.id()));
    assert_eq!(show.find("deleted-in").and_then(Value::integer), None);
    for flow in of_revived {
        flow.wait(20);
        flow.end();
    }
    wait_until("ports are closed", || bench.media_ports() == 4);
    revived.delete(&mut bench.control, 0);
    bench.wait_for_free_ports();
}
