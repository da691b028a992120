//! All that the keys of one message say, whatever the command.

use std::time::Duration;

use crate::call::{CallId, SignalOptions, Tag};

use super::media_keys::MediaKeys;
use super::{RequestError, given};

/// What a message says. Keys of options are applied in the order in which they stand in it.
#[derive(Debug, Default)]
pub(in crate::control) struct Message {
    pub(in crate::control) sdp: Option<String>,
    pub(in crate::control) call_id: Option<String>,
    pub(in crate::control) from_tag: Option<String>,
    pub(in crate::control) to_tag: Option<String>,
    pub(super) via_branch: Option<String>,
    /// `limit`; what is no number does not count.
    pub(super) limit: Option<i64>,
    /// `offset` of `relay calls`.
    pub(super) offset: usize,
    /// `state` of `relay kernel`.
    pub(super) state: Option<String>,
    /// `delete-delay`; none if it is left to the configuration.
    pub(super) delete_delay: Option<Duration>,
    /// Flag `to-tag` of `delete`.
    pub(super) to_tag_counts: bool,
    /// Flag `fatal`.
    pub(super) fatal: bool,
    /// Flag `fast`.
    pub(super) fast: bool,
    /// Flag `fragment`.
    pub(super) fragment: bool,
    /// `SIP-code`.
    pub(super) sip_code: Option<i64>,
    /// `SIP-message-type` says that it is a response.
    pub(super) is_response: bool,
    /// `supports` names `load limit`.
    pub(super) load_limit: bool,
    /// Whether options came in a string of flags.
    pub(super) has_flag_string: bool,
    /// What only commands about media ask for.
    pub(super) media: MediaKeys,
    /// A value that an offer or answer must not have.
    pub(super) error: Option<RequestError>,
    /// Whether `label` is there, be it empty.
    pub(super) named_by_label: bool,
    /// The options of an offer or answer.
    pub(super) options: SignalOptions,
}

impl Message {
    /// The call-id, where it is all that a command needs.
    pub(super) fn call_id(&self) -> Result<CallId, RequestError> {
        self.call_id
            .as_deref()
            .map(CallId::from)
            .ok_or(RequestError::NoCallId)
    }

    /// The tag of the other party, where a command needs one.
    pub(super) fn to_tag(&self) -> Result<Tag, RequestError> {
        given(self.to_tag.as_deref()).ok_or(RequestError::NoToTag)
    }
}
