//! One snapshot type for everything that looks at calls: the query reply, the CLI, metrics.

/// A call at one moment.
#[derive(Clone, Debug, Default)]
pub struct CallSnapshot {}
