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
    let written = Bindgen::new()
        .input_path(module)
        .out_name("core")
        .typescript(true)
        .web(true)
        .and_then(|bindgen| bindgen.generate(out.join("web")))
        .and_then(|()| {
            Bindgen::new().input_path(module).out_name("core").typescript(true).nodejs(true)?.generate(out.join("nodejs"))
        });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{module}: {error:?}");
            ExitCode::FAILURE
        }
    }
}
