//! Compiles `schema/` with protox (no `protoc` needed) into Rust types, into one descriptor set
//! for reflection, into a list of the files themselves for `ibouncer schema export`, and into a table of
//! the fields of Gateway's messages (`src/tws/readable.rs`).

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

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

    fs::write(out.join("shapes.rs"), shapes(&descriptors.file)?)?;

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

/// Every message of package `tws.v1`, and what each of its fields is, at the index of its number.
fn shapes(files: &[FileDescriptorProto]) -> Result<String, Box<dyn Error>> {
    let mut messages = Vec::new();
    for file in files.iter().filter(|file| file.package() == "tws.v1") {
        for message in &file.message_type {
            flatten(".tws.v1", message, &mut messages);
        }
    }
    let mut table = String::from("&[\n");
    for (name, message) in &messages {
        let last = message.field.iter().map(|field| field.number()).max().unwrap_or_default();
        let mut fields = vec!["Kind::Unknown".to_owned(); usize::try_from(last)? + 1];
        for field in &message.field {
            fields[usize::try_from(field.number())?] = kind(field, &messages)?;
        }
        let short = name.trim_start_matches(".tws.v1.");
        writeln!(table, "    Shape::new({short:?}, &[{}]),", fields.join(", "))?;
    }
    table.push_str("]\n");
    Ok(table)
}

fn flatten<'a>(
    parent: &str,
    message: &'a DescriptorProto,
    messages: &mut Vec<(String, &'a DescriptorProto)>,
) {
    let name = format!("{parent}.{}", message.name());
    for nested in &message.nested_type {
        flatten(&name, nested, messages);
    }
    messages.push((name, message));
}

fn kind(
    field: &FieldDescriptorProto,
    messages: &[(String, &DescriptorProto)],
) -> Result<String, Box<dyn Error>> {
    let plain = match field.r#type() {
        Type::String => return Ok("Kind::Text".into()),
        Type::Bytes => return Ok("Kind::Bytes".into()),
        Type::Message => {
            let of = messages.iter().position(|(name, _)| name == field.type_name());
            let of = of.ok_or_else(|| format!("{} is not of tws.v1", field.type_name()))?;
            return Ok(format!("Kind::Message({of})"));
        }
        Type::Group => return Err("a group has no place in the table".into()),
        Type::Double | Type::Fixed64 | Type::Sfixed64 => "Fixed64",
        Type::Float | Type::Fixed32 | Type::Sfixed32 => "Fixed32",
        Type::Int64
        | Type::Uint64
        | Type::Int32
        | Type::Bool
        | Type::Uint32
        | Type::Enum
        | Type::Sint32
        | Type::Sint64 => "Varint",
    };
    let many = if field.label() == Label::Repeated { "Many" } else { "" };
    Ok(format!("Kind::{many}{plain}"))
}
