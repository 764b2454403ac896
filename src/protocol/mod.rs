//! Kafka's messages: one table per message, one codec for all versions; pure.
