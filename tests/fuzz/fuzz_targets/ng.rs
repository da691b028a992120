//! Any datagram to the control port: every one with a cookie is answered under that cookie, and the same again.
#![no_main]

use std::borrow::Cow;

use libfuzzer_sys::fuzz_target;
use relay_daemon::call::{CommandError, Reply};
use relay_daemon::clock::Time;
use relay_daemon::control::Control;

fuzz_target!(|data: &[u8]| {
    let mut control = Control::default();
    let answers = [Ok(Reply::Done), Err(CommandError::UnknownCall)];
    let answer = answers[data.len() % 2].clone();
    let reply = control.handle(Time(1), data, &mut |_| answer.clone());
    let Some(reply) = reply.map(Cow::into_owned) else {
        return;
    };
    let cookie = data.split(|byte| *byte == b' ').next();
    assert_eq!(reply.split(|byte| *byte == b' ').next(), cookie);
    let again = control.handle(Time(2), data, &mut |_| unreachable!("answered before"));
    assert_eq!(again.as_deref(), Some(&reply[..]));
});
