//! pseudonym
