//! The protocol front-end: listener, connections, API table, handlers.
