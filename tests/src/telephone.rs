//! A real telephone exchange and a real telephone: Asterisk rings Baresip, which answers and records what it hears. What
//! digits were said is found in the recording by comparing it with Asterisk's own voice.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use crate::{wait, world};

/// The password of the user `twinlock` at Asterisk.
pub const PASSWORD: &str = "ari horse";
const HEARD: &str = "/phones/root/heard.wav";

/// Both of them, until dropped.
pub struct Telephone(Vec<Child>);

impl Telephone {
    /// Starts them; the telephone answers at once, or (`answers` false) lets it ring.
    #[must_use]
    pub fn start(answers: bool) -> Self {
        // Baresip takes no loopback.
        world::sh(
            "ip link add phone0 type veth peer name phone1 && ip addr add 10.9.0.1/24 dev phone0 && \
             ip link set phone0 up && ip link set phone1 up",
        );
        let config =
            |name: &str, text: &str| fs::write(format!("/phones/etc/asterisk/{name}.conf"), text).unwrap();
        config(
            "pjsip",
            "[udp]\ntype=transport\nprotocol=udp\nbind=10.9.0.1:5060\n[trunk]\ntype=endpoint\ncontext=none\ndisallow=all\nallow=ulaw\naors=trunk\ntransport=udp\nfrom_domain=10.9.0.1\n[trunk]\ntype=aor\ncontact=sip:phone@10.9.0.1:5070\n",
        );
        config("http", "[general]\nenabled=yes\nbindaddr=127.0.0.1\nbindport=8088\n");
        config(
            "ari",
            &format!(
                "[general]\nenabled=yes\n[twinlock]\ntype=user\npassword={PASSWORD}\npassword_format=plain\n"
            ),
        );
        config("rtp", "[general]\nrtpstart=20000\nrtpend=20100\n");
        let dialplan = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/examples/asterisk/extensions.conf");
        fs::copy(dialplan, "/phones/etc/asterisk/extensions.conf").unwrap();
        fs::create_dir_all("/phones/root/.baresip").unwrap();
        let baresip = "sip_listen 10.9.0.1:5070\nmodule_path /usr/lib/baresip/modules\nmodule g711.so\nmodule aufile.so\n\
                       module account.so\nmodule menu.so\naudio_source aufile,/root/silence.wav\n\
                       audio_player aufile,/root/heard.wav\naudio_alert aufile,/root/alert.wav\nausrc_srate 8000\nauplay_srate 8000\n";
        fs::write("/phones/root/.baresip/config", baresip).unwrap();
        let mode = if answers { "auto" } else { "manual" };
        let account =
            format!("<sip:phone@10.9.0.1;transport=udp>;regint=0;answermode={mode};audio_codecs=PCMU\n");
        fs::write("/phones/root/.baresip/accounts", account).unwrap();
        world::sh("chroot /phones sox -n -r 8000 -c 1 -b 16 /root/silence.wav trim 0 60");
        let start = |arguments: &[&str]| {
            let log = fs::File::create(format!("/tmp/{}.log", arguments[0])).unwrap();
            let both = log.try_clone().unwrap();
            let mut command = Command::new("chroot");
            command.arg("/phones").args(arguments).env("HOME", "/root").stdin(Stdio::null());
            command.stdout(log).stderr(both).spawn().expect("the exchange is installed")
        };
        let exchange = start(&["asterisk", "-f", "-vvv"]);
        wait::until("asterisk", 30, || {
            let log = fs::read_to_string("/tmp/asterisk.log").unwrap_or_default();
            log.contains("Asterisk Ready").then_some(())
        });
        let telephone = start(&["baresip", "-f", "/root/.baresip"]);
        wait::until("baresip", 10, || {
            let log = fs::read_to_string("/tmp/baresip.log").unwrap_or_default();
            log.contains("baresip is ready").then_some(())
        });
        Self(vec![exchange, telephone])
    }

    /// Waits until the call is over; says which digits were heard, and when (in seconds).
    #[must_use]
    pub fn heard(&self) -> Vec<(f32, u8)> {
        wait::until("the end of the call", 60, || {
            let log = fs::read_to_string("/tmp/baresip.log").unwrap_or_default();
            log.contains("session closed").then_some(())
        });
        wait::until("the recording", 10, || {
            let recorded = fs::read(HEARD).ok()?;
            // The head of the file is written last, and its length is not needed.
            Some(digits_in(&mono(recorded.get(44..)?))).filter(|digits| !digits.is_empty())
        })
    }

    /// What the telephone logged.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string("/tmp/baresip.log").unwrap_or_default()
    }
}

impl Drop for Telephone {
    fn drop(&mut self) {
        for child in self.0.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A sound of the exchange's: mono, 8,000 samples a second.
fn samples(path: &str) -> Vec<f32> {
    let inside = path.strip_prefix("/phones").unwrap();
    let out = Command::new("chroot")
        .args([
            "/phones", "sox", inside, "-t", "raw", "-r", "8000", "-c", "1", "-b", "16", "-e", "signed", "-",
        ])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    mono(&out.stdout)
}

fn mono(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(2).map(|pair| f32::from(i16::from_le_bytes([pair[0], pair[1]]))).collect()
}

/// Samples a second, and how many of them are made one: half a kilohertz is enough to know a digit by.
const RATE: f32 = 8000.0;
const COARSE: usize = 8;
/// A sound that is the same as another, of which the line may have lost a moment; digits have at most 0.6 in common.
const SAME: f32 = 0.75;

fn coarse(samples: &[f32]) -> Vec<f32> {
    samples.chunks_exact(COARSE).map(|chunk| chunk.iter().sum()).collect()
}

/// Where in `heard` this sound is: the normalised correlation at each place, the best of some offsets.
fn correlation(heard: &[f32], sound: &[f32]) -> Vec<f32> {
    let mut best = Vec::new();
    for offset in (0..COARSE).step_by(2) {
        let sound = coarse(&sound[offset..]);
        let norm = sound.iter().map(|sample| sample * sample).sum::<f32>().sqrt();
        let at = |window: &[f32]| {
            let energy = window.iter().map(|sample| sample * sample).sum::<f32>().sqrt();
            let common: f32 = window.iter().zip(&sound).map(|(a, b)| a * b).sum();
            common / (energy * norm).max(1e7)
        };
        let all: Vec<f32> = heard.windows(sound.len()).map(at).collect();
        best.resize(best.len().max(all.len()), 0.0);
        best.iter_mut().zip(all).for_each(|(best, new): (&mut f32, f32)| *best = best.max(new));
    }
    best
}

fn digits_in(heard: &[f32]) -> Vec<(f32, u8)> {
    let heard = coarse(heard);
    let mut found = Vec::new();
    for digit in 0..10 {
        let sound = samples(&format!("/phones/usr/share/asterisk/sounds/en/digits/{digit}.gsm"));
        let likeness = correlation(&heard, &sound);
        let mut at = 0;
        while at < likeness.len() {
            if likeness[at] > SAME {
                found.push((at as f32 * COARSE as f32 / RATE, digit));
                at += 300; // it is said once at a time
            }
            at += 1;
        }
    }
    found.sort_by(|a, b| a.0.total_cmp(&b.0));
    found
}
