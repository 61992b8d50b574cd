//! The clock of the fleet: sweep, outbox relay, recorder of parked events, partitions.
