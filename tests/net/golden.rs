//! The bytes of wire version 1, for ever.
