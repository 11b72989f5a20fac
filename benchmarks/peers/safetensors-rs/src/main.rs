//! Maps a file with memmap2, reads it with the crate `safetensors`, and prints what that took, as JSON.
//!
//! open FILE OPENS                the first open of this process, and further ones
//! touch FILE                     touches every page of all tensors
//! scattered FILE NAMES           of some; NAMES is a file with a JSON array
//! slice FILE FIRST LAST TIMES    columns of the tensor x, once and again
//! hold FILE                      as touch; then holds the file until standard input ends

use std::{env, error::Error, fs, fs::File, io, time::Instant};

use memmap2::Mmap;
use safetensors::{slice::IndexOp, SafeTensors};
use sha2::{Digest, Sha256};

const PAGE_BYTES: usize = 4096;

type Answer = Result<String, Box<dyn Error>>;

fn map(path: &str) -> io::Result<Mmap> {
    // SAFETY: nobody changes the file meanwhile.
    unsafe { Mmap::map(&File::open(path)?) }
}

fn milliseconds(since: Instant) -> f64 {
    1e3 * since.elapsed().as_secs_f64()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sum of one word of each page, and of the last, as in touch.ts.
fn touch(bytes: &[u8]) -> u32 {
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let pages = (0..bytes.len()).step_by(PAGE_BYTES).map(word);
    pages.fold(word(bytes.len() - 4), u32::wrapping_add)
}

/// Of names, dtypes and shapes, as in results.ts; names in UTF-8 and in UTF-16 sort alike here.
fn checksum_of(file: &SafeTensors) -> String {
    let mut lines: Vec<String> = file
        .iter()
        .map(|(name, tensor)| {
            let shape: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
            format!("{name} {:?} {}\n", tensor.dtype(), shape.join(","))
        })
        .collect();
    lines.sort();
    hex(&Sha256::digest(lines.concat()))
}

fn answer_of(times: &[f64], checksum: &str) -> String {
    let (first, further) = (times[0], &times[1..]);
    format!(r#"{{"first":{first},"further":{further:?},"checksum":"{checksum}"}}"#)
}

fn open(path: &str, opens: usize) -> Answer {
    let mut times = Vec::new();
    for _ in 0..opens {
        let start = Instant::now();
        let mapped = map(path)?;
        let file = SafeTensors::deserialize(&mapped)?;
        times.push(milliseconds(start));
        drop(file);
    }
    let mapped = map(path)?;
    let checksum = checksum_of(&SafeTensors::deserialize(&mapped)?);
    Ok(answer_of(&times, &checksum))
}

fn touch_all(path: &str, hold: bool) -> Answer {
    let start = Instant::now();
    let mapped = map(path)?;
    let file = SafeTensors::deserialize(&mapped)?;
    let tensors = file.tensors();
    let ready = milliseconds(start);
    let sums = tensors.iter().map(|(_, tensor)| touch(tensor.data()));
    let sum = sums.fold(0, u32::wrapping_add);
    let time = milliseconds(start);
    let count = tensors.len();
    let answer = format!(r#"{{"ready":{ready},"time":{time},"checksum":"{count} {sum}"}}"#);
    if !hold {
        return Ok(answer);
    }
    println!("{answer}");
    io::copy(&mut io::stdin(), &mut io::sink())?;
    // The mapping is needed up to here.
    drop(mapped);
    Ok(String::new())
}

fn scattered(path: &str, names_path: &str) -> Answer {
    let text = fs::read_to_string(names_path)?;
    // No name of these files has a quote in it.
    let names: Vec<&str> = text.split('"').skip(1).step_by(2).collect();
    let mapped = map(path)?;
    let file = SafeTensors::deserialize(&mapped)?;
    let start = Instant::now();
    let mut sum: u32 = 0;
    for name in &names {
        sum = sum.wrapping_add(touch(file.tensor(name)?.data()));
    }
    let time = milliseconds(start);
    let count = names.len();
    Ok(format!(r#"{{"ready":0,"time":{time},"checksum":"{count} {sum}"}}"#))
}

fn slice(path: &str, first: usize, last: usize, times: usize) -> Answer {
    let mapped = map(path)?;
    let file = SafeTensors::deserialize(&mapped)?;
    let tensor = file.tensor("x")?;
    let mut measured = Vec::new();
    let mut bytes = Vec::new();
    for _ in 0..times {
        let start = Instant::now();
        let parts = tensor
            .slice((.., first..last))
            .map_err(|error| format!("{error:?}"))?;
        let mut part = Vec::with_capacity(parts.remaining_byte_len());
        for run in parts {
            part.extend_from_slice(run);
        }
        measured.push(milliseconds(start));
        bytes = part;
    }
    Ok(answer_of(&measured, &hex(&Sha256::digest(&bytes))))
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let answer = match arguments.as_slice() {
        ["open", path, opens] => open(path, opens.parse()?)?,
        ["touch", path] => touch_all(path, false)?,
        ["hold", path] => touch_all(path, true)?,
        ["scattered", path, names] => scattered(path, names)?,
        ["slice", path, first, last, times] => {
            slice(path, first.parse()?, last.parse()?, times.parse()?)?
        }
        _ => return Err("usage: safetensors-rs TASK FILE …".into()),
    };
    println!("{answer}");
    Ok(())
}
