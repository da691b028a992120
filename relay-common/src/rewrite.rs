//! The header rewrite as a pure function: the model that the XDP program is tested against.
