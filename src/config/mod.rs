//! THE table of config keys, and the files and variables they come from.
