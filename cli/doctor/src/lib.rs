//! Says why Gateway does not answer: passive looks first, then at most one handshake.
