//! The only crate with lapin on the server side: topology, confirmed publishing, consuming.
