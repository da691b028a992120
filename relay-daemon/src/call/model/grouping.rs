//! What a section knows of the bundle that it is in (RFC 9143).

use crate::call::section::ice::Ice;
use crate::sdp::Text;

/// A section and the others of its party.
#[derive(Clone, Debug, Default)]
pub(in crate::call) struct Bundle {
    /// The group that was offered to the party, or that it offered and was granted.
    pub(in crate::call) group: Option<Group>,
    /// Whose transport the section is on.
    pub(in crate::call) transport: Transport,
    /// Whether the party has answered to the group that it was offered.
    pub(in crate::call) answered: bool,
    /// Whether the section was ever in a group: then the party may bundle it again without being asked.
    pub(in crate::call) was_granted: bool,
    /// Whether the last answer has rejected the section.
    pub(in crate::call) was_refused: bool,
    /// Whether the section was in a group when the newest message came.
    pub(in crate::call) was_grouped: bool,
    /// `a=mid` as the party knows it: what it offered last, else what it was offered first.
    pub(in crate::call) mid: Option<Text>,
    /// Identifier of the header extension with the mid in an offer to the party.
    pub(in crate::call) mid_extension: Option<u8>,
    /// Whether it was offered before already, and stands before those of the newest offer.
    pub(in crate::call) extension_lasts: bool,
    /// The same identifier, if it was offered by us alone, and not by who made the offer: that of the last such offer.
    pub(in crate::call) added_extension: Option<u8>,
    /// The same, once it is in use between the party and us, and for whom it is.
    pub(in crate::call) own_extension: Option<OwnExtension>,
    /// ICE as the newest offer negotiated it for the section alone, while it has that of another one.
    pub(in crate::call) own_ice: Option<Box<Ice>>,
}

/// A header extension with the mid that a party has agreed on with us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct OwnExtension {
    pub(in crate::call) id: u8,
    /// Whether others have nothing to do with it: it was we who offered it.
    pub(in crate::call) is_hidden: bool,
}

/// A group that a section belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) struct Group {
    /// Index of the section whose transport is for all.
    pub(in crate::call) lead: usize,
    /// Whether the section has no other.
    pub(in crate::call) only: bool,
    /// Whether the party itself offered the group.
    pub(in crate::call) by_party: bool,
}

/// Whose transport a section is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::call) enum Transport {
    /// Its own.
    #[default]
    Own,
    /// Its own or that of a section of its group: the party has not said.
    Either(usize),
    /// That of a section of its group, perhaps itself.
    Of(usize),
}

impl Bundle {
    /// Index of the section whose ports serve the one at `index`, if they are not its own.
    pub(in crate::call) fn carrier(&self, index: usize) -> Option<usize> {
        let only = self.group.is_some_and(|group| group.only);
        let lead = match self.transport {
            Transport::Of(lead) => Some(lead),
            Transport::Either(lead) if only => Some(lead),
            Transport::Own | Transport::Either(_) => None,
        };
        lead.filter(|lead| *lead != index)
    }

    /// Whether the section is in a group that the party knows of, and that has not come to nothing.
    pub(in crate::call) fn is_grouped(&self) -> bool {
        self.group.is_some() && self.transport != Transport::Own
    }

    /// Whether the party has said that the section is on the transport of its group.
    pub(in crate::call) fn is_at_lead(&self) -> bool {
        matches!(self.transport, Transport::Of(_))
    }

    /// Whether the party was offered a group, and has not answered.
    pub(in crate::call) fn is_pending(&self) -> bool {
        !self.answered && self.group.is_some_and(|group| !group.by_party)
    }

    pub(in crate::call) fn lead(&self) -> Option<usize> {
        match self.transport {
            Transport::Own => None,
            Transport::Either(lead) | Transport::Of(lead) => Some(lead),
        }
    }

    /// Whether it is on the transport of its group, as far as is known.
    pub(in crate::call) fn is_joined(&self) -> bool {
        match self.transport {
            Transport::Of(_) => true,
            Transport::Either(_) => self.group.is_some_and(|group| group.only),
            Transport::Own => false,
        }
    }

    pub(in crate::call) fn leave(&mut self) {
        self.group = None;
        self.transport = Transport::Own;
    }
}
