#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| omnigent_fuzz_htpasswd::fuzz::htpasswd(data));
