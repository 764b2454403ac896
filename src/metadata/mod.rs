//! Cluster metadata: KRaft records, image, controller.
