//! The only crate with SQL: schema, row-level security, and one statement per table per batch.
