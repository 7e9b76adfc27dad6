//! Generates the client stubs, and server stubs for the tests of this package, from the
//! descriptor set that `ibouncer-proto` compiled. The messages themselves stay in
//! `ibouncer-proto`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost::Message as _;
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let descriptor = env::var("DEP_IBOUNCER_SCHEMA_DESCRIPTOR")?;
    println!("cargo::rerun-if-changed={descriptor}");
    println!("cargo::rerun-if-changed=build.rs");
    let descriptors = FileDescriptorSet::decode(fs::read(&descriptor)?.as_slice())?;

    let out = PathBuf::from(env::var("OUT_DIR")?);
    generate(descriptors.clone(), &out.join("client"), true)?;
    generate(descriptors, &out.join("server"), false)?;
    Ok(())
}

fn generate(
    descriptors: FileDescriptorSet,
    folder: &Path,
    client: bool,
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    tonic_prost_build::configure()
        .build_client(client)
        .build_server(!client)
        .extern_path(".ibouncer.v1", "::ibouncer_proto::api::v1")
        .extern_path(".ibouncer.link.v1", "::ibouncer_proto::link::v1")
        .extern_path(".tws.v1", "::ibouncer_proto::tws::v1")
        .out_dir(folder)
        .compile_fds(descriptors)?;
    Ok(())
}
