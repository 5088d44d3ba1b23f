// SPDX-License-Identifier: Apache-2.0
//! Panics once for each byte it reads, catches the panic, and answers with the byte.
use std::io::{Read, Write};
use std::panic;

fn main() {
    panic::set_hook(Box::new(|_| {}));
    let mut bytes = [0; 4096];
    loop {
        let got = std::io::stdin().read(&mut bytes).unwrap_or(0);
        if got == 0 {
            return;
        }
        for i in 0..got {
            let caught = panic::catch_unwind(|| {
                if i % 2 == 0 {
                    panic!("panic {}", i)
                }
                let none: [u8; 0] = [];
                std::hint::black_box(&none[..])[i]
            });
            assert!(caught.is_err());
        }
        if std::io::stdout().write_all(&bytes[..got]).is_err() || std::io::stdout().flush().is_err() {
            return;
        }
    }
}
