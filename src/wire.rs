//! Primitive types of the Kafka wire format: bytes <-> typed values, pure.
