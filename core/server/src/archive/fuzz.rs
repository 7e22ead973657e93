//! Archives under fuzzing: backups and exports somebody may have altered.

#![allow(clippy::panic, reason = "a broken promise is a panic")]

use super::{Sealer, read};

/// The lines of an archive; the last one, with the right checksum, is added. A whole one is read and
/// adds up; one with a byte changed is not; no message holds a key.
pub fn backup(data: &[u8]) {
    let _ = read(data, &mut ());
    let mut sealer = Sealer::new(Vec::new());
    let _ = sealer.write(data);
    let Ok(mut whole) = sealer.finish() else {
        panic!("memory can be written");
    };
    match read(whole.as_slice(), &mut ()) {
        Ok(summary) => {
            assert_eq!(summary.by_table.values().sum::<u64>(), summary.records);
            for at in [0, whole.len() / 2, whole.len() - 2] {
                whole[at] ^= 1;
                assert!(
                    read(whole.as_slice(), &mut ()).is_err(),
                    "byte {at} was altered"
                );
                whole[at] ^= 1;
            }
            let cut = &whole[..whole.len() - 1];
            assert!(read(cut, &mut ()).is_err(), "it was cut");
            whole.push(b'\n');
            assert!(read(whole.as_slice(), &mut ()).is_err(), "there is more");
        }
        Err(error) => {
            let said = format!("{error} {error:?}");
            assert!(said.len() < 500, "it repeats what it read: {said}");
        }
    }
}
