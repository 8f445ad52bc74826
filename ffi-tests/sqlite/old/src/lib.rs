//! Only its dependency matters: the sources of an old SQLite.
