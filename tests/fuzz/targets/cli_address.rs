#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| omnigent_fuzz_cli::fuzz::cli_address(data));
