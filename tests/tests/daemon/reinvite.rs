//! Calls change while their media flows, and no packet is lost.

use std::time::Instant;

use ng_client::command;
use relay_tests::call::{Audio, Call, Reception, Told};
use relay_tests::daemon::{wait_for_value, wait_until};
use relay_tests::flow::{Ended, Fate, Traffic};
use relay_tests::lab::IpVersion;
use relay_tests::netns::requires_root;
use relay_tests::probe::Side;

use super::bench::{Bench, Monitor, audio};

/// So many packets each way between two changes.
const MEANWHILE: u64 = 40;

/// A call whose media flows both ways.
struct Talk {
    // The bench last: what goes on needs it.
    from_caller: Traffic,
    from_callee: Traffic,
    monitor: Monitor,
    call: Call,
    bench: Bench,
}

impl Talk {
    fn start(mode: &str, burst: u64) -> Talk {
        let mut bench = Bench::start(&["--table=0", "--no-fallback", mode]);
        let call = Call::new("call");
        let [from_caller, from_callee] = bench.talk(&call, IpVersion::V4, 4000).map(|mut flow| {
            flow.burst = burst;
            Traffic::start(flow)
        });
        let monitor = Monitor::start(&bench.lab, &call);
        Talk {
            bench,
            call,
            monitor,
            from_caller,
            from_callee,
        }
    }

    /// Lets media flow, until it is in the kernel if it is to go there.
    fn goes_on(&mut self, path: &str) {
        self.from_caller.wait(MEANWHILE);
        self.from_callee.wait(MEANWHILE);
        self.call.wait_for_path(&mut self.bench.control, path);
        self.from_caller.wait(MEANWHILE);
        self.from_callee.wait(MEANWHILE);
    }

    /// The caller offers again. Says what both are told.
    fn reinvite(&mut self, caller: Audio, callee: Audio) -> (Told, Told) {
        let Talk { bench, call, .. } = self;
        let callee_is_told = call.offer_again(&mut bench.control, Side::Caller, caller);
        (
            call.answer(&mut bench.control, Side::Callee, callee),
            callee_is_told,
        )
    }

    /// The callee offers again, from another port. Says what it offers, and what both are told.
    fn callee_moves(&mut self, caller: Audio, told: (Told, Told), port: u16) -> (Audio, (Told, Told)) {
        let control = &mut self.bench.control;
        let moved = audio(Side::Callee, IpVersion::V4, port);
        let socket = self.bench.lab.bind(Side::Callee, moved.rtp);
        self.from_caller.flow().add_receiver(moved.rtp);
        let caller_is_told = self.call.offer_again(control, Side::Callee, moved);
        assert_ne!(caller_is_told.rtp, told.0.rtp);
        self.from_callee.flow().add_source(caller_is_told.rtp);
        self.from_caller.flow().to = caller_is_told.rtp;
        let callee_is_told = self.call.answer(control, Side::Caller, caller);
        assert_eq!(callee_is_told, told.1, "the caller has not moved");
        self.from_callee.flow().sender = socket;
        (moved, (caller_is_told, callee_is_told))
    }

    fn switch(&mut self, on: bool) {
        self.bench.control.request(&command::kernel(self.call.id(), on));
    }

    /// Waits until so many packets of one side are counted.
    fn counted(&mut self, side: Side, sent: u64) {
        let sent = i64::try_from(sent).unwrap();
        let Talk { bench, call, .. } = self;
        wait_until("all is counted", || {
            call.counters(&mut bench.control).sent_by(side) >= sent
        });
    }

    /// Ends all, and compares what was sent with what was counted.
    fn end(self) {
        let Talk {
            from_caller,
            from_callee,
            monitor,
            call,
            bench: Bench { mut control, .. },
        } = self;
        let is_alone = from_caller.flow().burst == 1;
        let flows = [(Side::Caller, from_caller), (Side::Callee, from_callee)];
        let expected = flows.map(|(side, traffic)| {
            let Ended { sent, arrived } = traffic.end();
            let [sent, arrived] = [sent, arrived].map(|count| i64::try_from(count).unwrap());
            (side, sent, arrived)
        });
        // What has arrived is counted a moment later.
        wait_for_value(&expected, || {
            let counters = call.counters(&mut control);
            Side::ALL.map(|side| (side, counters.sent_by(side), counters.sent_to(side.other())))
        });
        for (side, sent, _) in expected {
            let found = call.reception(&mut control, side);
            let whole = Reception {
                packets: sent,
                lost: 0,
                // As on the way on: a packet that waits for a worker is overtaken by one that the kernel relays.
                reordered: if is_alone { 0 } else { found[0].reordered },
                duplicates: 0,
            };
            assert_eq!(found, [whole], "{side:?}");
        }
        monitor.end();
    }
}

fn endpoints() -> [Audio; 2] {
    Side::ALL.map(|side| audio(side, IpVersion::V4, 4000))
}

fn is_changed_under_traffic(mode: &str) {
    if !requires_root() {
        return;
    }
    let mut talk = Talk::start(mode, 1);
    let [caller, callee] = endpoints();
    talk.goes_on("kernel");

    // Nothing new.
    let told = talk.reinvite(caller, callee);
    assert_eq!(told.0.rtp, talk.from_caller.flow().to);
    assert_eq!(told.1.rtp, talk.from_callee.flow().to);
    talk.goes_on("kernel");

    let (moved, told) = talk.callee_moves(caller, told, 4002);
    talk.goes_on("kernel");

    // The caller puts the callee on hold, and plays music.
    talk.from_callee.flow().fate = Fate::Rest;
    let directed = |audio: Audio, direction| Audio { direction, ..audio };
    assert_eq!(
        talk.reinvite(directed(caller, "sendonly"), directed(moved, "recvonly")),
        told
    );
    let control = &mut talk.bench.control;
    talk.call
        .wait_for_path_from(control, Side::Callee, "nobody may receive");
    talk.from_callee.flow().fate = Fate::Vanish;
    talk.from_caller.wait(MEANWHILE);
    talk.from_callee.wait(MEANWHILE);
    talk.call.wait_for_path_from(control, Side::Caller, "kernel");
    talk.from_caller.wait(MEANWHILE);

    // And comes back.
    talk.from_callee.flow().fate = Fate::Rest;
    let sent = talk.from_callee.flow().sent();
    talk.counted(Side::Callee, sent);
    talk.from_callee.flow().expect_silence();
    assert_eq!(talk.reinvite(caller, moved), told);
    talk.from_callee.flow().fate = Fate::Arrive;
    talk.goes_on("kernel");

    talk.switch(false);
    talk.goes_on("switched off by hand");
    talk.switch(true);
    talk.goes_on("kernel");
    talk.end();
}

#[test]
fn a_call_is_changed_under_traffic_in_native_mode() {
    is_changed_under_traffic("--xdp-mode=native");
}

#[test]
fn a_call_is_changed_under_traffic_in_generic_mode() {
    is_changed_under_traffic("--xdp-mode=generic");
}

/// So often that the relay gives up the ports that the caller was told first.
#[test]
fn nothing_is_lost_when_the_callee_moves_on_and_on() {
    if !requires_root() {
        return;
    }
    let mut talk = Talk::start("--xdp-mode=native", 1);
    let [caller, callee] = endpoints();
    talk.goes_on("kernel");
    let mut told = talk.reinvite(caller, callee);
    assert_eq!(talk.bench.media_ports(), 2 * 2);
    for step in 1..=20 {
        told = talk.callee_moves(caller, told, 4000 + 2 * step).1;
        let Talk { bench, call, .. } = &mut talk;
        call.wait_for_path(&mut bench.control, "kernel");
        talk.from_caller.wait(5);
    }
    // Sixteen pairs towards the caller, one towards the callee.
    wait_until("old ports are closed", || talk.bench.media_ports() == 2 * 17);
    talk.end();
}

/// A thousand in a second is what a busy proxy does. How many they are here is for the machine to say.
#[test]
fn no_packet_minds_a_flood_of_reinvites() {
    const CALLS: u16 = 4;
    const ROUNDS: usize = 600;
    if !requires_root() {
        return;
    }
    let mut bench = Bench::start(&["--table=0", "--no-fallback"]);
    let mut talks = Vec::new();
    for number in 0..CALLS {
        let port = 4000 + 10 * number;
        let call = Call::new(&format!("call-{number}"));
        let told = Side::ALL.map(|side| audio(side, IpVersion::V4, port));
        let flows = bench.talk(&call, IpVersion::V4, port).map(Traffic::start);
        talks.push((call, told, flows));
    }
    let control = &mut bench.control;
    for (call, ..) in &talks {
        call.wait_for_path(control, "kernel");
    }
    let begin = Instant::now();
    for round in 0..ROUNDS {
        for (call, [caller, callee], _) in &talks {
            // Both sides by turns.
            let (offerer, answerer) = if round % 2 == 0 {
                (*caller, *callee)
            } else {
                (*callee, *caller)
            };
            let side = Side::ALL[round % 2];
            call.offer_again(control, side, offerer);
            call.answer(control, side.other(), answerer);
        }
        // Now and then the media leaves the kernel, and comes back, in the middle of it.
        if round % 50 == 0 {
            let (call, ..) = &talks[round / 50 % usize::from(CALLS)];
            control.request(&command::kernel(call.id(), false));
            control.request(&command::kernel(call.id(), true));
        }
    }
    println!("{} re-INVITEs in {:?}", ROUNDS * talks.len(), begin.elapsed());
    for (call, _, flows) in talks {
        call.wait_for_path(control, "kernel");
        let (from_kernel, _) = call.received(control, Side::Caller);
        flows.iter().for_each(|flow| flow.wait(MEANWHILE));
        let ended = flows.map(Traffic::end);
        // Each of them has looked for lost, doubled, torn and overtaken packets.
        assert!(ended.iter().all(|flow| flow.sent == flow.arrived));
        wait_until("the kernel relays it", || {
            call.received(control, Side::Caller).0 > from_kernel
        });
    }
}

/// With more than one packet under way: none may fall between the kernel and userspace.
#[test]
fn a_call_goes_in_and_out_of_the_kernel_under_bursts() {
    if !requires_root() {
        return;
    }
    let mut talk = Talk::start("--xdp-mode=native", 16);
    talk.goes_on("kernel");
    for _ in 0..20 {
        talk.switch(false);
        talk.from_caller.wait(32);
        talk.switch(true);
        talk.from_callee.wait(32);
    }
    talk.goes_on("kernel");
    talk.end();
}
