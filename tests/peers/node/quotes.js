#!/usr/bin/env node
// Streams quotes from IBouncer, with a client that is built at run time from its .proto files.
//
//   node quotes.js --schema DIR --target unix:/PATH|HOST:PORT [--token T] [--count N]
//                  [--for SECONDS] SYMBOL...
//
// Prints JSON lines. Ends after N ticks or after the time, whichever is first. Exit code: 0 if at
// least one tick came for every symbol and the stream did not break, 1 otherwise, 2 for bad usage.
"use strict";

const path = require("node:path");
const { parseArgs } = require("node:util");

const grpc = require("@grpc/grpc-js");
const protoLoader = require("@grpc/proto-loader");

const SCHEMA_FILE = "ibouncer/v1/market_data.proto";
// Numbers with which IB names the commonest tick types.
const FIELDS = {
  0: "bid_size",
  1: "bid",
  2: "ask",
  3: "ask_size",
  4: "last",
  5: "last_size",
  6: "high",
  7: "low",
  8: "volume",
  9: "close",
  14: "open",
  45: "last_timestamp",
  49: "halted",
};
const VALUES = {
  tick_price: (tick) => tick.price,
  tick_size: (tick) => Number(tick.size),
  tick_generic: (tick) => tick.value,
  tick_string: (tick) => tick.value,
};

main();

function main() {
  const options = readArguments(process.argv.slice(2));
  const client = makeClient(options);
  const ticks = new Map(options.symbols.map((symbol) => [symbol, 0]));
  const call = client.StreamMarketData(makeMetadata(options));
  let total = 0;
  let ending = false;

  function end(broken) {
    if (ending) {
      return;
    }
    ending = true;
    clearTimeout(timer);
    call.cancel();
    client.close();
    const complete = [...ticks.values()].every((count) => count > 0);
    print({ event: "summary", ticks: total, complete, broken });
    process.exitCode = complete && !broken ? 0 : 1;
  }

  const timer = setTimeout(() => end(false), options.seconds * 1000);

  call.on("data", (response) => {
    for (const event of response.events) {
      const symbol = options.symbols[event.subscription_id - 1];
      if (ending || !report(event, symbol)) {
        continue;
      }
      ticks.set(symbol, ticks.get(symbol) + 1);
      total += 1;
      if (total === options.count) {
        end(false);
      }
    }
  });
  call.on("error", (error) => {
    if (!ending) {
      print({ event: "error", ...describe(error) });
    }
    end(true);
  });
  call.on("end", () => end(true));

  options.symbols.forEach((symbol, index) => {
    const contract = { symbol, sec_type: "STK", exchange: "SMART", currency: "USD" };
    call.write({ subscribe: { subscription_id: index + 1, request: { contract } } });
  });
}

function readArguments(given) {
  try {
    const { values, positionals } = parseArgs({
      args: given,
      allowPositionals: true,
      options: {
        schema: { type: "string" },
        target: { type: "string" },
        token: { type: "string" },
        count: { type: "string", default: "0" },
        for: { type: "string", default: "10" },
      },
    });
    const count = Number(values.count);
    const seconds = Number(values.for);
    if (!values.schema || !values.target || positionals.length === 0) {
      throw new Error("--schema, --target and a symbol are needed");
    }
    if (!Number.isInteger(count) || count < 0 || !(seconds > 0)) {
      throw new Error("--count and --for are numbers");
    }
    return { ...values, count, seconds, symbols: positionals };
  } catch (error) {
    process.stderr.write(`quotes.js: ${error.message}\n`);
    process.exit(2);
  }
}

function makeClient(options) {
  const definition = protoLoader.loadSync(SCHEMA_FILE, {
    includeDirs: [path.resolve(options.schema)],
    keepCase: true,
    longs: Number,
    enums: String,
    oneofs: true,
    defaults: true,
  });
  const { ibouncer } = grpc.loadPackageDefinition(definition);
  return new ibouncer.v1.MarketDataService(options.target, grpc.credentials.createInsecure(), {
    // A socket's path is no valid :authority.
    ...(options.target.startsWith("unix:") ? { "grpc.default_authority": "localhost" } : {}),
    "grpc.enable_http_proxy": 0,
  });
}

function makeMetadata(options) {
  const metadata = new grpc.Metadata();
  metadata.set("x-client-name", `quotes.js@${process.pid}`);
  if (options.token && !options.target.startsWith("unix:")) {
    metadata.set("authorization", `Bearer ${options.token}`);
  }
  return metadata;
}

// Prints one event; true if it was a tick.
function report(event, symbol) {
  const body = event[event.body];
  const value = VALUES[event.body];
  if (value) {
    const field = FIELDS[body.tick_type] ?? `tick_${body.tick_type}`;
    print({ event: "tick", symbol, field, value: value(body), sequence: event.sequence });
    return true;
  }
  if (event.body === "mark") {
    const kind = body.kind.replace(/^MARK_KIND_/, "");
    const error = body.error ? { error: body.error } : {};
    print({ event: "mark", symbol, kind, because: body.because, epoch: body.epoch, ...error });
  } else if (event.body === "error") {
    print({ event: "notice", symbol, code: body.error_code, message: body.error_msg });
  } else {
    print({ event: "info", symbol, kind: event.body ?? "unknown" });
  }
  return false;
}

function describe(error) {
  const trailer = (name) => error.metadata?.get(`ibouncer-${name}`)[0] ?? null;
  return {
    status: grpc.status[error.code] ?? String(error.code),
    message: error.details,
    code: trailer("code"),
    source: trailer("source"),
    retry: trailer("retry"),
  };
}

function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}
