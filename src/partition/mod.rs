//! A log plus what Kafka says about it: offsets, epochs, producer state, waiting fetches.
