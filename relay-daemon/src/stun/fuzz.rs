//! What a fuzzer or a property test does with bytes that may be STUN.

use super::{Class, Key, Message, Writer};

/// What parses can be written again, and says the same then.
pub fn fuzz(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes) else {
        return;
    };
    let key = Key::new(b"a password");
    let _ = message.is_signed_with(&key);
    let mut buffer = Vec::new();
    let mut writer = Writer::new(&mut buffer, message.class, message.transaction);
    let username = message.username.and_then(|name| std::str::from_utf8(name).ok());
    if let Some(name) = username {
        writer.username([name, "", ""]);
    }
    if let Some(priority) = message.priority {
        writer.priority(priority);
    }
    if let Some(claim) = message.claim {
        writer.claim(claim);
    }
    if message.use_candidate {
        writer.use_candidate();
    }
    if let Some(mapped) = message.mapped {
        writer.mapped(mapped);
    }
    if message.class == Class::Error {
        writer.unknown(&message.unknown);
    }
    writer.finish(Some(&key));
    let again = Message::parse(&buffer).expect("a message of ours");
    assert!(again.is_signed_with(&key));
    assert!(!again.is_signed_with(&Key::new(b"another")));
    assert_eq!(
        (again.class, again.transaction, again.priority, again.claim),
        (
            message.class,
            message.transaction,
            message.priority,
            message.claim
        )
    );
    assert_eq!(again.username, username.map(str::as_bytes));
    assert_eq!(
        (again.use_candidate, again.mapped),
        (message.use_candidate, message.mapped)
    );
}
