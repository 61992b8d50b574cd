//! Against a real broker: each test in a virtual host of its own.

mod consuming;
mod permissions;
mod publishing;
mod support;
mod topology;
