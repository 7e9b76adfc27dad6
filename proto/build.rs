//! Compiles `schema/` with protox (no `protoc` needed) into Rust types, into one descriptor set
//! for reflection, and into a list of the files themselves for `ibouncer schema export`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("schema");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();

    let descriptors = protox::compile(&files, [&root])?;
    let descriptor_path = out.join("ibouncer_descriptor.bin");
    fs::write(&descriptor_path, descriptors.encode_to_vec())?;
    println!("cargo::metadata=descriptor={}", descriptor_path.display());

    prost_build::Config::new()
        .bytes(["."])
        .btree_map(["."])
        .enable_type_names()
        .compile_fds(descriptors)?;

    fs::write(out.join("schema_files.rs"), file_list(&root, &files)?)?;
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "proto") {
            files.push(path);
        }
    }
    Ok(())
}

fn file_list(root: &Path, files: &[PathBuf]) -> Result<String, Box<dyn Error>> {
    let mut list = String::from("&[\n");
    for file in files {
        let name = file.strip_prefix(root)?.to_str().ok_or("a schema path is not UTF-8")?;
        writeln!(list, "    ({name:?}, include_str!({file:?})),")?;
    }
    list.push_str("]\n");
    Ok(list)
}
