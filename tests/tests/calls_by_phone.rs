//! Codes by telephone: a real exchange rings a real telephone, and what it says is heard.

use twinlock_tests::{
    delivery::{bob, configure, reachable},
    ssh::outcome,
    telephone::{self, Telephone},
    world::{World, root},
};

const NUMBER: &str = "+493012345678";
const ASK: &str = "Send a code by call to +49*******78? Press Enter: ";
const SENT: &str = "Code sent by call to +49*******78. Verification code (or type resend): ";
const ASTERISK: &str = "[call]\nregions = ['DE']\nper-day = 2\n[[provider]]\nname = 'house'\npreset = 'asterisk-ari'\nfrom = '4930'\n\
                        user = 'twinlock'\nsecret = 'ari'\n";

#[test]
fn a_login_by_a_call_that_rings_is_answered_and_speaks_the_code() {
    let world = World::new();
    let telephone = Telephone::start(true);
    configure(ASTERISK, &[("ari", telephone::PASSWORD)]);
    let _running = reachable(&world, ["--phone", NUMBER]);
    let mut ssh = bob();
    ssh.expect(ASK);
    assert!(!telephone.log().contains("incoming"), "nothing rings before the answer");
    ssh.type_line("");
    ssh.expect(SENT);
    let heard = telephone.heard();
    let digits: String = heard.iter().map(|(_, digit)| char::from(b'0' + digit)).collect();
    let (once, again) = digits.split_at(digits.len() / 2);
    assert!(digits.len() == 12 && once == again, "six digits, twice: {heard:?}");
    assert!(heard.windows(2).all(|pair| pair[1].0 - pair[0].0 > 1.2), "one by one, with pauses: {heard:?}");
    ssh.type_line(once);
    assert!(outcome(ssh, "bob").0);
    let log = world.log();
    assert!(!log.contains(once) && !log.contains("3012345678"), "{log}");
    // A landline has no SMS: only a call is offered, and fewer of them.
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect(SENT);
    ssh.kill();
    let mut ssh = bob();
    ssh.answer(ASK, "");
    ssh.expect("No more codes can be sent now. ");
    ssh.kill();
    let sends = String::from_utf8(root(&["audit", "--event", "send"]).stdout).unwrap();
    assert!(sends.contains("house: accepted") && sends.contains("call-limit"), "{sends}");
}
