//! Thousands of connections that send whatever comes to mind, from a printed seed.

use bytes::{BufMut, BytesMut};
use chat_proto::frame;
use chat_proto::message::{Push, Reply, Request, ServerFrame};
use tokio::io::AsyncWriteExt;

use crate::harness::{Peer, Server, direct, hello, login, register, text};

/// splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }

    fn junk(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.draw() as u8).collect()
    }
}

/// A request that makes sense by itself, if not at this point.
fn request(random: &mut Random, peer: chat_proto::message::Identity) -> Request {
    match random.below(9) {
        0 => hello(None, None),
        1 => register("mallory"),
        2 => login("ada", "wrong password"),
        3 => Request::Ping,
        4 => Request::Devices,
        5 => Request::Typing(chat_core::ConversationId::Inbox(peer.user)),
        6 => Request::LogOut(chat_core::ClientId([random.draw() as u8; 16])),
        7 => Request::MarkRead {
            conversation: chat_core::ConversationId::Inbox(peer.user),
            seq: random.draw() >> 11,
        },
        _ => text(random.draw(), chat_core::ConversationId::Inbox(peer.user), "hi"),
    }
}

fn hostile_bytes(random: &mut Random, peer: &mut Peer, victim: chat_proto::message::Identity) -> BytesMut {
    let mut out = BytesMut::new();
    for _ in 0..random.below(12) {
        let request = request(random, victim);
        let mut frame = peer.frame(request).1;
        match random.below(8) {
            0 => frame.truncate(random.below(frame.len())),
            1 => {
                let at = random.below(frame.len());
                frame[at] ^= 1 << random.below(8);
            }
            2 => {
                let junk = random.junk(300);
                frame.clear();
                frame::put(&mut frame, |out| out.put_slice(&junk));
            }
            3 => frame = BytesMut::from(&random.junk(100)[..]),
            4 => frame.put_u32(random.draw() as u32),
            _ => {}
        }
        out.unsplit(frame);
    }
    out
}

#[tokio::test(start_paused = true)]
async fn whatever_is_sent_is_answered_or_closed_and_harms_nobody() {
    const SEED: u64 = 0x5eed_0001;
    println!("seed {SEED:#x}");
    let server = Server::start().await;
    let (mut ada_peer, ada) = server.join("ada").await;
    let (mut bob_peer, bob) = server.join("bob").await;
    let conversation = direct(ada.session, bob.session);
    let mut random = Random(SEED);
    let (mut errors, mut closes) = (0, 0);
    for round in 0..3000 {
        let mut peer = server.connect();
        if random.below(2) == 0 {
            peer.hello(None, None).await;
            if random.below(2) == 0 {
                peer.enter(register(&format!("user{round}"))).await.expect("a new account");
            }
        }
        let bytes = hostile_bytes(&mut random, &mut peer, ada.session);
        // The server may have closed already.
        let _written = peer.io.write_all(&bytes).await;
        let _shut = peer.io.shutdown().await;
        let mut closed = false;
        while let Some(frame) = peer.next().await {
            assert!(!closed, "nothing follows a close");
            match frame {
                ServerFrame::Reply { reply: Err(_), .. } => errors += 1,
                ServerFrame::Push(Push::Close(_)) => closed = true,
                _ => {}
            }
        }
        closes += usize::from(closed);
        peer.leave().await;

        if round % 100 == 0 {
            let sent = ada_peer.ask(text(round, conversation, round.to_string())).await;
            assert!(matches!(sent, Ok(Reply::Receipt(_))), "{sent:?}");
            while !matches!(bob_peer.push().await, Push::Entries { conversation: at, .. } if at == conversation)
            {
            }
        }
    }
    assert!(errors > 1000, "{errors} errors");
    assert!(closes > 300, "{closes} closes");
}
