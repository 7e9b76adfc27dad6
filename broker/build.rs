//! Generates the server side of the public gRPC services from the compiled schema.
//!
//! One service is ordinary. In all others answers and events are bytes, mostly Gateway's in an
//! envelope and never decoded: their methods get codecs of our own.

use std::error::Error;
use std::{env, fs};

use prost::Message as _;
use prost_types::{FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto};
use tonic_build::manual::{Method, Service};

const ORDINARY: [&str; 1] = ["AdminService"];

/// Requests whose bodies go on to Gateway as they came: also what we do not know of them.
const RAW: [&str; 6] =
    ["PlaceOrder", "PlaceOrders", "ModifyOrder", "CancelOrder", "PreviewOrder", "ExerciseOptions"];

const PACKAGE: &str = "ibouncer.v1";

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var("DEP_IBOUNCER_SCHEMA_DESCRIPTOR")?;
    println!("cargo::rerun-if-changed={path}");
    let mut schema = FileDescriptorSet::decode(&fs::read(path)?[..])?;
    let mut by_bytes = Vec::new();
    for file in &mut schema.file {
        let services = std::mem::take(&mut file.service);
        let (ordinary, ours): (Vec<_>, Vec<_>) =
            services.into_iter().partition(|service| ORDINARY.contains(&service.name()));
        file.service = ordinary;
        if file.package.as_deref() == Some(PACKAGE) {
            by_bytes.extend(ours.iter().map(service));
        }
    }
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".ibouncer.v1", "::ibouncer_proto::api::v1")
        .extern_path(".ibouncer.link.v1", "::ibouncer_proto::link::v1")
        .extern_path(".tws.v1", "::ibouncer_proto::tws::v1")
        .compile_fds(schema)?;
    tonic_build::manual::Builder::new().build_client(false).compile(&by_bytes);
    let names: Vec<_> =
        by_bytes.iter().map(|service| include_of(tonic_build::Service::name(service))).collect();
    fs::write(format!("{}/by_bytes.rs", env::var("OUT_DIR")?), names.concat())?;
    Ok(())
}

fn service(service: &ServiceDescriptorProto) -> Service {
    let methods = service.method.iter().map(method);
    methods
        .fold(Service::builder().name(service.name()).package(PACKAGE), |made, method| {
            made.method(method)
        })
        .build()
}

fn method(method: &MethodDescriptorProto) -> Method {
    let input = method.input_type().trim_start_matches(".ibouncer.v1.").to_owned();
    let input = if RAW.contains(&method.name()) {
        "crate::grpc::raw::Raw".to_owned()
    } else {
        format!("::ibouncer_proto::api::v1::{input}")
    };
    let made =
        Method::builder().name(snake(method.name())).route_name(method.name()).input_type(input);
    let made = made
        .output_type("crate::grpc::codec::Answer")
        .codec_path("crate::grpc::codec::AnswerCodec");
    let made = if method.server_streaming() { made.server_streaming() } else { made };
    if method.client_streaming() { made.client_streaming().build() } else { made.build() }
}

fn include_of(service: &str) -> String {
    format!("include!(concat!(env!(\"OUT_DIR\"), \"/{PACKAGE}.{service}.rs\"));\n")
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}
