// SPDX-License-Identifier: Apache-2.0
//! The traits and messages of rustls as this compiler lays them out, with a cipher that is none; --cfg old: those of 0.21.
//! tests/integration/rustls.sh has the real ones, which take minutes to build.
//!
//! usage: rustls_target serve PORT | ask PORT     answers each byte it reads with one; to ask, after a request

#![allow(dead_code)]

use std::hint::black_box;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

#[cfg(not(old))]
static SOURCE: &str = "/registry/src/index.crates.io-0/rustls-0.23.46/src/conn.rs";
#[cfg(old)]
static SOURCE: &str = "/registry/src/index.crates.io-0/rustls-0.21.12/src/conn.rs";

mod rustls {
    #[derive(Clone, Copy)]
    pub enum ContentType {
        ChangeCipherSpec,
        Alert,
        Handshake,
        ApplicationData,
        Heartbeat,
        Unknown(u8),
    }
    #[derive(Clone, Copy)]
    #[allow(non_camel_case_types)]
    pub enum ProtocolVersion {
        SSLv2,
        SSLv3,
        TLSv1_0,
        TLSv1_1,
        TLSv1_2,
        TLSv1_3,
        DTLSv1_0,
        DTLSv1_2,
        DTLSv1_3,
        Unknown(u16),
    }
    pub enum Error {
        Inappropriate { expected: Vec<ContentType>, got: ContentType },
        Decrypt,
        General(String),
    }

    /// As large, as aligned and as easy to drop as a key of ring.
    #[repr(align(16))]
    pub struct Key {
        pub schedule: [u8; 544],
        pub nonce: [u8; 12],
    }

    pub const OVERHEAD: usize = 17;

    pub fn apply(key: &Key, seq: u64, bytes: &mut [u8]) {
        for byte in bytes {
            *byte ^= key.nonce[seq as usize % 12] ^ key.schedule[0];
        }
    }
}

#[cfg(old)]
mod messages {
    use crate::rustls::*;

    pub struct Payload(pub Vec<u8>);
    pub struct Opaque {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: Payload,
    }
    pub type Sealed = Opaque;
    pub struct Plain {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: Payload,
    }
    pub struct Borrowed<'a> {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: &'a [u8],
    }

    pub trait MessageEncrypter: Send + Sync {
        fn encrypt(&self, message: Borrowed, seq: u64) -> Result<Sealed, Error>;
    }
    pub trait MessageDecrypter: Send + Sync {
        fn decrypt(&self, message: Opaque, seq: u64) -> Result<Plain, Error>;
    }

    pub struct Encrypter(pub Key);
    pub struct Decrypter(pub Key);
    impl MessageEncrypter for Encrypter {
        fn encrypt(&self, message: Borrowed, seq: u64) -> Result<Sealed, Error> {
            let mut payload = Vec::with_capacity(message.payload.len() + OVERHEAD);
            payload.extend_from_slice(message.payload);
            payload.extend_from_slice(&[0; OVERHEAD]);
            apply(&self.0, seq, &mut payload);
            Ok(Sealed { typ: message.typ, version: message.version, payload: Payload(payload) })
        }
    }
    impl MessageDecrypter for Decrypter {
        fn decrypt(&self, mut message: Opaque, seq: u64) -> Result<Plain, Error> {
            let payload = &mut message.payload.0;
            if payload.len() < OVERHEAD {
                return Err(Error::Decrypt);
            }
            apply(&self.0, seq, payload);
            payload.truncate(payload.len() - OVERHEAD);
            Ok(Plain { typ: message.typ, version: ProtocolVersion::TLSv1_3, payload: message.payload })
        }
    }

    pub fn encrypter(key: Key) -> Box<dyn MessageEncrypter> {
        Box::new(Encrypter(key))
    }
    pub fn decrypter(key: Key) -> Box<dyn MessageDecrypter> {
        Box::new(Decrypter(key))
    }

    pub fn seal(encrypter: &mut dyn MessageEncrypter, plain: &[&[u8]], seq: &mut u64, out: &mut dyn FnMut(Vec<u8>)) {
        // What is written lies where the caller has it until it is sent.
        for payload in plain.iter().flat_map(|chunk| chunk.chunks(16384)) {
            let message = Borrowed { typ: ContentType::ApplicationData, version: ProtocolVersion::TLSv1_2, payload };
            let Ok(sealed) = encrypter.encrypt(message, *seq) else { panic!("sealing") };
            *seq += 1;
            out(sealed.payload.0);
        }
    }

    pub fn open(decrypter: &mut dyn MessageDecrypter, sealed: &mut [u8], seq: u64, data: &mut Vec<u8>) {
        let message = Opaque {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: Payload(sealed.to_vec()),
        };
        let Ok(plain) = decrypter.decrypt(message, seq) else { panic!("opening") };
        data.extend_from_slice(&plain.payload.0);
    }
}

#[cfg(not(old))]
mod messages {
    use crate::rustls::*;

    pub enum Chunks<'a> {
        Single(&'a [u8]),
        Multiple { chunks: &'a [&'a [u8]], start: usize, end: usize },
    }
    pub struct Outbound<'a> {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: Chunks<'a>,
    }
    pub struct Sealed {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: Vec<u8>,
    }
    pub struct BorrowedPayload<'a>(pub &'a mut [u8]);
    pub struct Opaque<'a> {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: BorrowedPayload<'a>,
    }
    pub struct Plain<'a> {
        pub typ: ContentType,
        pub version: ProtocolVersion,
        pub payload: &'a [u8],
    }

    pub trait MessageEncrypter: Send + Sync {
        fn encrypt(&mut self, message: Outbound<'_>, seq: u64) -> Result<Sealed, Error>;
        fn encrypted_payload_len(&self, payload_len: usize) -> usize;
    }
    pub trait MessageDecrypter: Send + Sync {
        fn decrypt<'a>(&mut self, message: Opaque<'a>, seq: u64) -> Result<Plain<'a>, Error>;
    }
    pub trait AeadAlgorithm: Send + Sync {
        fn encrypter(&self, key: Key) -> Box<dyn MessageEncrypter>;
        fn decrypter(&self, key: Key) -> Box<dyn MessageDecrypter>;
        fn key_len(&self) -> usize;
    }

    pub struct Encrypter(pub Key);
    pub struct Decrypter(pub Key);
    impl MessageEncrypter for Encrypter {
        fn encrypt(&mut self, message: Outbound<'_>, seq: u64) -> Result<Sealed, Error> {
            let mut payload = Vec::new();
            match message.payload {
                Chunks::Single(chunk) => payload.extend_from_slice(chunk),
                Chunks::Multiple { chunks, start, end } => payload.extend_from_slice(&chunks.concat()[start..end]),
            }
            payload.extend_from_slice(&[0; OVERHEAD]);
            apply(&self.0, seq, &mut payload);
            Ok(Sealed { typ: message.typ, version: message.version, payload })
        }
        fn encrypted_payload_len(&self, payload_len: usize) -> usize {
            payload_len + OVERHEAD
        }
    }
    impl MessageDecrypter for Decrypter {
        fn decrypt<'a>(&mut self, message: Opaque<'a>, seq: u64) -> Result<Plain<'a>, Error> {
            let payload = message.payload.0;
            if payload.len() < OVERHEAD {
                return Err(Error::Decrypt);
            }
            apply(&self.0, seq, payload);
            let length = payload.len() - OVERHEAD;
            Ok(Plain { typ: message.typ, version: ProtocolVersion::TLSv1_3, payload: &payload[..length] })
        }
    }

    struct Aead;
    impl AeadAlgorithm for Aead {
        fn encrypter(&self, key: Key) -> Box<dyn MessageEncrypter> {
            Box::new(Encrypter(key))
        }
        fn decrypter(&self, key: Key) -> Box<dyn MessageDecrypter> {
            Box::new(Decrypter(key))
        }
        fn key_len(&self) -> usize {
            32
        }
    }
    static AEAD: &dyn AeadAlgorithm = &Aead;
    pub fn encrypter(key: Key) -> Box<dyn MessageEncrypter> {
        std::hint::black_box(AEAD).encrypter(key)
    }
    pub fn decrypter(key: Key) -> Box<dyn MessageDecrypter> {
        std::hint::black_box(AEAD).decrypter(key)
    }

    pub fn seal(encrypter: &mut dyn MessageEncrypter, plain: &[&[u8]], seq: &mut u64, out: &mut dyn FnMut(Vec<u8>)) {
        let total: usize = plain.iter().map(|chunk| chunk.len()).sum();
        for start in (0..total).step_by(16384) {
            let end = total.min(start + 16384);
            let payload = match plain {
                [chunk] => Chunks::Single(&chunk[start..end]),
                chunks => Chunks::Multiple { chunks, start, end },
            };
            let message = Outbound { typ: ContentType::ApplicationData, version: ProtocolVersion::TLSv1_2, payload };
            let Ok(sealed) = encrypter.encrypt(message, *seq) else { panic!("sealing") };
            *seq += 1;
            assert_eq!(sealed.payload.len(), encrypter.encrypted_payload_len(end - start));
            out(sealed.payload);
        }
    }

    pub fn open(decrypter: &mut dyn MessageDecrypter, sealed: &mut [u8], seq: u64, data: &mut Vec<u8>) {
        let message = Opaque {
            typ: ContentType::ApplicationData,
            version: ProtocolVersion::TLSv1_2,
            payload: BorrowedPayload(sealed),
        };
        let Ok(plain) = decrypter.decrypt(message, seq) else { panic!("opening") };
        data.extend_from_slice(plain.payload);
    }
}

use messages::{MessageDecrypter, MessageEncrypter};

struct Session {
    socket: TcpStream,
    encrypter: Box<dyn MessageEncrypter>,
    decrypter: Box<dyn MessageDecrypter>,
    sent: u64,
    received: u64,
    data: Vec<u8>,
}

impl Session {
    /// With the first records of a handshake, by which the socket is known to be TLS.
    fn new(mut socket: TcpStream, hello: u8) -> io::Result<Session> {
        let key = || black_box(rustls::Key { schedule: [0x5a; 544], nonce: *b"nonce-nonce-" });
        let mut record = vec![22, 3, 1, 0, 44, hello, 0, 0, 40, 3, 3];
        record.resize(49, 7);
        socket.write_all(&record)?;
        socket.read_exact(&mut record)?;
        let (encrypter, decrypter) = (messages::encrypter(key()), messages::decrypter(key()));
        Ok(Session { socket, encrypter, decrypter, sent: 0, received: 0, data: Vec::new() })
    }

    fn write(&mut self, plain: &[&[u8]]) -> io::Result<()> {
        let mut records = Vec::new();
        messages::seal(self.encrypter.as_mut(), plain, &mut self.sent, &mut |sealed| {
            records.extend_from_slice(&[23, 3, 3, (sealed.len() >> 8) as u8, sealed.len() as u8]);
            records.extend_from_slice(&sealed);
        });
        self.socket.write_all(&records)
    }

    fn read(&mut self) -> io::Result<()> {
        let mut header = [0; 5];
        self.socket.read_exact(&mut header)?;
        let mut record = vec![0; usize::from(header[3]) << 8 | usize::from(header[4])];
        self.socket.read_exact(&mut record)?;
        messages::open(self.decrypter.as_mut(), &mut record, self.received, &mut self.data);
        self.received += 1;
        Ok(())
    }

    /// The body of a message that has come whole.
    fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let text = String::from_utf8_lossy(&self.data);
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let size: usize = head.rsplit(' ').next().and_then(|size| size.parse().ok()).expect("a length");
                let all = head.len() + 4 + size;
                if self.data.len() >= all {
                    let body = self.data[all - size..all].to_vec();
                    self.data.drain(..all);
                    return Ok(body);
                }
            }
            self.read()?;
        }
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            let body = self.message()?;
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
            self.write(&[head.as_bytes(), &body])?;
        }
    }

    fn ask(&mut self, size: usize) -> io::Result<()> {
        let request = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size));
        self.write(&[request.as_bytes()])?;
        assert_eq!(self.message()?.len(), size);
        Ok(())
    }
}

/// Calls back for each byte it reads, and answers it, until there are no more.
fn for_each_byte(mut act: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut bytes = [0; 256];
    loop {
        let got = io::stdin().read(&mut bytes)?;
        if got == 0 {
            return Ok(());
        }
        for _ in 0..got {
            act()?;
        }
        io::stdout().write_all(&bytes[..got])?;
        io::stdout().flush()?;
    }
}

fn ask(port: u16) -> io::Result<()> {
    let (mut asked, mut session) = (0, None);
    for_each_byte(|| {
        if asked % 10 == 0 {
            session = Some(Session::new(TcpStream::connect(("127.0.0.1", port))?, 1)?);
        }
        asked += 1;
        session.as_mut().expect("a session").ask(asked * 997 % 40_000)
    })
}

fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    std::thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            std::thread::spawn(move || Session::new(socket, 2)?.serve());
        }
    });
    for_each_byte(|| Ok(()))
}

fn main() -> io::Result<()> {
    let arguments: Vec<_> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "serve", port] => serve(port.parse().expect("a port")),
        [_, "ask", port] => ask(port.parse().expect("a port")),
        _ => panic!("{SOURCE}: usage: rustls_target serve PORT | ask PORT"),
    }
}
