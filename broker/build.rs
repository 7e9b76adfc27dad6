//! Generates the server side of the public gRPC services from the compiled schema.
//!
//! `MarketDataService` is described by hand, because its stream has a codec of its own: what it
//! sends is Gateway's bytes in an envelope, never decoded.

use std::error::Error;
use std::{env, fs};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic_build::manual::{Method, Service};

const BY_HAND: &str = "MarketDataService";

fn main() -> Result<(), Box<dyn Error>> {
    let path = env::var("DEP_IBOUNCER_SCHEMA_DESCRIPTOR")?;
    println!("cargo::rerun-if-changed={path}");
    let mut schema = FileDescriptorSet::decode(&fs::read(path)?[..])?;
    for file in &mut schema.file {
        file.service.retain(|service| service.name() != BY_HAND);
    }
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".ibouncer.v1", "::ibouncer_proto::api::v1")
        .extern_path(".ibouncer.link.v1", "::ibouncer_proto::link::v1")
        .extern_path(".tws.v1", "::ibouncer_proto::tws::v1")
        .compile_fds(schema)?;

    let stream = Method::builder()
        .name("stream_market_data")
        .route_name("StreamMarketData")
        .input_type("::ibouncer_proto::api::v1::StreamMarketDataRequest")
        .output_type("crate::grpc::codec::Pull")
        .codec_path("crate::grpc::codec::StreamCodec")
        .client_streaming()
        .server_streaming()
        .build();
    let snapshot = Method::builder()
        .name("get_snapshot")
        .route_name("GetSnapshot")
        .input_type("::ibouncer_proto::api::v1::GetSnapshotRequest")
        .output_type("::ibouncer_proto::api::v1::GetSnapshotResponse")
        .codec_path("::tonic_prost::ProstCodec")
        .build();
    let market_data = Service::builder()
        .name(BY_HAND)
        .package("ibouncer.v1")
        .method(stream)
        .method(snapshot)
        .build();
    tonic_build::manual::Builder::new().build_client(false).compile(&[market_data]);
    Ok(())
}
