//! Claims runs and walks them.
