//! The runtime facade: the only folder that names glommio, files, sockets, clocks, threads and random numbers.
