//! Templates of the configuration.

use relay_common::ng::Request;

use crate::call::{AddressTrust, Command, IceMode};
use crate::config::Templates;
use crate::config::ini::Ini;
use crate::control::notices::{Notice, Notices};
use crate::control::parse::{Asked, asked};

#[test]
fn templates_apply_before_the_message() {
    let text = "[t]\ndefault = replace-origin ICE=force\noffer = ICE=remove ptime=30\nanswer = ptime=40\n\
                named = ptime=50 template=other\nother = trust-address\n";
    let templates = Templates::of_section(&Ini::parse(text).unwrap(), "t");
    let options = |more: &str| {
        let body = format!(r#"{{"command":"offer","sdp":"v=0","call-id":"c","from-tag":"f"{more}}}"#);
        let request = Request::parse(body.as_bytes()).unwrap();
        let mut notices = Notices::default();
        match asked(&request, &templates, &mut notices) {
            Ok(Asked::Command {
                command: Command::Offer(signal),
                ..
            }) => (signal.options, notices),
            other => panic!("{other:?}"),
        }
    };
    let plain = options("").0;
    assert!(plain.replace.origin, "default");
    assert_eq!((plain.ice.mode, plain.ptime), (IceMode::Remove, Some(30)));
    assert_eq!(options(r#","ICE":"optional""#).0.ice.mode, IceMode::Optional);
    let (named, notices) = options(r#","template":"named""#);
    assert_eq!(named.ptime, Some(50));
    assert_eq!(
        named.address_trust,
        AddressTrust::Configured,
        "not within a template"
    );
    assert!(notices.has(Notice::BadValue, "template=other"));
    assert_eq!(options(r#","template":"named","ptime":60"#).0.ptime, Some(60));
    let in_flags = options(r#","rtpp-flags":"template=other""#).0;
    assert_eq!(in_flags.address_trust, AddressTrust::Sdp);
    let (unknown, notices) = options(r#","template":"nope""#);
    assert_eq!(unknown, plain);
    assert!(notices.has(Notice::BadValue, "template=nope"));
}
