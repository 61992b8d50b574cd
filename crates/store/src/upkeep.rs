//! What keeps tables within their bounds, and tells how they stand.

pub mod lag;
pub mod partitions;
pub mod retention;
pub mod usage;
