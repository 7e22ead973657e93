//! What must be refused, and the little that must not.
