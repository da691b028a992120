//! The port pool and its binding.
