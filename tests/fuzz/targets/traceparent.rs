#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| omnigent_server::fuzz::traceparent(data));
