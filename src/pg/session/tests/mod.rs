//! What a session makes of rows, without a server.

mod moved;
