//! Writes the JavaScript around `wasm/web`'s module: `postroom-wasm-bindgen MODULE OUT_DIR`, which makes
//! `OUT_DIR/web` (an ES module for a worker) and `OUT_DIR/nodejs` (CommonJS, for the tests).
#![forbid(unsafe_code)]

use std::path::Path;
use std::process::ExitCode;

use wasm_bindgen_cli_support::Bindgen;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [module, out] = arguments.as_slice() else {
        eprintln!("usage: postroom-wasm-bindgen MODULE OUT_DIR");
        return ExitCode::FAILURE;
    };
    let out = Path::new(out);
    let tool = || {
        let mut tool = Bindgen::new();
        // Function names are a third of a megabyte that no user needs.
        tool.input_path(module).out_name("core").typescript(true).remove_name_section(true).remove_producers_section(true);
        tool
    };
    let write = || {
        tool().web(true)?.generate(out.join("web"))?;
        tool().nodejs(true)?.generate(out.join("nodejs"))
    };
    if let Err(error) = write() {
        eprintln!("{module}: {error:?}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
