//! Offers and answers (RFC 3264).

/// Whether a message offers or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::call) enum Kind {
    Offer,
    Answer,
}
