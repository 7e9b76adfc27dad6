//! What the suites of this package share: running programs, and waiting for conditions.
