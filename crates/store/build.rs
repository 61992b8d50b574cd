//! A new migration is embedded without anything else being changed.

fn main() {
    println!("cargo::rerun-if-changed=../../migrations");
}
