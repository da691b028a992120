//! Netlink messages and their attributes as bytes (RFC 3549 section 2.2): host byte order, padded to four.

/// Shape of `struct nlmsghdr`: length 4, type 2, flags 2, sequence 4, port 4.
const HEADER: usize = 16;

/// A request to the kernel.
pub(crate) struct Request {
    bytes: Vec<u8>,
}

impl Request {
    /// A request of a type, with `NLM_F_*` flags and the family's fixed header.
    pub(crate) fn new(kind: u16, flags: i32, header: &[u8]) -> Request {
        let flags = u16::try_from(libc::NLM_F_REQUEST | flags).unwrap_or_default();
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(header);
        pad(&mut bytes);
        Request { bytes }
    }

    /// Adds an attribute.
    pub(crate) fn with(mut self, kind: u16, payload: &[u8]) -> Request {
        push(&mut self.bytes, kind, payload);
        self
    }

    /// Adds an attribute made of others ([`nest`]).
    #[cfg(any(feature = "kernel", test))]
    pub(crate) fn with_nested(self, kind: u16, attributes: &[u8]) -> Request {
        const NLA_F_NESTED: u16 = 1 << 15;
        self.with(kind | NLA_F_NESTED, attributes)
    }

    /// The bytes to send.
    pub(crate) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = u32::try_from(self.bytes.len()).unwrap_or(u32::MAX);
        self.bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        self.bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.bytes
    }
}

/// Attributes in a row, to be the value of another one.
#[cfg(any(feature = "kernel", test))]
pub(crate) fn nest(attributes: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, payload) in attributes {
        push(&mut bytes, *kind, payload);
    }
    bytes
}

fn push(bytes: &mut Vec<u8>, kind: u16, payload: &[u8]) {
    let length = u16::try_from(4 + payload.len()).unwrap_or(u16::MAX);
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(payload);
    pad(bytes);
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message<'a> {
    /// Its type.
    pub(crate) kind: u16,
    /// The sequence number of the request that it answers.
    pub(crate) sequence: u32,
    /// What follows the netlink header.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The messages of one datagram, up to the first that does not fit.
    pub(crate) fn all(mut datagram: &'a [u8]) -> impl Iterator<Item = Message<'a>> {
        std::iter::from_fn(move || {
            let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
            let message = Message {
                kind: u16_at(datagram, 4)?,
                sequence: u32_at(datagram, 8)?,
                body: datagram.get(HEADER..length)?,
            };
            datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some(message)
        })
    }

    /// The attributes behind a fixed header of so many bytes.
    pub(crate) fn attributes(&self, header: usize) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        Attribute::all(self.body.get(header..).unwrap_or_default())
    }
}

/// One attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute<'a> {
    /// Its type, without flags.
    pub(crate) kind: u16,
    /// Its value.
    pub(crate) payload: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` are flags in the type.
    const KIND: u16 = 0x3fff;

    /// The attributes in a row of bytes, up to the first that does not fit.
    pub(crate) fn all(mut bytes: &'a [u8]) -> impl Iterator<Item = Attribute<'a>> {
        std::iter::from_fn(move || {
            let length = usize::from(u16_at(bytes, 0)?);
            let attribute = Attribute {
                kind: u16_at(bytes, 2)? & Self::KIND,
                payload: bytes.get(4..length)?,
            };
            bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some(attribute)
        })
    }

    /// The attributes in this one.
    pub(crate) fn nested(&self) -> impl Iterator<Item = Attribute<'a>> + use<'a> {
        Attribute::all(self.payload)
    }

    /// The value as a number of four bytes.
    pub(crate) fn u32(&self) -> Option<u32> {
        u32_at(self.payload, 0)
    }

    /// The value as text, without the zero at its end.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let text = self.payload.split(|&byte| byte == 0).next()?;
        std::str::from_utf8(text).ok()
    }
}

/// The number at an offset; none behind the end.
pub(crate) fn u16_at(bytes: &[u8], offset: usize) -> Option<u16> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}

/// The number at an offset; none behind the end.
pub(crate) fn u32_at(bytes: &[u8], offset: usize) -> Option<u32> {
    let bytes = bytes.get(offset..)?.first_chunk()?;
    Some(u32::from_ne_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_request_reads_back() {
        let request = Request::new(26, libc::NLM_F_ACK, &[1, 2, 3, 4])
            .with(1, &[5; 5])
            .with(2, b"eth0\0");
        let bytes = request.finish(7);
        let messages: Vec<_> = Message::all(&bytes).collect();
        assert_eq!(messages.len(), 1);
        assert_eq!((messages[0].kind, messages[0].sequence), (26, 7));
        assert_eq!(messages[0].body[..4], [1, 2, 3, 4]);
        let attributes: Vec<_> = messages[0].attributes(4).collect();
        assert_eq!(attributes.len(), 2);
        assert_eq!(attributes[0].payload, [5; 5]);
        assert_eq!(attributes[1].text(), Some("eth0"));
    }

    proptest! {
        #[test]
        fn any_bytes_end(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let messages: Vec<_> = Message::all(&bytes).collect();
            prop_assert!(messages.len() <= bytes.len() / HEADER);
            prop_assert!(Attribute::all(&bytes).count() <= bytes.len() / 4);
            for message in messages {
                prop_assert!(message.attributes(8).count() <= message.body.len() / 4);
            }
        }

        #[test]
        fn attributes_read_back(values in proptest::collection::vec((0u16..0x3fff, proptest::collection::vec(any::<u8>(), 0..20)), 0..9)) {
            let request = values.iter().fold(
                Request::new(1, 0, &[]),
                |request, (kind, payload)| request.with(*kind, payload),
            );
            let bytes = request.finish(1);
            let message = Message::all(&bytes).next().unwrap();
            let read: Vec<_> = message.attributes(0).map(|a| (a.kind, a.payload.to_vec())).collect();
            prop_assert_eq!(read, values);
        }
    }
}
