//! The fuzzer's targets without the fuzzer.

use bytes::Bytes;

use crate::seeds::{Target, targets};

/// Changes that are made of the seeds of each target.
const CHANGES: usize = 4_000;

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
        (self.draw() % limit.max(1) as u64) as usize
    }

    fn one_of<'a>(&mut self, seeds: &'a [Bytes]) -> &'a Bytes {
        &seeds[self.below(seeds.len())]
    }
}

/// A seed with some of it changed, left out, repeated, or from another one.
fn changed(random: &mut Random, seeds: &[Bytes]) -> Vec<u8> {
    let mut bytes = random.one_of(seeds).to_vec();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len());
        match random.below(6) {
            _ if bytes.is_empty() => bytes.push(random.draw() as u8),
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.draw() as u8,
            2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][random.below(5)],
            3 => bytes.truncate(at),
            4 => {
                let part = bytes[at..].to_vec();
                bytes.extend(part);
            }
            _ => {
                let other = random.one_of(seeds);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[random.below(other.len())..]);
            }
        }
    }
    bytes
}

/// Says of which bytes a check failed, in a form that can be kept as a test.
fn holds(target: &Target, input: &[u8]) {
    let outcome = std::panic::catch_unwind(|| (target.check)(input));
    if let Err(failure) = outcome {
        eprintln!("{} of {}", target.name, input.escape_ascii());
        std::panic::resume_unwind(failure);
    }
}

#[test]
fn what_holds_of_any_bytes_holds_of_every_sample_and_of_every_part_of_one() {
    for target in targets() {
        for seed in &target.seeds {
            for end in 0..=seed.len() {
                holds(&target, &seed[..end]);
            }
        }
    }
}

#[test]
fn what_holds_of_any_bytes_holds_of_random_changes_to_samples() {
    const SEED: u64 = 0xf022_0001;
    println!("seed {SEED:#x}");
    for target in targets() {
        let mut random = Random(SEED);
        for _ in 0..CHANGES {
            holds(&target, &changed(&mut random, &target.seeds));
        }
    }
}
