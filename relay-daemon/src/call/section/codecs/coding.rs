//! Which codecs can be decoded and encoded here.

use crate::codec::Kind;
use crate::plan::Coding;
use crate::sdp::Codec;

/// What a payload type means, if it can be decoded and encoded on this machine.
pub(in crate::call) fn coding(codec: &Codec) -> Option<Coding> {
    let rtpmap = codec.rtpmap.as_ref()?;
    Some(Coding {
        payload_type: codec.payload_type,
        kind: Kind::new(&rtpmap.encoding, rtpmap.clock_rate, rtpmap.channels)?,
        clock_rate: rtpmap.clock_rate,
    })
}
