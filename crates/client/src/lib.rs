//! Publish domain events to Automation Engine with confirms, by the public contract alone.
