//! A whole session description.

use smallvec::SmallVec;

use super::{Attribute, Bandwidth, BlankLine, MediaSection, Origin, SdpError, Text, parse};

/// A session description as its sender wrote it.
///
/// Where a line stands twice, the last one counts, but the first attribute of each name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// `o=`, if it is there.
    pub origin: Option<Origin>,
    /// `s=`, if it is there. May be empty or a space.
    pub session_name: Option<Text>,
    /// `i=`
    pub information: Option<Text>,
    /// `u=`
    pub uri: Option<Text>,
    /// `e=`
    pub emails: SmallVec<[Text; 1]>,
    /// `p=`
    pub phones: SmallVec<[Text; 1]>,
    /// `b=` of the session.
    pub bandwidth: Bandwidth,
    /// `t=`
    pub timing: SmallVec<[Text; 1]>,
    /// `a=group`: semantics and media identifications.
    pub groups: SmallVec<[Text; 1]>,
    /// `a=ice-lite`
    pub ice_lite: bool,
    /// `a=rtpengine`: who has handled the SDP before.
    pub loop_id: Option<Text>,
    /// All attributes of the session, in the order of input.
    pub attributes: Vec<Attribute>,
    /// The media sections, in the order of input. What the session says for all of them is in each.
    pub media: Vec<MediaSection>,
}

impl Description {
    /// Parses an SDP. A blank line ends it; whatever follows is ignored.
    pub fn parse(sdp: &str) -> Result<Description, SdpError> {
        parse::parse(sdp, BlankLine::Ends)
    }

    /// Parses an SDP in which blank lines are treated as said.
    pub fn parse_with(sdp: &str, blank_line: BlankLine) -> Result<Description, SdpError> {
        parse::parse(sdp, blank_line)
    }

    /// Attributes of the session that are not the relay's: those that are copied.
    pub fn other_attributes(&self) -> impl Iterator<Item = &Attribute> {
        self.attributes.iter().filter(|attribute| !attribute.is_owned())
    }
}
